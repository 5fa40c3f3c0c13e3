package issuer_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type bench struct {
	*issuer.Issuer
	clock *clock
	store store.Store
	keys  *keyring.Keyring
}

func newIssuer(t *testing.T, s store.Store) *bench {
	t.Helper()
	return newIssuerOn(t, s, s)
}

// newIssuerOn keeps sessions in one store and all else in another.
func newIssuerOn(t *testing.T, s, clients store.Store) *bench {
	t.Helper()
	return newIssuerWith(t, s, func(o *issuer.Options) { o.Clients = clients })
}

// newLimited has a limit of sessions for each subject.
func newLimited(t *testing.T, s store.Store, limit int) *bench {
	t.Helper()
	return newIssuerWith(t, s, func(o *issuer.Options) { o.MaxSessions = limit })
}

// newIssuerWith changes what an issuer is opened with.
func newIssuerWith(t *testing.T, s store.Store, change func(*issuer.Options)) *bench {
	t.Helper()
	c := &clock{now: time.Now()}
	o := issuer.Options{Store: s, Clients: s, URL: "https://auth.test", Now: c.Now}
	change(&o)
	var err error
	if o.Keys, err = keyring.Open(t.Context(), keyring.Options{Store: o.Clients, SealKey: [32]byte{1}, Now: c.Now}); err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{i, c, s, o.Keys}
}

// pageProof is what a page that ended at c had.
func (b *bench) pageProof(c counterfoil.Cursor) string {
	m := hmac.New(sha256.New, b.keys.Derive("log proof"))
	m.Write([]byte(c.String()))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (b *bench) proof(t *testing.T, subject string) login.Proof {
	t.Helper()
	rev, err := b.SubjectRev(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	return login.Proof{Subject: subject, Methods: []string{"pwd"}, At: b.clock.Now(), SubjectRev: rev, Roles: []string{"staff"}}
}

func (b *bench) login(t *testing.T, subject string, c counterfoil.Carrier) *issuer.Issued {
	t.Helper()
	got, err := b.Login(t.Context(), b.proof(t, subject), issuer.Request{Carrier: c, Act: audit.Act{Address: netip.MustParseAddr("192.0.2.1")}, UserAgent: "test"})
	if err != nil {
		t.Fatalf("Login(%s, %v) = %v", subject, c, err)
	}
	return got
}

var carriers = []counterfoil.Carrier{
	counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE,
}

// SES-23: the same login by every carrier, and for every reader: the store, a verifier, and
// a program that asks by introspection. A member of Session that is left out
// by one of them is found here.
func TestSameSessionByEveryCarrier(t *testing.T) {
	b := newIssuer(t, memory.New())
	if err := b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"staff"} }); err != nil {
		t.Fatal(err)
	}
	if err := b.Clients().Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Carriers, c.Scopes = carriers, []string{"read", "write"} }); err != nil {
		t.Fatal(err)
	}
	v, err := counterfoil.NewVerifier(t.Context(), b.Issuer, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test", Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, c := range carriers {
		proof := b.proof(t, "alice")
		proof.ACR = "urn:test:strong"
		issued, err := b.Login(t.Context(), proof, issuer.Request{Carrier: c, Client: "app", Scopes: []string{"read"}, Attributes: map[string]string{"tenant": "7"}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.Lookup(t.Context(), issued.Access.Reveal())
		if err != nil {
			t.Fatalf("%v: Lookup = %v", c, err)
		}
		unset := 4 // Origin; Actor, ActorSession and ActorClient, which TestImpersonation looks at
		if c.Format == counterfoil.Opaque {
			unset = 6 // TokenID and KeyID as well
		}
		if set, all := differences(s, &counterfoil.Session{}), reflect.TypeFor[counterfoil.Session]().NumField()-2; len(set) != all-unset {
			t.Errorf("%v: only %q of %d fields are set", c, set, all)
		}
		verified, err := v.Verify(t.Context(), issued.Access.Reveal())
		if err != nil {
			t.Fatalf("%v: Verify = %v", c, err)
		}
		answer, err := json.Marshal(source.Introspection{Session: s})
		var read source.Introspection
		if err := errors.Join(err, json.Unmarshal(answer, &read)); err != nil || read.Session == nil {
			t.Fatalf("%v: introspection: %s, %v", c, answer, err)
		}
		for who, other := range map[string]*counterfoil.Session{"at login": issued.Session, "verifier": verified, "introspection": read.Session} {
			names := differences(s, other)
			if c.Format == counterfoil.Opaque { // each copy of it ends at another moment, which spreads look-ups
				names = slices.DeleteFunc(names, func(name string) bool { return name == "Expires" })
			}
			if len(names) > 0 {
				t.Errorf("%v, %s: %q differ from the look-up: %+v, %+v", c, who, names, other, s)
			}
		}
	}
}

// differences returns the names of the fields that belong to a copy's session and are
// not the same. How a copy travelled is for its reader to say.
func differences(one, other *counterfoil.Session) (names []string) {
	a, b := reflect.ValueOf(*one), reflect.ValueOf(*other)
	for _, f := range reflect.VisibleFields(a.Type()) {
		if f.Name == "Carrier" || f.Name == "Stale" {
			continue
		}
		x, y := a.FieldByIndex(f.Index).Interface(), b.FieldByIndex(f.Index).Interface()
		if at, ok := x.(time.Time); ok && at.Unix() == y.(time.Time).Unix() {
			continue
		}
		if !reflect.DeepEqual(x, y) {
			names = append(names, f.Name)
		}
	}
	return names
}

// SES-13, REV-01: each target, each carrier; what was not named lives on, and
// the next login is good at once.
func TestRevokeEachTarget(t *testing.T) {
	targets := map[string]func(s *counterfoil.Session) (source.Scope, string){
		"session": func(s *counterfoil.Session) (source.Scope, string) { return source.ScopeSession, s.ID },
		"subject": func(s *counterfoil.Session) (source.Scope, string) { return source.ScopeSubject, s.Subject },
		"client":  func(s *counterfoil.Session) (source.Scope, string) { return source.ScopeClient, s.Client },
		"all":     func(*counterfoil.Session) (source.Scope, string) { return source.ScopeAll, "" },
		"token":   func(s *counterfoil.Session) (source.Scope, string) { return source.ScopeToken, s.TokenID },
		"key":     func(s *counterfoil.Session) (source.Scope, string) { return source.ScopeKey, s.KeyID },
	}
	for name, target := range targets {
		for _, c := range carriers {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				b := newIssuer(t, memory.New())
				issued := b.login(t, "alice", c)
				scope, id := target(issued.Session)
				if id == "" && scope != source.ScopeAll {
					if _, err := b.Revoke(t.Context(), scope, id, audit.Act{}); !errors.Is(err, issuer.ErrBadRequest) {
						t.Fatalf("Revoke(%s, empty) = %v, want ErrBadRequest", scope, err)
					}
					return // an opaque id has no token id and no key
				}
				receipt, err := b.Revoke(t.Context(), scope, id, audit.Act{})
				if err != nil || receipt.At.Seq == 0 {
					t.Fatalf("Revoke = %v, %v", receipt, err)
				}
				if _, err := b.Lookup(t.Context(), issued.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("Lookup after the revocation = %v, want ErrInvalidToken", err)
				}
				refreshable := scope == source.ScopeToken || scope == source.ScopeKey
				if r := issued.Refresh.Reveal(); r != "" {
					_, err := b.Refresh(t.Context(), r, issuer.Renewal{})
					if refreshable && err != nil {
						t.Errorf("Refresh = %v, want a new copy: only one copy was revoked", err)
					}
					if !refreshable && !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("Refresh = %v, want ErrInvalidToken", err)
					}
				}
				again := b.login(t, "alice", c)
				if _, err := b.Lookup(t.Context(), again.Access.Reveal()); err != nil {
					t.Errorf("Lookup of a login made after it = %v", err)
				}
			})
		}
	}
}

func TestRevokeTwiceGivesTheSameReceipt(t *testing.T) {
	b := newIssuer(t, memory.New())
	s := b.login(t, "alice", counterfoil.CarrierBearer).Session
	first, err := b.Revoke(t.Context(), source.ScopeSession, s.ID, audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Revoke(t.Context(), source.ScopeSession, s.ID, audit.Act{})
	if err != nil || second.At != first.At {
		t.Errorf("second Revoke = %v, %v, want %v", second, err, first)
	}
	if _, err := b.Revoke(t.Context(), source.ScopeSession, "ses_unknown", audit.Act{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Revoke(unknown) = %v, want ErrNotFound", err)
	}
}

// REF-01, REF-02, REF-03: rotation, grace for the predecessor, reuse.
func TestRefresh(t *testing.T) {
	b := newIssuer(t, memory.New())
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	if second.Refresh.Reveal() == first.Refresh.Reveal() {
		t.Error("the refresh token was not rotated")
	}
	again, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil || again.Refresh.Reveal() != second.Refresh.Reveal() {
		t.Errorf("Refresh(old) within the grace = %v, want the same successor", err)
	}
	b.clock.add(15 * time.Second)
	if _, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, issuer.ErrReused) {
		t.Errorf("Refresh(old) after the grace = %v, want ErrReused", err)
	}
	if _, err := b.Refresh(t.Context(), second.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Refresh(successor) after reuse = %v, want ErrInvalidToken", err)
	}
	if _, err := b.Lookup(t.Context(), second.Access.Reveal()); !errors.Is(err, counterfoil.ErrRevoked) {
		t.Errorf("Lookup after reuse = %v, want ErrRevoked", err)
	}
}

// REF-03: a second use of the predecessor after its successor was used is reuse,
// however soon.
func TestRefreshTwoBehindIsReuse(t *testing.T) {
	b := newIssuer(t, memory.New())
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Refresh(t.Context(), second.Refresh.Reveal(), issuer.Renewal{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, issuer.ErrReused) {
		t.Errorf("Refresh(first) = %v, want ErrReused", err)
	}
}

// REF-03, REF-04: of fifty at once a few are answered, with one successor. The others may ask
// again, and nobody is signed out.
func TestRefreshInParallel(t *testing.T) {
	b := newIssuer(t, memory.New())
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	var wg sync.WaitGroup
	var all successors
	for range 50 {
		wg.Go(func() { all.add(t, b.Issuer, first) })
	}
	wg.Wait()
	if _, err := b.Refresh(t.Context(), all.one(t), issuer.Renewal{}); err != nil {
		t.Errorf("Refresh(successor) = %v", err)
	}
}

// REF-06, REF-09: another client, and anything that was not issued.
func TestRefreshRefusals(t *testing.T) {
	b := newIssuer(t, memory.New())
	good := b.login(t, "alice", counterfoil.CarrierBearer).Refresh.Reveal()
	flipped := []byte(good)
	flipped[len(flipped)-5] ^= 1
	for name, bad := range map[string]string{
		"empty": "", "no prefix": good[4:], "short": good[:len(good)-1], "long": good + "A",
		"flipped": string(flipped), "newline": good[:20] + "\n" + good[21:], "unused bits": good[:len(good)-1] + "_",
	} {
		if bad == good {
			continue
		}
		if _, err := b.Refresh(t.Context(), bad, issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: Refresh = %v, want ErrInvalidToken", name, err)
		}
	}
	if _, err := b.Refresh(t.Context(), good, issuer.Renewal{Client: "other"}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Refresh for another client = %v, want ErrInvalidToken", err)
	}
	if _, err := b.Refresh(t.Context(), good, issuer.Renewal{}); err != nil {
		t.Errorf("Refresh afterwards = %v: a refusal must change nothing", err)
	}
}

// SES-12, REF-05: idle and absolute expiry; use moves only the first.
func TestTimeouts(t *testing.T) {
	b := newIssuer(t, memory.New())
	idle := b.login(t, "alice", counterfoil.CarrierCookie).Access.Reveal()
	used := b.login(t, "alice", counterfoil.CarrierCookie).Access.Reveal()
	refresh := b.login(t, "alice", counterfoil.CarrierBearer).Refresh.Reveal()
	for elapsed := 50 * time.Minute; elapsed < 24*time.Hour; elapsed += 50 * time.Minute {
		b.clock.add(50 * time.Minute)
		if _, err := b.Lookup(t.Context(), used); err != nil {
			t.Fatalf("Lookup of a session in use after %v = %v", elapsed, err)
		}
		next, err := b.Refresh(t.Context(), refresh, issuer.Renewal{})
		if err != nil {
			t.Fatalf("Refresh after %v = %v", elapsed, err)
		}
		refresh = next.Refresh.Reveal()
	}
	if _, err := b.Lookup(t.Context(), idle); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("Lookup of an idle session = %v, want ErrExpired", err)
	}
	b.clock.add(50 * time.Minute)
	if _, err := b.Lookup(t.Context(), used); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("Lookup past the absolute expiry = %v, want ErrExpired", err)
	}
	if _, err := b.Refresh(t.Context(), refresh, issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Refresh past the absolute expiry = %v, want ErrInvalidToken", err)
	}
}

// LOGIN-19: what was proven before a change of the subject cannot become a session.
func TestProofGoesStale(t *testing.T) {
	changes := map[string]func(b *bench) error{
		"revoke subject": func(b *bench) error {
			_, err := b.Revoke(context.Background(), source.ScopeSubject, "alice", audit.Act{})
			return err
		},
		"disable": func(b *bench) error {
			return b.SetSubject(context.Background(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
		},
	}
	for name, change := range changes {
		b := newIssuer(t, memory.New())
		proof := b.proof(t, "alice")
		if err := change(b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Login(t.Context(), proof, issuer.Request{Carrier: counterfoil.CarrierBearer}); !errors.Is(err, issuer.ErrProveAgain) {
			t.Errorf("%s: Login with the old proof = %v, want ErrProveAgain", name, err)
		}
	}
}

// SES-04, SES-14: a change of credentials leaves one session, under a new id.
func TestStartOver(t *testing.T) {
	for _, c := range carriers {
		b := newIssuer(t, memory.New())
		own, other := b.login(t, "alice", c), b.login(t, "alice", counterfoil.CarrierBearer)
		early := b.proof(t, "alice")
		next, err := b.StartOver(t.Context(), b.proof(t, "alice"), issuer.Request{Carrier: c})
		if err != nil {
			t.Fatal(err)
		}
		for name, old := range map[string]*issuer.Issued{"own": own, "other": other} {
			if _, err := b.Lookup(t.Context(), old.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%v: Lookup(%s) = %v, want ErrInvalidToken", c, name, err)
			}
		}
		if s, err := b.Lookup(t.Context(), next.Access.Reveal()); err != nil || s.ID == own.Session.ID {
			t.Errorf("%v: Lookup(new) = %v, %v, want another session", c, s, err)
		}
		if _, err := b.Login(t.Context(), early, issuer.Request{Carrier: c}); !errors.Is(err, issuer.ErrProveAgain) {
			t.Errorf("%v: Login with an early proof = %v, want ErrProveAgain", c, err)
		}
	}
}

// A role change reaches every carrier without signing anybody out.
func TestClaimsChanged(t *testing.T) {
	b := newIssuer(t, memory.New())
	jwt, cookie := b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierCookie)
	if err := b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"admin"} }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lookup(t.Context(), jwt.Access.Reveal()); !errors.Is(err, counterfoil.ErrStaleClaims) {
		t.Errorf("Lookup(old copy) = %v, want ErrStaleClaims", err)
	}
	next, err := b.Refresh(t.Context(), jwt.Refresh.Reveal(), issuer.Renewal{})
	if err != nil || !next.Session.HasRole("admin") {
		t.Errorf("Refresh = %v, want the new role", err)
	}
	if s, err := b.Lookup(t.Context(), cookie.Access.Reveal()); err != nil || !s.HasRole("admin") {
		t.Errorf("Lookup(cookie) = %v, %v, want the new role", s, err)
	}
}

// SES-02, SES-05: no credential is stored, and a guess makes nothing.
func TestStoreHoldsNoCredential(t *testing.T) {
	b := newIssuer(t, memory.New())
	var credentials []string
	for _, c := range carriers {
		issued := b.login(t, "alice", c)
		credentials = append(credentials, issued.Access.Reveal())
		if r := issued.Refresh.Reveal(); r != "" {
			credentials = append(credentials, r)
		}
	}
	for _, kind := range []store.Kind{"session", "grant", "subject"} {
		for rec, err := range b.store.List(t.Context(), kind, "*", "") {
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range credentials {
				if strings.Contains(string(rec.Value)+rec.ID, c) {
					t.Errorf("%s %s holds a credential", kind, rec.ID)
				}
			}
		}
	}
	if _, err := b.Lookup(t.Context(), strings.Repeat("A", 43)); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Lookup(guess) = %v, want ErrInvalidToken", err)
	}
}

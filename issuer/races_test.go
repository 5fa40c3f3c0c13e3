package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// rounds sizes the races.
var rounds = flag.Int("issuer.rounds", 1000, "rounds of each race of the issuer")

// everyStore runs test on an issuer over each kind of store, with so many rounds as
// its commits allow.
func everyStore(t *testing.T, test func(t *testing.T, b *bench, rounds int)) {
	t.Run("memory", func(t *testing.T) { test(t, newIssuer(t, memory.New()), *rounds) })
	t.Run("sqlite", func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "c.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		test(t, newIssuer(t, s), *rounds/20)
	})
}

// together runs all at the same time.
func together(all ...func()) {
	var wg sync.WaitGroup
	for _, f := range all {
		wg.Go(f)
	}
	wg.Wait()
}

// REF-10, docs/revocation.md 4.11 test 9: a refresh is under way when its session, subject or
// client, or everybody, is revoked. Whatever the refresh was told, nothing of it lives.
func TestRefreshRacesRevoke(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for n := range rounds {
			subject := fmt.Sprint("subject", n)
			i := b.login(t, subject, counterfoil.CarrierBearer)
			scope, id := source.ScopeSession, i.Session.ID
			switch n % 3 {
			case 1:
				scope, id = source.ScopeSubject, subject
			case 2:
				scope, id = source.ScopeAll, ""
			}
			var next *issuer.Issued
			together(func() {
				var err error
				if next, err = b.Refresh(context.Background(), i.Refresh.Reveal(), issuer.Renewal{}); err != nil && !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("Refresh = %v", err)
				}
			}, func() {
				if _, err := b.Revoke(context.Background(), scope, id, audit.Act{}); err != nil {
					t.Errorf("Revoke(%s) = %v", scope, err)
				}
			})
			dead := map[string]string{"the old copy": i.Access.Reveal(), "the old refresh token": i.Refresh.Reveal()}
			if next != nil {
				dead["the new copy"], dead["the new refresh token"] = next.Access.Reveal(), next.Refresh.Reveal()
			}
			b.allDead(t, dead)
			if next != nil {
				b.coveredByLog(t, next.Session)
			}
		}
	})
}

// allDead fails the test if any credential is good for anything.
func (b *bench) allDead(t *testing.T, credentials map[string]string) {
	t.Helper()
	for name, c := range credentials {
		var err error
		if strings.HasPrefix(c, "cfr_") {
			_, err = b.Refresh(t.Context(), c, issuer.Renewal{})
		} else {
			_, err = b.Lookup(t.Context(), c)
		}
		if !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s = %v, want ErrInvalidToken", name, err)
		}
	}
}

// coveredByLog is the judgement of a verifier, who has nothing but the log.
func (b *bench) coveredByLog(t *testing.T, s *counterfoil.Session) {
	t.Helper()
	page, err := b.Log(t.Context(), source.Follow{})
	if err != nil {
		t.Fatal(err)
	}
	revoked := source.NewRevocations()
	revoked.Apply(page.Entries)
	if _, ok := revoked.Covers(s.Names()); !ok {
		t.Errorf("no entry of the log covers %s, born at %v", s.ID, s.Born)
	}
}

// LOGIN-19, docs/revocation.md 4.11 test 9: a login is under way when its subject is revoked.
// It fails, or is covered; and a login that was proven afterwards is good at once (P2).
func TestLoginRacesRevoke(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for n := range rounds {
			c := carriers[n%len(carriers)]
			proof := b.proof(t, "alice")
			var i *issuer.Issued
			together(func() {
				var err error
				if i, err = b.Login(context.Background(), proof, issuer.Request{Carrier: c}); err != nil && !errors.Is(err, issuer.ErrProveAgain) {
					t.Errorf("Login = %v", err)
				}
			}, func() {
				if _, err := b.Revoke(context.Background(), source.ScopeSubject, "alice", audit.Act{}); err != nil {
					t.Errorf("Revoke = %v", err)
				}
			})
			if i != nil {
				b.allDead(t, map[string]string{"a login from before": i.Access.Reveal()})
				b.coveredByLog(t, i.Session)
			}
			after := b.login(t, "alice", c)
			if _, err := b.Lookup(t.Context(), after.Access.Reveal()); err != nil {
				t.Errorf("Lookup of a login proven afterwards = %v", err)
			}
		}
	})
}

// SES-22: the note that a session is in use, written while the session ends, does
// not bring it back.
func TestTouchRacesRevoke(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for range rounds {
			i := b.login(t, "alice", counterfoil.CarrierCookie)
			b.clock.add(61 * time.Second)
			together(
				func() { _, _ = b.Lookup(context.Background(), i.Access.Reveal()) },
				func() { _, _ = b.Lookup(context.Background(), i.Access.Reveal()) },
				func() {
					if _, err := b.Revoke(context.Background(), source.ScopeSession, i.Session.ID, audit.Act{}); err != nil {
						t.Errorf("Revoke = %v", err)
					}
				})
			b.allDead(t, map[string]string{"the cookie": i.Access.Reveal()})
			if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 0 {
				t.Fatalf("%d sessions after the end, %v", len(rows), err)
			}
		}
	})
}

// SES-22: however often a session is used, it is written once a minute.
func TestTouchIsCoarse(t *testing.T) {
	b, s := newFaulty(t)
	i := b.login(t, "alice", counterfoil.CarrierCookie)
	writes := 0
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "session", Slow: true, Before: func() { writes++ }})
	for range 1000 { // ten minutes
		b.clock.add(600 * time.Millisecond)
		if _, err := b.Lookup(t.Context(), i.Access.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	if writes < 9 || writes > 10 {
		t.Errorf("%d writes in ten minutes, want one a minute", writes)
	}
}

// REF-04: a thousand at once, on each store: one successor, all who are answered get
// it, and nobody is signed out.
func TestThousandRefreshes(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, _ int) {
		first := b.login(t, "alice", counterfoil.CarrierBearer)
		var all successors
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { all.add(t, b.Issuer, first) })
		}
		wg.Wait()
		if _, err := b.Refresh(t.Context(), all.one(t), issuer.Renewal{}); err != nil {
			t.Errorf("Refresh(successor) = %v", err)
		}
	})
}

// SES-12, REF-05: whatever use is made of it, no copy outlives the absolute expiry.
func TestAbsoluteExpiryNeverMoves(t *testing.T) {
	for _, c := range carriers {
		b := newIssuer(t, memory.New())
		i := b.login(t, "alice", c)
		end := i.SessionExpires
		for n := 0; ; n++ {
			b.clock.add(3 * time.Minute)
			s, err := b.Lookup(t.Context(), i.Access.Reveal())
			if err == nil && i.Refresh.Reveal() != "" {
				var next *issuer.Issued
				if next, err = b.Refresh(t.Context(), i.Refresh.Reveal(), issuer.Renewal{}); err == nil {
					i = next
				}
			}
			if err != nil {
				if now := b.clock.Now(); now.Before(end.Add(-5 * time.Minute)) {
					t.Errorf("%v ended at %v, long before %v: %v", c, now, end, err)
				} else if !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("%v: %v", c, err)
				}
				break
			}
			if b.clock.Now().After(end) || s.Expires.After(end) || !i.SessionExpires.Equal(end) {
				t.Fatalf("%v: use %d at %v: copy until %v, session until %v, want %v", c, n, b.clock.Now(), s.Expires, i.SessionExpires, end)
			}
		}
	}
}

// SES-13, SES-14: whatever ends a login ends it for the session, the copies and the
// refresh tokens of every carrier.
func TestEachTriggerEndsEachCarrier(t *testing.T) {
	triggers := map[string]func(b *bench, i *issuer.Issued) error{
		"logout": func(b *bench, i *issuer.Issued) error {
			return b.Logout(context.Background(), i.Session, audit.Act{})
		},
		"disable": func(b *bench, i *issuer.Issued) error {
			return b.SetSubject(context.Background(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
		},
		"revoke all of the subject": func(b *bench, i *issuer.Issued) error {
			_, err := b.Revoke(context.Background(), source.ScopeSubject, "alice", audit.Act{})
			return err
		},
		"revoke everybody": func(b *bench, i *issuer.Issued) error {
			_, err := b.Revoke(context.Background(), source.ScopeAll, "", audit.Act{})
			return err
		},
		"end the others": func(b *bench, i *issuer.Issued) error {
			own := b.login(t, "alice", counterfoil.CarrierCookie)
			_, err := b.EndOthers(context.Background(), own.Session, audit.Act{})
			return err
		},
		"change of credentials": func(b *bench, i *issuer.Issued) error {
			_, err := b.StartOver(context.Background(), b.proof(t, "alice"), issuer.Request{Carrier: counterfoil.CarrierBearer})
			return err
		},
		"absolute expiry": func(b *bench, i *issuer.Issued) error {
			b.clock.add(24*time.Hour + time.Second)
			return nil
		},
	}
	for name, end := range triggers {
		for _, c := range carriers {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				b := newIssuer(t, memory.New())
				i, stranger := b.login(t, "alice", c), b.login(t, "bob", c)
				alive := map[string]string{"the access copy": i.Access.Reveal()}
				if r := i.Refresh.Reveal(); r != "" {
					next, err := b.Refresh(t.Context(), r, issuer.Renewal{})
					if err != nil {
						t.Fatal(err)
					}
					alive["the next copy"], alive["the refresh token"], alive["the old refresh token"] = next.Access.Reveal(), next.Refresh.Reveal(), r
				}
				if err := end(b, i); err != nil {
					t.Fatal(err)
				}
				b.allDead(t, alive)
				for rec, err := range b.store.List(t.Context(), "session", "alice", "") {
					if err != nil || rec.ID == i.Session.ID && name != "revoke everybody" && name != "absolute expiry" {
						t.Errorf("row %s is left, %v", rec.ID, err)
					}
				}
				_, err := b.Lookup(t.Context(), stranger.Access.Reveal())
				if everybody := name == "revoke everybody" || name == "absolute expiry"; (err == nil) == everybody {
					t.Errorf("somebody else's session = %v", err)
				}
			})
		}
	}
}

// SES-01, SES-03: opaque ids are 43 characters without a pattern, and only the very
// string is good: nothing shorter, longer, padded or spelt in another way.
func TestOpaqueIDs(t *testing.T) {
	b := newIssuer(t, memory.New())
	seen := make(map[string]bool)
	for range 100 { // of one subject: each login looks at its sessions
		seen[b.login(t, "alice", counterfoil.CarrierCookie).Access.Reveal()] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d different ids of 100", len(seen))
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	good := b.login(t, "alice", counterfoil.CarrierCookie).Access.Reveal()
	if len(good) != 43 || strings.Trim(good, alphabet) != "" {
		t.Fatalf("id %q", good)
	}
	bad := []string{"", good[:42], good + "A", good + "=", " " + good, good + "\n", good[:20] + "\n" + good[20:], strings.ToUpper(good), "ses_" + good}
	for _, last := range alphabet { // two unused bits: three other spellings of the same bytes, and sixty other ids
		bad = append(bad, good[:42]+string(last))
	}
	for _, id := range bad {
		if id == good {
			continue
		}
		if _, err := b.Lookup(t.Context(), id); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("Lookup(%q) = %v, want ErrInvalidToken", id, err)
		}
	}
	if _, err := b.Lookup(t.Context(), good); err != nil {
		t.Errorf("Lookup = %v", err)
	}
}

// dump watches everything that is ever written to a store.
type dump struct {
	store.Store
	mu  sync.Mutex
	all strings.Builder
}

func (d *dump) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	text, err := json.Marshal(b.Put)
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	d.mu.Lock()
	for _, r := range b.Put {
		d.all.Write(r.Value)
	}
	fmt.Fprintf(&d.all, "%s %v", text, b)
	d.mu.Unlock()
	return d.Store.Commit(ctx, b)
}

// SES-02: nothing that was ever written, log and trail included, is or holds what
// somebody could present.
func TestNothingWrittenIsACredential(t *testing.T) {
	d := &dump{Store: memory.New()}
	b := newIssuer(t, d)
	var credentials []string
	for _, c := range carriers {
		i := b.login(t, "alice", c)
		credentials = append(credentials, i.Access.Reveal())
		for r := i.Refresh.Reveal(); r != "" && len(credentials) < 50; {
			credentials = append(credentials, r)
			next, err := b.Refresh(t.Context(), r, issuer.Renewal{})
			if err != nil {
				t.Fatal(err)
			}
			credentials = append(credentials, next.Access.Reveal(), next.Refresh.Reveal())
			if len(credentials)%4 == 0 {
				break
			}
			r = next.Refresh.Reveal()
		}
		if _, err := b.Revoke(t.Context(), source.ScopeSession, i.Session.ID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
	}
	written := d.all.String()
	for _, c := range credentials {
		parts := append(strings.Split(c, "."), c)
		signature := parts[len(parts)-2]
		for _, secret := range []string{c, strings.TrimPrefix(c, "cfr_"), signature} {
			if len(secret) >= 40 && strings.Contains(written, secret) {
				t.Errorf("a credential, or its signature, was written: %.12s…", secret)
			}
		}
	}
	for _, word := range strings.FieldsFunc(written, func(r rune) bool { return strings.ContainsRune(` "{}[],:`, r) }) {
		if _, err := b.Lookup(t.Context(), word); err == nil {
			t.Errorf("what was written is good as a credential: %.12s…", word)
		}
	}
}

// SES-12: a session in constant use outlives every idle timeout that can be set, also
// behind a verifier, who asks only when its copy is over.
func TestUseKeepsASessionAlive(t *testing.T) {
	for _, idle := range []time.Duration{3 * time.Minute, 5 * time.Minute, 10 * time.Minute, time.Hour} {
		for _, kept := range []bool{false, true} {
			c, s := &clock{now: time.Now()}, memory.New()
			keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Now: c.Now})
			if err != nil {
				t.Fatal(err)
			}
			i, err := issuer.New(issuer.Options{Store: s, Keys: keys, URL: "https://auth.test", Now: c.Now, Idle: idle})
			if err != nil {
				t.Fatal(err)
			}
			b := &bench{i, c, s, keys}
			cookie := b.login(t, "alice", counterfoil.CarrierCookie).Access.Reveal()
			var good time.Time // until then the copy is kept
			for begun := c.Now(); c.Now().Sub(begun) < 3*idle; c.add(10 * time.Second) {
				if kept && c.Now().Before(good) {
					continue
				}
				copied, err := b.Lookup(t.Context(), cookie)
				if err != nil {
					t.Fatalf("idle %v, copies kept %v: after %v of use: %v", idle, kept, c.Now().Sub(begun), err)
				}
				good = copied.Expires
			}
			c.add(idle)
			if _, err := b.Lookup(t.Context(), cookie); !errors.Is(err, counterfoil.ErrExpired) {
				t.Errorf("idle %v: unused for so long: %v, want ErrExpired", idle, err)
			}
		}
	}
}

package issuer_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

func (b *bench) client(t *testing.T, id string, c clients.Client) {
	t.Helper()
	err := b.Clients().Set(t.Context(), rights.Owner(), id, audit.Act{}, func(into *clients.Client) { *into = c })
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) loginBy(t *testing.T, r issuer.Request) (*issuer.Issued, error) {
	t.Helper()
	return b.Login(t.Context(), b.proof(t, "alice"), r)
}

func TestClientSaysWhatALoginMayBe(t *testing.T) {
	b := newIssuer(t, memory.New())
	b.client(t, "app", clients.Client{
		Carriers: []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWE},
		Audience: []string{"https://api.test"}, Scopes: []string{"read", "write"},
	})
	for name, c := range map[string]struct {
		ask  issuer.Request
		want error
	}{
		"unknown":       {issuer.Request{Client: "nobody"}, clients.ErrUnknown},
		"carrier":       {issuer.Request{Client: "app", Carrier: counterfoil.CarrierCookie}, clients.ErrCarrier},
		"scope":         {issuer.Request{Client: "app", Scopes: []string{"read", "all"}}, clients.ErrScope},
		"default scope": {issuer.Request{Scopes: []string{"read"}}, clients.ErrScope},
		"good":          {issuer.Request{Client: "app", Carrier: counterfoil.CarrierJWE, Scopes: []string{"read"}}, nil},
	} {
		if _, err := b.loginBy(t, c.ask); !errors.Is(err, c.want) {
			t.Errorf("%s: Login = %v, want %v", name, err, c.want)
		}
	}
	got, err := b.loginBy(t, issuer.Request{Client: "app"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Lookup(t.Context(), got.Access.Reveal())
	if err != nil || s.Carrier != counterfoil.CarrierBearer || !slices.Equal(s.Audience, []string{"https://api.test"}) || !slices.Equal(s.Scopes, []string{"read", "write"}) {
		t.Errorf("Lookup = %+v, %v, want the client's first carrier, audience and scopes", s, err)
	}
	if s, err := b.loginBy(t, issuer.Request{}); err != nil || s.Session.Client != clients.Default || s.Session.Carrier != counterfoil.CarrierCookie {
		t.Errorf("Login by no client = %+v, %v, want the default one, by cookie", s, err)
	}
}

// A carrier that a client loses is gone from the next copy on, for sessions that are
// out too; nobody is told that they were revoked, for the carrier may come back.
func TestCarrierTakenAway(t *testing.T) {
	b := newIssuer(t, memory.New())
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWE} {
		b.client(t, "app", clients.Client{})
		got, err := b.loginBy(t, issuer.Request{Client: "app", Carrier: c})
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string]func() error{
			"Lookup": func() error { _, err := b.Lookup(t.Context(), got.Access.Reveal()); return err },
		}
		if refresh := got.Refresh.Reveal(); refresh != "" {
			calls["Refresh"] = func() error {
				next, err := b.Refresh(t.Context(), refresh, issuer.Renewal{Client: "app"})
				if err == nil {
					refresh = next.Refresh.Reveal()
				}
				return err
			}
		}
		for name, call := range calls {
			b.client(t, "app", clients.Client{Carriers: []counterfoil.Carrier{counterfoil.CarrierJWTCookie}})
			if err := call(); !errors.Is(err, counterfoil.ErrInvalidToken) || errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("%v: %s = %v, want ErrInvalidToken alone", c, name, err)
			}
			b.client(t, "app", clients.Client{Carriers: []counterfoil.Carrier{c}})
			if err := call(); err != nil {
				t.Errorf("%v: %s with the carrier back = %v", c, name, err)
			}
		}
	}
}

// A signed copy is good in the form that it was handed out in: what was encrypted may
// not be shown around without.
func TestInnerTokenAlone(t *testing.T) {
	b := newIssuer(t, memory.New())
	got := b.login(t, "alice", counterfoil.CarrierJWE)
	jwe, err := token.ParseJWE(got.Access.Reveal(), token.AccessType)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := b.keys.Opener(jwe.KeyID())
	inner, err := jwe.Open(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lookup(t.Context(), inner); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Lookup of what is inside = %v, want ErrInvalidToken", err)
	}
}

// REF-07: a copy may have less than the session, and never more; the session keeps
// what it has until the client loses it.
func TestScopesOnlyNarrow(t *testing.T) {
	b := newIssuer(t, memory.New())
	b.client(t, "app", clients.Client{Scopes: []string{"read", "write", "drop"}})
	got, err := b.loginBy(t, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer, Scopes: []string{"read", "write"}})
	if err != nil {
		t.Fatal(err)
	}
	refresh := got.Refresh.Reveal()
	for _, step := range []struct {
		ask  []string
		want string
	}{{[]string{"read"}, "read"}, {nil, "read write"}, {[]string{"drop"}, ""}, {[]string{"read", "drop"}, ""}, {nil, "read write"}} {
		next, err := b.Refresh(t.Context(), refresh, issuer.Renewal{Client: "app", Scopes: step.ask})
		if step.want == "" {
			if !errors.Is(err, clients.ErrScope) {
				t.Errorf("Refresh for %v = %v, want ErrScope", step.ask, err)
			}
			continue
		}
		if err != nil || strings.Join(next.Session.Scopes, " ") != step.want {
			t.Fatalf("Refresh for %v = %+v, %v, want %s", step.ask, next, err, step.want)
		}
		refresh = next.Refresh.Reveal()
	}
	b.client(t, "app", clients.Client{Scopes: []string{"read"}})
	if next, err := b.Refresh(t.Context(), refresh, issuer.Renewal{Client: "app"}); err != nil || strings.Join(next.Session.Scopes, " ") != "read" {
		t.Errorf("Refresh after the client lost a scope = %+v, %v, want read", next, err)
	}
}

// SES-14, REF-08: a client that is disabled or deleted has no sessions, and the same
// name registered anew does not bring them back.
func TestClientEnds(t *testing.T) {
	t.Run("one store", func(t *testing.T) { testClientEnds(t, func() *bench { return newIssuer(t, memory.New()) }) })
	t.Run("two stores", func(t *testing.T) {
		testClientEnds(t, func() *bench { return newIssuerOn(t, memory.New(), memory.New()) })
	})
}

func testClientEnds(t *testing.T, open func() *bench) {
	ends := map[string]func(b *bench) error{
		"disable": func(b *bench) error {
			return b.Clients().Set(context.Background(), rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Disabled = true })
		},
		"delete": func(b *bench) error {
			return b.Clients().Delete(context.Background(), rights.Owner(), "app", audit.Act{})
		},
		"revoke": func(b *bench) error {
			_, err := b.Revoke(context.Background(), source.ScopeClient, "app", audit.Act{})
			return err
		},
	}
	for name, end := range ends {
		for _, carrier := range carriers {
			b := open()
			b.client(t, "app", clients.Client{})
			got, err := b.loginBy(t, issuer.Request{Client: "app", Carrier: carrier})
			if err != nil {
				t.Fatal(err)
			}
			refused := func(when string) {
				t.Helper()
				if _, err := b.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("%s, %v, %s: Lookup = %v, want ErrInvalidToken", name, carrier, when, err)
				}
				if r := got.Refresh.Reveal(); r != "" {
					if _, err := b.Refresh(t.Context(), r, issuer.Renewal{Client: "app"}); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("%s, %v, %s: Refresh = %v, want ErrInvalidToken", name, carrier, when, err)
					}
				}
			}
			if err := end(b); err != nil {
				t.Fatal(err)
			}
			refused("after it")
			_, err = b.loginBy(t, issuer.Request{Client: "app", Carrier: carrier})
			if want := map[string]error{"disable": clients.ErrDisabled, "delete": clients.ErrUnknown}[name]; !errors.Is(err, want) {
				t.Errorf("%s: Login = %v, want %v", name, err, want)
			}
			b.client(t, "app", clients.Client{})
			refused("when the client is back")
			if _, err = b.loginBy(t, issuer.Request{Client: "app", Carrier: carrier}); err != nil {
				t.Errorf("%s: Login when the client is back = %v", name, err)
			}
		}
	}
}

// A login that is under way when its client is disabled loses.
func TestLoginRacesDisabling(t *testing.T) {
	for n := range 100 {
		b := newIssuer(t, memory.New())
		if n%2 == 0 {
			b = newIssuerOn(t, memory.New(), memory.New())
		}
		b.client(t, "app", clients.Client{})
		var wg sync.WaitGroup
		var won []*issuer.Issued
		var mu sync.Mutex
		proof := b.proof(t, "alice")
		for range 4 {
			wg.Go(func() {
				got, err := b.Login(context.Background(), proof, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer})
				if err == nil {
					mu.Lock()
					won = append(won, got)
					mu.Unlock()
				} else if !errors.Is(err, clients.ErrDisabled) {
					t.Errorf("Login = %v", err)
				}
			})
		}
		wg.Go(func() {
			if err := b.Clients().Set(context.Background(), rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Disabled = true }); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		for _, got := range won {
			if _, err := b.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Fatalf("a login outlived its client: %v", err)
			}
		}
	}
}

// encryptionKey is the public half of a new key for ECDH-ES+A256KW.
func encryptionKey(t *testing.T, id string) *clients.EncryptionKey {
	t.Helper()
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := counterfoil.DecryptionKey{ID: id, Agreement: private, Wrapped: true}.PublicJWK()
	if err != nil {
		t.Fatal(err)
	}
	key, err := clients.ParseEncryptionKey(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// SES-10: what is taken for small enough without a try fits the cookie, also in a JWE to
// the longest kid, signed with the longest signature.
func TestSmallClaimsFitAnyKey(t *testing.T) {
	key := encryptionKey(t, strings.Repeat("k", 64))
	b := newIssuer(t, memory.New())
	b.client(t, "app", clients.Client{EncryptionKey: key})
	got, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Client: "app", Carrier: counterfoil.CarrierJWECookie})
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(got.Access.Reveal(), ".")
	const signature = 1024 // of an RSA key of 8192 bits
	inner := base64.RawURLEncoding.EncodedLen(issuer.RoomForClaims(key)) + base64.RawURLEncoding.EncodedLen(signature) + 200
	whole := len(header) + base64.RawURLEncoding.EncodedLen(inner) + 54 + 16 + 22 + 4
	if most := 4096 - len(source.CookieName); whole > most {
		t.Errorf("a JWE of %d bytes would not be tried out, and a cookie holds %d", whole, most)
	}
}

// SES-10: claims that no cookie holds are refused before anything is written.
func TestTooLargeForItsCarrier(t *testing.T) {
	b := newIssuer(t, memory.New())
	proof := b.proof(t, "alice")
	for n := range 31 {
		proof.Roles = append(proof.Roles, strings.Repeat("r", 62)+string(rune('A'+n)))
	}
	big := map[string]string{"a": strings.Repeat("x", 1000)}
	sessions := func() (n int) {
		for _, kind := range []store.Kind{"session", "grant", "audit"} {
			for range b.store.List(t.Context(), kind, "*", "") {
				n++
			}
		}
		return n
	}
	before := sessions()
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierJWTCookie, counterfoil.CarrierJWECookie} {
		if _, err := b.Login(t.Context(), proof, issuer.Request{Carrier: c, Attributes: big}); !errors.Is(err, issuer.ErrTooLarge) {
			t.Errorf("%v: Login = %v, want ErrTooLarge", c, err)
		}
	}
	if n := sessions(); n != before {
		t.Errorf("refused logins wrote %d records", n-before)
	}
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
		if _, err := b.Login(t.Context(), proof, issuer.Request{Carrier: c, Attributes: big}); err != nil {
			t.Errorf("%v: Login = %v, want it to fit", c, err)
		}
	}
}

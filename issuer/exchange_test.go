package issuer_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// newExchange is an issuer with a client orders, whose tokens are for a service.
func newExchange(t *testing.T) *bench {
	b := newIssuer(t, memory.New())
	b.setClient(t, "orders", func(c *clients.Client) {
		c.Scopes, c.Audience = []string{"read", "write"}, []string{"https://orders.test"}
	})
	return b
}

func (b *bench) setClient(t *testing.T, id string, change func(*clients.Client)) {
	t.Helper()
	if err := b.Clients().Set(t.Context(), rights.Owner(), id, audit.Act{}, change); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) exchange(t *testing.T, credential string) (*issuer.Issued, error) {
	t.Helper()
	return b.Exchange(t.Context(), credential, issuer.Request{Client: "orders", Act: audit.Act{By: "key:gateway"}})
}

// The cookie of a browser gets tokens for a service: as many programs as like, and none ends what
// another one has. All of it ends with the session, and no refresh token is there.
func TestExchange(t *testing.T) {
	b := newExchange(t)
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierJWTCookie} {
		in := b.login(t, "alice", carrier)
		var tokens []string
		for range 3 {
			got, err := b.exchange(t, in.Access.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			s := got.Session
			if s.ID != in.Session.ID || s.Client != "orders" || s.Audience[0] != "https://orders.test" || len(s.Scopes) != 2 || s.Subject != "alice" || !s.HasRole("staff") || s.Carrier != counterfoil.CarrierBearer {
				t.Fatalf("the session of the token: %+v", s)
			}
			if got.Refresh.Reveal() != "" || got.ExpiresIn <= 0 || got.ExpiresIn > 5*time.Minute {
				t.Errorf("refresh token %q, expires in %v", got.Refresh.Reveal(), got.ExpiresIn)
			}
			tokens = append(tokens, got.Access.Reveal())
		}
		sessions, err := b.Session(t.Context(), in.Session.ID)
		if err != nil || len(sessions.Grants) != 2 || sessions.Grants[1].Client != "orders" {
			t.Fatalf("the list shows %+v, %v", sessions, err)
		}
		for _, token := range tokens {
			if _, err := b.Lookup(t.Context(), token); err != nil {
				t.Errorf("a token that another exchange came after: %v", err)
			}
			if _, err := b.exchange(t, token); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("a token in exchange for a token: %v, want ErrInvalidToken", err)
			}
		}
		// A grant that is ended takes the tokens with it, and the cookie gets new ones.
		if _, err := b.EndGrant(t.Context(), in.Session.ID, "orders", audit.Act{}); err != nil {
			t.Fatal(err)
		}
		anew, err := b.exchange(t, in.Access.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			if _, err := b.Lookup(t.Context(), token); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("a token of a grant that has ended: %v, want ErrRevoked", err)
			}
		}
		if _, err := b.Revoke(t.Context(), source.ScopeSession, in.Session.ID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Lookup(t.Context(), anew.Access.Reveal()); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("a token of a session that has ended: %v, want ErrRevoked", err)
		}
		if _, err := b.exchange(t, in.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("the cookie of a session that has ended: %v, want ErrInvalidToken", err)
		}
	}
}

// Only the cookie of a session is exchanged, for a client that may have tokens. A step-up and other
// settings of the client are in the next token.
func TestExchangeIsForCookies(t *testing.T) {
	b := newExchange(t)
	if _, err := b.exchange(t, b.login(t, "alice", counterfoil.CarrierBearer).Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("a token in a header: %v, want ErrInvalidToken", err)
	}
	in := b.login(t, "alice", counterfoil.CarrierCookie)
	for client, want := range map[string]error{"nobody": clients.ErrUnknown, clients.Default: issuer.ErrOwnClient, "cookies": clients.ErrCarrier} {
		if client == "cookies" {
			b.setClient(t, client, func(c *clients.Client) { c.Carriers = []counterfoil.Carrier{counterfoil.CarrierCookie} })
		}
		if _, err := b.Exchange(t.Context(), in.Access.Reveal(), issuer.Request{Client: client}); !errors.Is(err, want) {
			t.Errorf("for client %s: %v, want %v", client, err, want)
		}
	}
	// What is asked for is all that the token is for and may do, or nothing is made.
	for _, c := range []struct {
		ask  issuer.Request
		want error
	}{
		{issuer.Request{Audience: []string{"https://shop.test"}}, issuer.ErrTarget},
		{issuer.Request{Audience: []string{"https://orders.test", "https://shop.test"}}, issuer.ErrTarget},
		{issuer.Request{Scopes: []string{"read"}}, clients.ErrScope},
		{issuer.Request{Scopes: []string{"read", "write", "cancel"}}, clients.ErrScope},
		{issuer.Request{Audience: []string{"https://orders.test"}, Scopes: []string{"write", "read"}}, nil},
		{issuer.Request{Audience: []string{"https://shop.test"}}, issuer.ErrTarget}, // although the grant is there
		{issuer.Request{Scopes: []string{"write"}}, clients.ErrScope},
	} {
		before, err := b.Session(t.Context(), in.Session.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.ask.Client = "orders"
		_, failed := b.Exchange(t.Context(), in.Access.Reveal(), c.ask)
		after, err := b.Session(t.Context(), in.Session.ID)
		if !errors.Is(failed, c.want) || err != nil || c.want != nil && len(after.Grants) != len(before.Grants) {
			t.Errorf("exchange for %v and %v: %v, want %v; grants before %v, after %v", c.ask.Audience, c.ask.Scopes, failed, c.want, before.Grants, after.Grants)
		}
		if c.want == nil && !slices.Equal(after.Grants[1].Scopes, []string{"read", "write"}) {
			t.Errorf("the grant has %q, want the order of the client: with another, each exchange would make it anew", after.Grants[1].Scopes)
		}
	}
	exchanged := func(access string) *issuer.Issued {
		t.Helper()
		got, err := b.exchange(t, access)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	exchanged(in.Access.Reveal())
	b.setClient(t, "orders", func(c *clients.Client) { c.Scopes = []string{"read", "write", "cancel"} })
	if got := exchanged(in.Access.Reveal()); len(got.Session.Scopes) != 3 {
		t.Errorf("the client has another scope by now, and the token has %v", got.Session.Scopes)
	}
	again := b.proof(t, "alice")
	again.Methods = []string{"otp"}
	in, err := b.StepUp(t.Context(), in.Session.ID, again, audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	if got := exchanged(in.Access.Reveal()); len(got.Session.Methods) != 2 || got.Session.ID != in.Session.ID {
		t.Errorf("after a step-up: %+v", got.Session)
	}
	// A client that got refresh tokens by a grant of its own: what is exchanged replaces it.
	held, err := b.AddGrant(t.Context(), in.Session.ID, issuer.Request{Client: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	exchanged(in.Access.Reveal())
	if _, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{Client: "orders"}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the refresh token of the grant before: %v, want ErrInvalidToken", err)
	}
	b.setClient(t, "orders", func(c *clients.Client) { c.Disabled = true })
	if _, err := b.exchange(t, in.Access.Reveal()); !errors.Is(err, clients.ErrDisabled) {
		t.Errorf("a disabled client: %v, want ErrDisabled", err)
	}
}

// A grant without refresh tokens is used as the session's own client is: a session that nobody
// refreshes leaves the list, although a token was exchanged.
func TestExchangeKeepsNoSession(t *testing.T) {
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.RefreshIdle = time.Hour })
	b.setClient(t, "orders", func(*clients.Client) {})
	in := b.login(t, "alice", counterfoil.CarrierJWTCookie)
	if _, err := b.exchange(t, in.Access.Reveal()); err != nil {
		t.Fatal(err)
	}
	shown, err := b.Session(t.Context(), in.Session.ID)
	if err != nil || len(shown.Grants) != 2 || !shown.Grants[1].IdleExpires.Equal(shown.Grants[0].IdleExpires) {
		t.Errorf("the session is %+v, %v, want two grants that end together", shown, err)
	}
	b.clock.add(2 * time.Hour)
	if shown, err := b.Session(t.Context(), in.Session.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a session that was not refreshed: %+v, %v, want store.ErrNotFound", shown, err)
	}
}

// A grant without refresh tokens is renewed by the cookie of the login alone. Once the client of that cookie is
// disabled, no list has a session that is left with such a grant, and it takes no other's place. A grant
// with refresh tokens of its own lives on.
func TestExchangeEndsWithTheClientOfTheLogin(t *testing.T) {
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.MaxSessions = 2 })
	for _, id := range []string{"web", "orders", "mail"} {
		b.setClient(t, id, func(*clients.Client) {})
	}
	login := func(client string) *issuer.Issued {
		t.Helper()
		in, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Client: client, Carrier: counterfoil.CarrierCookie})
		if err != nil {
			t.Fatal(err)
		}
		b.clock.add(time.Second)
		return in
	}
	exchanged, kept := login("web"), login("web")
	if _, err := b.exchange(t, exchanged.Access.Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.exchange(t, kept.Access.Reveal()); err != nil {
		t.Fatal(err)
	}
	mail, err := b.AddGrant(t.Context(), kept.Session.ID, issuer.Request{Client: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	b.setClient(t, "web", func(c *clients.Client) { c.Disabled = true })
	if shown, err := b.Session(t.Context(), exchanged.Session.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session of the disabled client: %+v, %v, want ErrNotFound", shown, err)
	}
	rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
	if err != nil || len(rows) != 1 || len(rows[0].Grants) != 1 || rows[0].Grants[0].Client != "mail" {
		t.Fatalf("alice has %+v, %v, want one session with the grant of mail", rows, err)
	}
	login(clients.Default) // the second of two
	if _, err := b.Refresh(t.Context(), mail.Refresh.Reveal(), issuer.Renewal{Client: "mail"}); err != nil {
		t.Errorf("the grant of mail after another login: %v", err)
	}
}

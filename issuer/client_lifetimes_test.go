package issuer_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// short are the lifetimes of the client "short" in these tests. The client "long" has none of its own.
var short = clients.Lifetimes{
	AccessTTL: clients.Lifetime(time.Minute), Idle: clients.Lifetime(6 * time.Minute),
	RefreshIdle: clients.Lifetime(20 * time.Minute), Absolute: clients.Lifetime(2 * time.Hour),
}

// withLifetimes runs a test on stores in memory and in SQLite, with both clients. The server's lifetimes
// are 5 min, 1 h, 7 days and 24 h.
func withLifetimes(t *testing.T, test func(t *testing.T, b *bench)) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(t *testing.T) store.Store { return memory.New() },
		"sqlite": func(t *testing.T) store.Store {
			s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "c.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newIssuer(t, open(t))
			b.clock.now = time.Now().Truncate(time.Minute)
			b.client(t, "short", clients.Client{Lifetimes: short})
			b.client(t, "long", clients.Client{})
			test(t, b)
		})
	}
}

func (b *bench) loginAt(t *testing.T, client string, c counterfoil.Carrier) *issuer.Issued {
	t.Helper()
	got, err := b.loginBy(t, issuer.Request{Client: client, Carrier: c})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// setClaims changes what the copies of alice say, so that no guess of what her session rests on is right.
func (b *bench) setClaims(t *testing.T, role string) {
	t.Helper()
	if err := b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{strings.ReplaceAll(role[:19], " ", "-")} }); err != nil {
		t.Fatal(err)
	}
}

// life is how long the next copy lives for which i is good.
func (b *bench) life(t *testing.T, i *issuer.Issued) time.Duration {
	t.Helper()
	s := i.Session
	if i.Session.Carrier.Format == counterfoil.Opaque {
		var err error
		if s, err = b.Lookup(t.Context(), i.Access.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	return s.Expires.Sub(b.clock.Now())
}

// SES-12, REF-05: a client's own lifetime of a copy is that of all its copies, and of no other client's.
// What verifiers keep of an opaque session is shorter still, so that its use is noticed.
func TestCopiesOfAClient(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		for _, carrier := range carriers {
			for client, most := range map[string]time.Duration{"short": time.Minute, "long": 5 * time.Minute} {
				i := b.loginAt(t, client, carrier)
				if life := b.life(t, i); life > most || life < most*9/10 {
					t.Errorf("%s, %v: a copy lives %v, want %v", client, carrier, life, most)
				}
				if i.Refresh.Reveal() == "" {
					continue
				}
				b.clock.add(10 * time.Second)
				next, err := b.refresh(i, client)
				if err != nil {
					t.Fatal(err)
				}
				if life := b.life(t, next); life > most || life < most*9/10 || next.ExpiresIn != life {
					t.Errorf("%s, %v: a refreshed copy lives %v, and is said to live %v, want %v", client, carrier, life, next.ExpiresIn, most)
				}
			}
		}
		b.client(t, "short", clients.Client{Lifetimes: clients.Lifetimes{Idle: clients.Lifetime(3 * time.Minute)}})
		if life := b.life(t, b.loginAt(t, "short", counterfoil.CarrierCookie)); life > time.Minute {
			t.Errorf("what verifiers keep of a session that ends after 3 unused minutes lives %v, want a third", life)
		}
	})
}

// SES-12: a session of a client ends after the client's absolute lifetime, used or not.
func TestAbsoluteEndOfAClient(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
			begun, held := b.clock.Now(), map[string]*issuer.Issued{}
			for client, life := range map[string]time.Duration{"short": 2 * time.Hour, "long": 24 * time.Hour} {
				if held[client] = b.loginAt(t, client, carrier); !held[client].SessionExpires.Equal(begun.Add(life)) {
					t.Errorf("%s, %v: it ends at %v, want after %v", client, carrier, held[client].SessionExpires, life)
				}
			}
			use := func(client string) error {
				if carrier == counterfoil.CarrierCookie {
					_, err := b.Lookup(t.Context(), held[client].Access.Reveal())
					return err
				}
				next, err := b.refresh(held[client], client)
				if err == nil {
					held[client] = next
				}
				return err
			}
			for b.clock.Now().Before(begun.Add(2 * time.Hour)) {
				for client := range held {
					if err := use(client); err != nil {
						t.Fatalf("%s, %v: after %v of use: %v", client, carrier, b.clock.Now().Sub(begun), err)
					}
				}
				if end := held["short"].Session.Expires; end.After(begun.Add(2 * time.Hour)) {
					t.Fatalf("%v: a copy lives until %v", carrier, end)
				}
				b.clock.add(4 * time.Minute)
			}
			if err := use("short"); !errors.Is(err, counterfoil.ErrExpired) {
				t.Errorf("%v: after its absolute lifetime: %v, want ErrExpired", carrier, err)
			}
			if err := use("long"); err != nil {
				t.Errorf("%v: the other client: %v", carrier, err)
			}
		}
	})
}

// SES-12, SES-22: an opaque session ends after its client's idle lifetime, and not while it is used, also
// behind a verifier that asks only when its copy is over.
func TestIdleEndOfAClient(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		for _, idle := range []time.Duration{3 * time.Minute, 6 * time.Minute} {
			b.client(t, "short", clients.Client{Lifetimes: clients.Lifetimes{Idle: clients.Lifetime(idle)}})
			i, other := b.loginAt(t, "short", counterfoil.CarrierCookie), b.loginAt(t, "long", counterfoil.CarrierCookie)
			if row, err := b.Session(t.Context(), i.Session.ID); err != nil || !row.IdleExpires.Equal(b.clock.Now().Add(idle).Truncate(time.Minute)) {
				t.Errorf("Session = %+v, %v, want that it ends in %v", row, err, idle)
			}
			var good time.Time // until then a verifier has a copy
			for begun := b.clock.Now(); b.clock.Now().Sub(begun) < 5*idle; b.clock.add(10 * time.Second) {
				if b.clock.Now().Before(good) {
					continue
				}
				s, err := b.Lookup(t.Context(), i.Access.Reveal())
				if err != nil {
					t.Fatalf("idle %v: after %v of use: %v", idle, b.clock.Now().Sub(begun), err)
				}
				good = s.Expires
			}
			b.clock.add(idle)
			if _, err := b.Lookup(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrExpired) {
				t.Errorf("idle %v: unused for so long: %v, want ErrExpired", idle, err)
			}
			i, err := b.StepUp(t.Context(), b.loginAt(t, "short", counterfoil.CarrierCookie).Session.ID, b.proof(t, "alice"), audit.Act{})
			if err != nil {
				t.Fatal(err)
			}
			if row, err := b.Session(t.Context(), i.Session.ID); err != nil || !row.IdleExpires.Equal(b.clock.Now().Add(idle).Truncate(time.Minute)) {
				t.Errorf("Session = %+v, %v, want that it ends %v after the step-up", row, err, idle)
			}
			if _, err := b.Lookup(t.Context(), other.Access.Reveal()); err != nil {
				t.Errorf("the other client, after %v: %v", 6*idle, err)
			}
		}
	})
}

// REF-05: a login with tokens ends when it was not refreshed for as long as its client says, and lists
// show that end.
func TestRefreshIdleOfAClient(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		i, other := b.loginAt(t, "short", counterfoil.CarrierBearer), b.loginAt(t, "long", counterfoil.CarrierBearer)
		b.clock.add(19 * time.Minute)
		i, err := b.refresh(i, "short")
		if err != nil {
			t.Fatal(err)
		}
		if row, err := b.Session(t.Context(), i.Session.ID); err != nil || !row.IdleExpires.Equal(b.clock.Now().Add(20*time.Minute)) {
			t.Errorf("Session = %+v, %v, want that it ends in 20 minutes", row, err)
		}
		b.clock.add(20 * time.Minute)
		if _, err := b.refresh(i, "short"); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("Refresh after 20 minutes = %v, want ErrExpired", err)
		}
		if _, err := b.StepUp(t.Context(), i.Session.ID, b.proof(t, "alice"), audit.Act{}); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("StepUp after 20 minutes = %v, want ErrExpired", err)
		}
		if _, err := b.AddGrant(t.Context(), i.Session.ID, issuer.Request{Client: "long"}); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("AddGrant after 20 minutes = %v, want ErrExpired", err)
		}
		rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
		if err != nil || len(rows) != 1 || rows[0].Client != "long" {
			t.Errorf("Sessions = %+v, %v, want that of the other client", rows, err)
		}
		if _, err := b.refresh(other, "long"); err != nil {
			t.Errorf("the other client: %v", err)
		}
	})
}

// REF-05: what a client holds of another client's session has the lifetimes of its holder, and the session
// those of its own client.
func TestLifetimesOfGrants(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		web := b.loginAt(t, "long", counterfoil.CarrierBearer)
		grant := func() *issuer.Issued {
			t.Helper()
			i, err := b.AddGrant(t.Context(), web.Session.ID, issuer.Request{Client: "short"})
			if err != nil {
				t.Fatal(err)
			}
			return i
		}
		begun, app := b.clock.Now(), grant()
		if life := b.life(t, app); life > time.Minute || !app.SessionExpires.Equal(begun.Add(2*time.Hour)) {
			t.Errorf("a copy lives %v, and the grant until %v", life, app.SessionExpires)
		}
		for b.clock.Now().Before(begun.Add(2 * time.Hour)) {
			next, err := b.refresh(app, "short")
			if err != nil {
				t.Fatalf("after %v: %v", b.clock.Now().Sub(begun), err)
			}
			if app = next; app.Session.Expires.After(begun.Add(2*time.Hour)) || !app.SessionExpires.Equal(begun.Add(2*time.Hour)) {
				t.Fatalf("a copy lives until %v, and the grant until %v", app.Session.Expires, app.SessionExpires)
			}
			if b.clock.add(14 * time.Minute); b.clock.Now().Sub(begun) > time.Hour { // the next refresh looks twice
				b.setClaims(t, b.clock.Now().String())
			}
		}
		if _, err := b.refresh(app, "short"); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("the grant after its absolute lifetime: %v, want ErrExpired", err)
		}
		row, err := b.Session(t.Context(), web.Session.ID)
		if err != nil || len(row.Grants) != 1 || row.Grants[0].Client != "long" {
			t.Fatalf("Session = %+v, %v, want the own client's grant alone", row, err)
		}
		app = grant()
		b.clock.add(20 * time.Minute)
		if _, err := b.refresh(app, "short"); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("the grant, unused: %v, want ErrExpired", err)
		}
		if web, err = b.refresh(web, "long"); err != nil {
			t.Errorf("the session's own client: %v", err)
		}
		b.client(t, "short", clients.Client{Lifetimes: clients.Lifetimes{Absolute: clients.Lifetime(time.Minute)}})
		if app = grant(); app.Session.Expires.After(app.SessionExpires) || !app.SessionExpires.Equal(b.clock.Now().Add(time.Minute)) {
			t.Errorf("the first copy lives until %v, and the grant until %v, want a minute", app.Session.Expires, app.SessionExpires)
		}
	})
}

// What an exchange gives is renewed by the cookie, so its end is that of the session.
func TestExchangeHasTheEndOfTheCookie(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		web := b.loginAt(t, "short", counterfoil.CarrierJWTCookie)
		got, err := b.Exchange(t.Context(), web.Access.Reveal(), issuer.Request{Client: "long"})
		if err != nil || !got.SessionExpires.Equal(web.SessionExpires) {
			t.Fatalf("Exchange = %+v, %v", got, err)
		}
		row, err := b.Session(t.Context(), web.Session.ID)
		if err != nil || len(row.Grants) != 2 || !row.Grants[1].IdleExpires.Equal(b.clock.Now().Add(20*time.Minute)) {
			t.Errorf("Session = %+v, %v, want two grants that end in 20 minutes", row, err)
		}
		web = b.loginAt(t, "long", counterfoil.CarrierJWTCookie)
		got, err = b.Exchange(t.Context(), web.Access.Reveal(), issuer.Request{Client: "short"})
		if err != nil || !got.SessionExpires.Equal(web.SessionExpires) || b.life(t, got) > time.Minute {
			t.Errorf("Exchange = %+v, %v, want a short copy", got, err)
		}
	})
}

// A cookie at a host is use of the session, which ends as its client says.
func TestIdleAtHostOfAClient(t *testing.T) {
	b := newIssuer(t, memory.New())
	b.clock.now = time.Now().Truncate(time.Minute)
	web := b.hosts(t)
	b.setClient(t, "web", func(c *clients.Client) { c.Lifetimes = short })
	b.at(t, web, appOrigin)
	if row, err := b.Session(t.Context(), web.Session.ID); err != nil || !row.IdleExpires.Equal(b.clock.Now().Add(6*time.Minute)) {
		t.Errorf("Session = %+v, %v, want that it ends 6 minutes after the handover", row, err)
	}
}

// A grant that another client refreshes is use of a cookie session, which goes on for as long as its own
// client says, and no longer.
func TestUseByAnotherClient(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		web := b.loginAt(t, "short", counterfoil.CarrierCookie)
		app, err := b.AddGrant(t.Context(), web.Session.ID, issuer.Request{Client: "long"})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			b.clock.add(5 * time.Minute)
			if app, err = b.refresh(app, "long"); err != nil {
				t.Fatal(err)
			}
		}
		b.clock.add(5 * time.Minute)
		if row, err := b.Session(t.Context(), web.Session.ID); err != nil || !row.IdleExpires.Equal(b.clock.Now().Add(time.Minute)) {
			t.Errorf("Session = %+v, %v, want that it ends 6 minutes after the last use", row, err)
		}
		b.clock.add(time.Minute)
		if _, err := b.refresh(app, "long"); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("the session was unused for 6 minutes: %v, want ErrExpired", err)
		}
	})
}

// What a change of a client's lifetimes does to its sessions that live. None of them gets longer.
func TestLifetimesChange(t *testing.T) {
	withLifetimes(t, func(t *testing.T, b *bench) {
		cookie, tokens := b.loginAt(t, "long", counterfoil.CarrierCookie), b.loginAt(t, "long", counterfoil.CarrierBearer)
		ends := cookie.SessionExpires
		b.clock.add(10 * time.Minute)
		b.client(t, "long", clients.Client{Lifetimes: short})
		if _, err := b.Lookup(t.Context(), tokens.Access.Reveal()); !errors.Is(err, counterfoil.ErrExpired) {
			t.Fatal(err)
		}
		s, err := b.Lookup(t.Context(), cookie.Access.Reveal())
		if err != nil || s.Expires.Sub(b.clock.Now()) > time.Minute {
			t.Errorf("a session in use, when the idle lifetime got shorter than it was unused: %+v, %v", s, err)
		}
		tokens, err = b.refresh(tokens, "long")
		if err != nil || b.life(t, tokens) > time.Minute || !tokens.SessionExpires.Equal(ends) {
			t.Errorf("Refresh = %+v, %v, want a short copy, and the end of before", tokens, err)
		}
		if next := b.loginAt(t, "long", counterfoil.CarrierCookie); !next.SessionExpires.Equal(b.clock.Now().Add(2 * time.Hour)) {
			t.Errorf("a new login ends at %v, want after 2 hours", next.SessionExpires)
		}
		b.clock.add(6 * time.Minute)
		if _, err := b.Lookup(t.Context(), cookie.Access.Reveal()); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("the session, unused since: %v, want ErrExpired", err)
		}
		begun := b.loginAt(t, "long", counterfoil.CarrierBearer)
		b.clock.add(20*time.Minute - 6*time.Minute)
		if _, err := b.refresh(tokens, "long"); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("tokens that were not refreshed since: %v, want ErrExpired", err)
		}
		b.client(t, "long", clients.Client{})
		begun, err = b.refresh(begun, "long")
		if err != nil || !begun.SessionExpires.Equal(b.clock.Now().Add(2*time.Hour-14*time.Minute)) {
			t.Errorf("Refresh without lifetimes = %+v, %v, want that the session ends when it would have", begun, err)
		}
	})
}

// REV-13: no client has a longer lifetime than the server, whichever of them was set first: the log keeps
// its entries for as long as the server's copies live at most.
func TestServerIsTheLongest(t *testing.T) {
	db := memory.New()
	b := newIssuer(t, db)
	b.client(t, "app", clients.Client{Lifetimes: clients.Lifetimes{
		AccessTTL: clients.Lifetime(4 * time.Minute), Idle: clients.Lifetime(50 * time.Minute),
		RefreshIdle: clients.Lifetime(48 * time.Hour), Absolute: clients.Lifetime(20 * time.Hour),
	}})
	least := clients.Lifetimes{
		AccessTTL: clients.Lifetime(10 * time.Second), Idle: clients.Lifetime(3 * time.Minute),
		RefreshIdle: clients.Lifetime(15 * time.Minute), Absolute: clients.Lifetime(time.Minute),
	}
	b.client(t, "least", clients.Client{Lifetimes: least})
	after := newIssuerWith(t, db, func(o *issuer.Options) {
		o.AccessTTL, o.Idle, o.RefreshIdle, o.Absolute = 2*time.Minute, 30*time.Minute, 24*time.Hour, 10*time.Hour
	})
	after.clock.now = b.clock.Now().Truncate(time.Second)
	cookie, tokens := after.loginAt(t, "app", counterfoil.CarrierCookie), after.loginAt(t, "app", counterfoil.CarrierBearer)
	if life := after.life(t, tokens); life > 2*time.Minute || !tokens.SessionExpires.Equal(after.clock.Now().Add(10*time.Hour)) {
		t.Errorf("a copy lives %v, and the session until %v", life, tokens.SessionExpires)
	}
	after.clock.add(30 * time.Minute)
	if _, err := after.Lookup(t.Context(), cookie.Access.Reveal()); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("unused for as long as the server allows: %v, want ErrExpired", err)
	}
	tokens, err := after.refresh(tokens, "app")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the longest absolute lifetime of a session that is not refreshed for a day
		after.clock.add(3 * time.Hour)
		if tokens, err = after.refresh(tokens, "app"); err != nil {
			t.Fatal(err)
		}
	}
	after.clock.add(time.Hour)
	if _, err := after.refresh(tokens, "app"); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("after as long as the server allows: %v, want ErrExpired", err)
	}
	c, err := after.Clients().Client(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	want := clients.Lifetimes{
		AccessTTL: clients.Lifetime(2 * time.Minute), Idle: clients.Lifetime(30 * time.Minute),
		RefreshIdle: clients.Lifetime(24 * time.Hour), Absolute: clients.Lifetime(10 * time.Hour),
	}
	if got := after.Clients().InForce(c); got != want {
		t.Errorf("InForce = %+v, want %+v", got, want)
	}
	if least, err := after.Clients().Client(t.Context(), "least"); err != nil || after.Clients().InForce(least) != least.Lifetimes {
		t.Errorf("InForce of the least = %+v, %v", least, err)
	}
	// The client goes on with the lifetimes that it had, and gets no other that is too long.
	set := func(change func(*clients.Client)) error {
		return after.Clients().Set(t.Context(), rights.Owner(), "app", audit.Act{}, change)
	}
	if err := set(func(c *clients.Client) { c.Name = "App" }); err != nil {
		t.Errorf("its name: %v", err)
	}
	if err := set(func(c *clients.Client) { c.Idle += clients.Lifetime(time.Minute) }); !errors.Is(err, clients.ErrBadRequest) {
		t.Errorf("a longer lifetime: %v, want ErrBadRequest", err)
	}
	if err := set(func(c *clients.Client) { c.Disabled = true }); err != nil {
		t.Errorf("disabling it: %v", err)
	}
	if err := after.Clients().Delete(t.Context(), rights.Owner(), "app", audit.Act{}); err != nil {
		t.Errorf("deleting it: %v", err)
	}
}

package issuer_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// covers reports whether a verifier that follows the log refuses s.
func (b *bench) covers(t *testing.T, s *counterfoil.Session) bool {
	t.Helper()
	page, err := b.Log(t.Context(), source.Follow{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		if e.Covers(s.Names()) {
			return true
		}
	}
	return false
}

// An outage of either store at any step of a change that ends a client's sessions is an
// error, and doing it again ends every copy of them, whatever the first time did.
func TestOutageBetweenTwoStores(t *testing.T) {
	for name, end := range map[string]func(b *bench) error{
		"disable": func(b *bench) error {
			return b.Clients().Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Disabled = true })
		},
		"delete": func(b *bench) error { return b.Clients().Delete(t.Context(), rights.Owner(), "app", audit.Act{}) },
		"revoke": func(b *bench) error {
			_, err := b.Revoke(t.Context(), source.ScopeClient, "app", audit.Act{})
			return err
		},
	} {
		for which := range 2 {
			for spared := 0; ; spared++ {
				stores := [2]*storetest.FaultyStore{storetest.Faulty(memory.New()), storetest.Faulty(memory.New())}
				b := newIssuerOn(t, stores[0], stores[1])
				b.client(t, "app", clients.Client{})
				got, err := b.loginBy(t, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer})
				if err != nil {
					t.Fatal(err)
				}
				stores[which].Inject(storetest.Fault{After: spared})
				err = end(b)
				stores[which].Heal()
				if err != nil && !errors.Is(err, counterfoil.ErrUnavailable) {
					t.Fatalf("%s with an outage of store %d from call %d on = %v, want ErrUnavailable", name, which, spared, err)
				}
				outage := err != nil
				if outage {
					if err := end(b); err != nil {
						t.Fatalf("%s again, after an outage of store %d from call %d on = %v", name, which, spared, err)
					}
				}
				if _, err := b.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) || !b.covers(t, got.Session) {
					t.Errorf("%s with an outage of store %d from call %d on leaves a session: %v", name, which, spared, err)
				}
				if !outage {
					break
				}
			}
		}
	}
}

// Sessions go on without the store of users and clients, and a change of a client is
// seen by the next look-up although its settings are remembered.
func TestSessionsWithoutTheOtherStore(t *testing.T) {
	settings := storetest.Faulty(memory.New())
	b := newIssuerOn(t, memory.New(), settings)
	b.client(t, "app", clients.Client{Scopes: []string{"read", "write"}})
	got, err := b.loginBy(t, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lookup(t.Context(), got.Access.Reveal()); err != nil { // from here on its settings are known
		t.Fatal(err)
	}
	settings.Inject(storetest.Fault{})
	if _, err := b.Lookup(t.Context(), got.Access.Reveal()); err != nil {
		t.Errorf("Lookup without the clients' store = %v", err)
	}
	next, err := b.Refresh(t.Context(), got.Refresh.Reveal(), issuer.Renewal{Client: "app"})
	if err != nil || len(next.Session.Scopes) != 2 {
		t.Fatalf("Refresh without the clients' store = %+v, %v", next, err)
	}
	if _, err := b.Revoke(t.Context(), source.ScopeSession, got.Session.ID, audit.Act{}); err != nil {
		t.Errorf("Revoke without the clients' store = %v", err)
	}
	settings.Heal()
	if got, err = b.loginBy(t, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer}); err != nil {
		t.Fatal(err)
	}
	b.client(t, "app", clients.Client{Scopes: []string{"read"}})
	if next, err := b.Refresh(t.Context(), got.Refresh.Reveal(), issuer.Renewal{Client: "app"}); err != nil || len(next.Session.Scopes) != 1 {
		t.Errorf("Refresh after the client lost a scope = %+v, %v", next, err)
	}
}

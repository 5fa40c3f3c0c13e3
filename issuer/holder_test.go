package issuer_test

import (
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store/memory"
)

// What is done with the credentials of an impersonation, and names nobody who did it, was done by who
// impersonates: the trail, and the user's own activity, do not say that it was the user.
func TestHolderOfAnImpersonation(t *testing.T) {
	t.Parallel()
	refresh := func(b *bench, token string) (*issuer.Issued, error) {
		return b.Refresh(t.Context(), token, issuer.Renewal{Nonce: "0123456789abcdef"})
	}
	for what, c := range map[string]struct {
		carrier counterfoil.Carrier
		do      func(b *bench, alice *issuer.Issued) error
	}{
		"gives the session up": {counterfoil.CarrierCookie, func(b *bench, alice *issuer.Issued) error {
			return b.GiveUp(t.Context(), alice.Access.Reveal(), "", audit.Act{})
		}},
		"gives a token up": {counterfoil.CarrierBearer, func(b *bench, alice *issuer.Issued) error {
			return b.GiveUp(t.Context(), alice.Access.Reveal(), "", audit.Act{})
		}},
		"gives the refresh token up": {counterfoil.CarrierBearer, func(b *bench, alice *issuer.Issued) error {
			return b.GiveUp(t.Context(), alice.Refresh.Reveal(), "", audit.Act{})
		}},
		"signs out by the refresh token": {counterfoil.CarrierBearer, func(b *bench, alice *issuer.Issued) error {
			return b.EndByRefresh(t.Context(), alice.Refresh.Reveal(), "", audit.Act{})
		}},
		"gets a grant": {counterfoil.CarrierCookie, func(b *bench, alice *issuer.Issued) error {
			_, err := b.AddGrant(t.Context(), alice.Session.ID, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer})
			return err
		}},
		"refreshes twice": {counterfoil.CarrierBearer, func(b *bench, alice *issuer.Issued) error {
			_, err := refresh(b, alice.Refresh.Reveal())
			if err == nil {
				_, err = refresh(b, alice.Refresh.Reveal())
			}
			return err
		}},
	} {
		b := newIssuer(t, memory.New())
		b.client(t, "app", clients.Client{})
		_, alice := b.impersonated(t, c.carrier)
		before, _, err := b.Audit().List(t.Context(), audit.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.do(b, alice); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		entries, _, err := b.Audit().List(t.Context(), audit.Query{})
		if err != nil || len(entries) <= len(before) {
			t.Fatalf("%s: the trail has %+v, %v", what, entries, err)
		}
		for _, e := range entries[:len(entries)-len(before)] {
			if e.By != audit.BySubject("boss") {
				t.Errorf("%s: the trail has %s by %s", what, e.Action, e.By)
			}
		}
	}
}

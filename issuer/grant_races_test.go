package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// ends are ways in which the grant of client "app" on the session of held ends.
var ends = []func(b *bench, subject string, held *issuer.Issued) error{
	func(b *bench, _ string, held *issuer.Issued) error {
		_, err := b.EndGrant(context.Background(), held.Session.ID, "app", audit.Act{})
		return err
	},
	func(b *bench, _ string, held *issuer.Issued) error {
		return b.Logout(context.Background(), &counterfoil.Session{ID: held.Session.ID, Client: "web"}, audit.Act{})
	},
	func(b *bench, subject string, _ *issuer.Issued) error {
		_, err := b.Revoke(context.Background(), source.ScopeSubject, subject, audit.Act{})
		return err
	},
	func(b *bench, _ string, _ *issuer.Issued) error {
		_, err := b.Revoke(context.Background(), source.ScopeClient, "app", audit.Act{})
		return err
	},
}

// nothingLeft fails the test if anything of the grants is good, for issuer or verifier.
func (b *bench) nothingLeft(t *testing.T, round int, grants ...*issuer.Issued) {
	t.Helper()
	for _, g := range grants {
		if g == nil {
			continue
		}
		if _, err := b.Lookup(t.Context(), g.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("round %d: a copy = %v, want ErrInvalidToken", round, err)
		}
		if _, err := b.refresh(g, "app"); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("round %d: a refresh token = %v, want ErrInvalidToken", round, err)
		}
		b.coveredByLog(t, g.Session)
	}
}

// A grant ends while it is refreshed, or while it is made: whatever the other was told,
// nothing of it lives. What the session's own client holds does, unless the session ended.
func TestGrantRacesItsEnd(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for n := range rounds / 2 {
			subject := fmt.Sprint("subject", n)
			web, app := b.granted(t, subject, counterfoil.CarrierBearer)
			end := ends[n%len(ends)]
			var next *issuer.Issued
			together(func() {
				var err error
				if next, err = b.refresh(app, "app"); err != nil && !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("Refresh = %v", err)
				}
			}, func() {
				if err := end(b, subject, web); err != nil {
					t.Errorf("end %d = %v", n%len(ends), err)
				}
			})
			b.nothingLeft(t, n, app, next)
			if _, err := b.refresh(web, "web"); (err == nil) != (n%len(ends) == 0 || n%len(ends) == 3) {
				t.Errorf("round %d: the session's own client: %v", n, err)
			}
		}
	})
}

// A client is granted while the session ends, or its subject, or the client: nothing that
// was granted before that lives.
func TestGrantIsMadeWhileItEnds(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for n := range rounds / 2 {
			subject := fmt.Sprint("subject", n)
			web, before := b.granted(t, subject, counterfoil.CarrierBearer)
			which := 1 + n%(len(ends)-1) // the end of a grant says nothing of the next one
			var app *issuer.Issued
			together(func() {
				var err error
				app, err = b.AddGrant(context.Background(), web.Session.ID, issuer.Request{Client: "app"})
				if err != nil && !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("AddGrant = %v", err)
				}
			}, func() {
				if err := ends[which](b, subject, web); err != nil {
					t.Errorf("end %d = %v", which, err)
				}
			})
			if which == 3 && app != nil && !b.covers(t, app.Session) {
				app = nil // granted after the client was revoked
			}
			b.nothingLeft(t, n, before, app)
		}
	})
}

// Of grants of one client that are made at once one is left, and all of different clients.
func TestGrantsAtOnce(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		b.client(t, "other", clients.Client{})
		for n := range rounds / 5 {
			web, _ := b.granted(t, fmt.Sprint("subject", n), counterfoil.CarrierCookie)
			var got [4]*issuer.Issued
			add := func(n int, client string) func() {
				return func() {
					var err error
					if got[n], err = b.AddGrant(context.Background(), web.Session.ID, issuer.Request{Client: client}); err != nil {
						t.Errorf("AddGrant(%s) = %v", client, err)
					}
				}
			}
			together(add(0, "app"), add(1, "app"), add(2, "app"), add(3, "other"))
			if t.Failed() {
				return
			}
			alive := 0
			for _, app := range got[:3] {
				if _, err := b.refresh(app, "app"); err == nil {
					alive++
				} else if !b.covers(t, app.Session) {
					t.Errorf("round %d: a replaced grant is not covered", n)
				}
			}
			if _, err := b.refresh(got[3], "other"); alive != 1 || err != nil {
				t.Errorf("round %d: %d grants of one client live, and of the other: %v", n, alive, err)
			}
		}
	})
}

package issuer_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// held is how many sessions and grants of further clients live.
func (b *bench) held(t *testing.T, subjects ...string) (e issuer.Ending) {
	t.Helper()
	for _, s := range subjects {
		for after := ""; ; {
			rows, next, err := b.Sessions(t.Context(), s, after, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				e.Sessions++
				e.Grants += len(row.Grants) - 1
			}
			if after = next; after == "" {
				break
			}
		}
	}
	return e
}

func (b *bench) wouldEnd(t *testing.T, scope source.Scope, id string) (sum issuer.Ending) {
	t.Helper()
	for after, n := "", 0; n == 0 || after != ""; n++ {
		e, next, err := b.WouldEnd(t.Context(), scope, id, after, 3)
		if err != nil {
			t.Fatalf("WouldEnd(%s %s) = %v", scope, id, err)
		}
		sum.Sessions, sum.Grants, after = sum.Sessions+e.Sessions, sum.Grants+e.Grants, next
	}
	return sum
}

// A revocation ends as many sessions as WouldEnd says. WouldEnd itself ends none.
func TestWouldEnd(t *testing.T) {
	for _, scope := range []source.Scope{source.ScopeSession, source.ScopeGrant, source.ScopeSubject, source.ScopeClient, source.ScopeAll, source.ScopeToken, source.ScopeKey} {
		b := newIssuer(t, memory.New())
		web, _ := b.granted(t, "alice", counterfoil.CarrierBearer)
		for n := range 7 {
			b.login(t, "alice", counterfoil.CarrierCookie)
			b.login(t, fmt.Sprint("bob", n%2), counterfoil.CarrierBearer)
		}
		everybody := []string{"alice", "bob0", "bob1"}
		id := map[source.Scope]string{
			source.ScopeSession: web.Session.ID, source.ScopeGrant: web.Session.ID + " app", source.ScopeSubject: "alice",
			source.ScopeClient: "app", source.ScopeToken: "jti-of-a-token", source.ScopeKey: b.SigningKeys()[0].ID,
		}[scope]
		before := b.held(t, everybody...)
		want := b.wouldEnd(t, scope, id)
		if after := b.held(t, everybody...); after != before {
			t.Fatalf("%s: WouldEnd itself changed %+v to %+v", scope, before, after)
		}
		if _, err := b.Revoke(t.Context(), scope, id, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		after := b.held(t, everybody...)
		// Grants of sessions that ended are not counted: the session is.
		if scope == source.ScopeSession || scope == source.ScopeSubject || scope == source.ScopeAll {
			after.Grants = before.Grants
		}
		if got := (issuer.Ending{Sessions: before.Sessions - after.Sessions, Grants: before.Grants - after.Grants}); got != want {
			t.Errorf("%s: the revocation ended %+v, WouldEnd said %+v", scope, got, want)
		}
		if again := b.wouldEndOrNone(t, scope, id); again != (issuer.Ending{}) {
			t.Errorf("%s: a second revocation would end %+v", scope, again)
		}
	}
}

// wouldEndOrNone is wouldEnd of what may be gone.
func (b *bench) wouldEndOrNone(t *testing.T, scope source.Scope, id string) issuer.Ending {
	t.Helper()
	if _, _, err := b.WouldEnd(t.Context(), scope, id, "", 0); errors.Is(err, store.ErrNotFound) {
		return issuer.Ending{}
	}
	return b.wouldEnd(t, scope, id)
}

// WouldEnd fails for what Revoke would not take, and for what is not there.
func TestWouldEndNothing(t *testing.T) {
	b := newIssuer(t, memory.New())
	for _, c := range []struct {
		scope source.Scope
		id    string
		want  error
	}{
		{source.ScopeSession, "ses_none", store.ErrNotFound}, {source.ScopeGrant, "ses_none app", store.ErrNotFound}, {source.ScopeKey, "knone", store.ErrNotFound},
		{source.ScopeSubject, "*", issuer.ErrBadRequest}, {source.ScopeSession, "", issuer.ErrBadRequest}, {source.ScopeAll, "x", issuer.ErrBadRequest},
		{source.ScopeGrant, "ses_none", issuer.ErrBadRequest}, {source.ScopeOthers, "x", issuer.ErrBadRequest}, {"", "", issuer.ErrBadRequest},
		{source.ScopeClient, "nobody", issuer.ErrBadRequest},
	} {
		if _, _, err := b.WouldEnd(t.Context(), c.scope, c.id, "", 0); !errors.Is(err, c.want) {
			t.Errorf("WouldEnd(%s %s) = %v, want %v", c.scope, c.id, err, c.want)
		}
		if _, err := b.Revoke(t.Context(), c.scope, c.id, audit.Act{}); err == nil {
			t.Errorf("Revoke(%s %s) takes what WouldEnd refuses", c.scope, c.id)
		}
	}
}

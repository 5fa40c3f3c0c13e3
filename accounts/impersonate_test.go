package accounts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Only a session with the role admin impersonates, with a reason, and nobody who administers,
// whatever says so. A user who gets a role of administration loses the impersonation.
func TestImpersonate(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	boss := n.user("boss", accounts.RoleAdmin)
	own := n.signIn(boss, counterfoil.CarrierBearer).Session
	alice := n.user("alice", "staff")
	asleep := n.user("asleep")
	_, err := n.Users().Update(t.Context(), rights.Owner(), asleep.ID, noAct, status(directory.Disabled))
	must(t, err)
	promoted := n.user("promoted-later")
	must(t, n.Issuer().SetSubject(t.Context(), promoted.ID, noAct, func(s *issuer.Subject) { s.Roles = []string{accounts.RoleSupport} }))
	byProgram := n.user("by-program")
	_, err = n.Users().SignIn(t.Context(), rights.Owner(), byProgram.ID, []string{accounts.RoleAuditor}, issuer.Request{}, nil)
	must(t, err)
	written := n.user("never-signed-in", accounts.RoleSupport)
	helper := n.signIn(n.user("helper", accounts.RoleSupport), counterfoil.CarrierBearer).Session
	try := func(by *counterfoil.Session, user, reason string) (*issuer.Issued, error) {
		return n.Users().Impersonate(t.Context(), rights.Program(), by, user, issuer.Request{Carrier: counterfoil.CarrierBearer, Act: audit.Act{By: audit.BySubject(boss.ID), Reason: reason}})
	}
	i, err := try(own, alice.ID, " ticket 7 ")
	must(t, err)
	if s := i.Session; s.Subject != alice.ID || s.Actor != boss.ID || !s.HasRole("staff") {
		t.Errorf("the impersonation is %+v", s)
	}
	acted := *own // nobody has such a session: who administers is impersonated by nobody
	acted.Actor = "somebody"
	forbidden := counterfoil.ErrForbidden
	for what, c := range map[string]struct {
		by           *counterfoil.Session
		user, reason string
		want         error
	}{
		"an API key or the owner of the machine": {nil, alice.ID, "x", forbidden},
		"support":                                {helper, alice.ID, "x", forbidden},
		"an impersonation":                       {i.Session, asleep.ID, "x", forbidden},
		"an impersonation with the role":         {&acted, alice.ID, "x", forbidden},
		"no reason":                              {own, alice.ID, " \n", issuer.ErrBadRequest},
		"a long reason":                          {own, alice.ID, strings.Repeat("x", 201), issuer.ErrBadRequest},
		"themselves":                             {own, boss.ID, "x", forbidden},
		"support by record":                      {own, helper.Subject, "x", forbidden},
		"support who never signed in":            {own, written.ID, "x", forbidden},
		"support by what is in force":            {own, promoted.ID, "x", forbidden},
		"an auditor by a session":                {own, byProgram.ID, "x", forbidden},
		"a disabled user":                        {own, asleep.ID, "x", forbidden},
		"nobody":                                 {own, "usr_nobody", "x", store.ErrNotFound},
	} {
		if _, err := try(c.by, c.user, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	for _, role := range everyRole {
		u := n.user("becomes-"+role, "staff")
		i, err := try(own, u.ID, "x")
		must(t, err)
		_, err = n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles("staff", role))
		must(t, err)
		n.ended("the user becomes "+role, i)
	}
	_, err = n.Users().Update(t.Context(), rights.Owner(), boss.ID, noAct, roles(accounts.RoleSupport))
	must(t, err)
	n.ended("the administrator is none any more", i)
}

package issuer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// OPS-03: what changes state is in the trail, with who did it.
func TestEveryChangeIsInTheTrail(t *testing.T) {
	b := newIssuer(t, memory.New())
	act := audit.Act{By: audit.BySubject("root"), Request: "r1", Reason: "because"}
	s := b.login(t, "alice", counterfoil.CarrierBearer)
	seen := map[audit.Action]bool{}
	revoke := func(scope source.Scope, id string) func() error {
		return func() error {
			_, err := b.Revoke(t.Context(), scope, id, act)
			return err
		}
	}
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { b.login(t, "alice", counterfoil.CarrierCookie); return nil }, "login alice by subject:alice"},
		{revoke(source.ScopeSession, s.Session.ID), "revoke alice by subject:root"},
		{revoke(source.ScopeToken, "tok_1"), "revoke  by subject:root"},
		{revoke(source.ScopeSubject, "alice"), "revoke alice by subject:root"},
		{revoke(source.ScopeClient, "default"), "revoke  by subject:root"},
		{revoke(source.ScopeAll, ""), "revoke  by subject:root"},
		{revoke(source.ScopeKey, s.Session.KeyID), "key.revoke  by subject:root"},
		{func() error {
			return b.Logout(t.Context(), b.login(t, "bob", counterfoil.CarrierCookie).Session, audit.Act{By: audit.BySubject("bob")})
		}, "logout bob by subject:bob"},
		{func() error {
			own := b.login(t, "carol", counterfoil.CarrierCookie)
			b.login(t, "carol", counterfoil.CarrierCookie)
			_, err := b.EndOthers(t.Context(), own.Session, audit.Act{By: audit.BySubject("carol")})
			return err
		}, "sessions.end carol by subject:carol"},
		{func() error {
			_, err := b.StartOver(t.Context(), b.proof(t, "carol"), issuer.Request{Carrier: counterfoil.CarrierCookie})
			return err
		}, "sessions.renew carol by subject:carol"},
		{func() error {
			return b.SetSubject(t.Context(), "carol", act, func(s *issuer.Subject) { s.Disabled = true })
		}, "subject.set carol by subject:root"},
		{func() error {
			first := b.login(t, "dave", counterfoil.CarrierBearer).Refresh.Reveal()
			if _, err := b.Refresh(t.Context(), first, issuer.Renewal{}); err != nil {
				return err
			}
			b.clock.add(time.Minute)
			if _, err := b.Refresh(t.Context(), first, issuer.Renewal{}); !errors.Is(err, issuer.ErrReused) {
				return fmt.Errorf("Refresh(old) = %w, want ErrReused", err)
			}
			return nil
		}, "refresh.reuse dave by subject:dave"},
		{func() error {
			code := b.code(t, b.hosts(t), appOrigin)
			_, err := b.Redeem(t.Context(), code)
			if _, again := b.Redeem(t.Context(), code); !errors.Is(again, issuer.ErrCode) {
				return fmt.Errorf("Redeem(again) = %w, want ErrCode", again)
			}
			return err
		}, "host.reuse alice by subject:alice"},
		{func() error {
			return b.Clients().Set(t.Context(), rights.Owner(), "web", act, func(c *clients.Client) { c.Name = "Web" })
		}, "client.set  by subject:root"},
		{func() error {
			return b.Clients().Set(t.Context(), rights.Owner(), "web", act, func(c *clients.Client) { c.Disabled = true })
		}, "revoke  by subject:root"},
		{func() error { return b.Clients().Delete(t.Context(), rights.Owner(), "web", act) }, "client.delete  by subject:root"},
	} {
		before, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.clock.add(time.Second)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.want, err)
		}
		page, _, err := b.Audit().List(t.Context(), audit.Query{Limit: 1})
		if err != nil || len(page) != 1 {
			t.Fatalf("%s: List = %v, %v", step.want, page, err)
		}
		e := page[0]
		got := fmt.Sprintf("%s %s by %s", e.Action, e.Subject, e.By)
		if got != step.want || e.Outcome != audit.OK || !e.Time.Equal(b.clock.Now()) || (strings.Contains(e.By, "root") && (e.Reason != "because" || e.Request != "r1")) {
			t.Errorf("newest entry is %+v, want %s", e, step.want)
		}
		after, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if revokes := slices.Contains(audit.Revoking(), e.Action); revokes != before.Before(after) {
			t.Errorf("%s: Revoking has it: %t, and it wrote the log: %t", e.Action, revokes, !revokes)
		}
		seen[e.Action] = true
	}
	for _, a := range audit.Revoking() {
		if !seen[a] {
			t.Errorf("nothing here does %s", a)
		}
	}
}

// Roles that are set to none for the first time take those of the proof away.
func TestSetRolesToNone(t *testing.T) {
	b := newIssuer(t, memory.New())
	s := b.login(t, "alice", counterfoil.CarrierCookie)
	if err := b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{} }); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Lookup(t.Context(), s.Access.Reveal()); err != nil || got.HasRole("staff") {
		t.Errorf("Lookup = %v, %v, want no role", got, err)
	}
}

// A subject "*" would own everybody's sessions.
func TestNobodyIsEverybody(t *testing.T) {
	b := newIssuer(t, memory.New())
	if _, err := b.Login(t.Context(), b.proof(t, "*"), issuer.Request{Carrier: counterfoil.CarrierCookie}); !errors.Is(err, issuer.ErrBadRequest) {
		t.Errorf("Login of * = %v, want ErrBadRequest", err)
	}
	if _, err := b.Revoke(t.Context(), source.ScopeSubject, "*", audit.Act{}); !errors.Is(err, issuer.ErrBadRequest) {
		t.Errorf("Revoke of * = %v, want ErrBadRequest", err)
	}
}

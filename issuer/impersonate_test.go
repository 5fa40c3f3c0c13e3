package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/counterfoil/counterfoil/store/storetest"
)

// boss signs the boss in.
func (b *bench) boss(t *testing.T) *issuer.Issued {
	t.Helper()
	p := b.proof(t, "boss")
	p.Roles = []string{"admin"}
	b.client(t, "console", clients.Client{})
	own, err := b.Login(t.Context(), p, issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// impersonated is a session of alice by boss, who is signed in with own.
func (b *bench) impersonated(t *testing.T, c counterfoil.Carrier) (own, alice *issuer.Issued) {
	t.Helper()
	own = b.boss(t)
	rev, err := b.SubjectRev(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	by := issuer.Impersonator{Subject: "boss", Session: own.Session.ID, Role: "admin", Name: "The Boss"}
	alice, err = b.Impersonate(t.Context(), "alice", []string{"staff"}, rev, by, issuer.Request{Carrier: c, Act: audit.Act{By: audit.BySubject("boss"), Reason: "ticket 7"}})
	if err != nil {
		t.Fatal(err)
	}
	return own, alice
}

var impersonatedBy = []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE}

// An impersonation says who acts, in each carrier; no rule of freshness is met; it opens nothing
// and is not stepped up; the subject is told, keeps the other sessions, and sees it among them.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	for _, c := range impersonatedBy {
		b := newIssuer(t, memory.New())
		other := b.login(t, "alice", counterfoil.CarrierCookie)
		own, i := b.impersonated(t, c)
		s, err := b.Lookup(t.Context(), i.Access.Reveal())
		if err != nil || s.Subject != "alice" || s.Actor != "boss" || s.ActorSession != own.Session.ID || !slices.Equal(s.Methods, []string{issuer.Impersonated}) || !s.HasRole("staff") || s.HasRole("admin") {
			t.Fatalf("%v: %+v, %v", c, s, err)
		}
		v, err := counterfoil.NewVerifier(t.Context(), b, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test", Now: b.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		verified, err := v.Verify(t.Context(), i.Access.Reveal())
		v.Close()
		if err != nil || verified.Actor != "boss" || verified.ActorSession != own.Session.ID {
			t.Errorf("%v: a verifier sees %+v, %v", c, verified, err)
		}
		var asked counterfoil.Session
		if data, err := json.Marshal(s); err != nil || json.Unmarshal(data, &asked) != nil || asked.Actor != "boss" || asked.ActorSession != own.Session.ID {
			t.Errorf("%v: by introspection it is %s, %+v", c, data, asked)
		}
		for _, age := range []time.Duration{time.Minute, 24 * time.Hour} {
			if err := b.Fresh(s.AuthTime, age); !errors.Is(err, counterfoil.ErrStepUp) {
				t.Errorf("%v: it is fresh within %v: %v", c, age, err)
			}
		}
		if left := time.Until(i.SessionExpires); left > issuer.MaxImpersonation {
			t.Errorf("%v: it lives for %v", c, left)
		}
		_, stepUp := b.StepUp(t.Context(), i.Session.ID, b.proof(t, "alice"), audit.Act{})
		_, account := b.Account(t.Context(), i.Access.Reveal(), c.Transport)
		_, administration := b.Administration(t.Context(), i.Access.Reveal(), c.Transport)
		for what, err := range map[string]error{"StepUp": stepUp, "Account": account, "Administration": administration} {
			if !errors.Is(err, counterfoil.ErrForbidden) {
				t.Errorf("%v: %s = %v, want ErrForbidden", c, what, err)
			}
		}
		if held, err := b.Held(t.Context(), i.Access.Reveal()); err != nil || held.Actor != "boss" {
			t.Errorf("%v: Held = %+v, %v", c, held, err)
		}
		rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
		if err != nil || len(rows) != 2 || !slices.ContainsFunc(rows, func(r issuer.SessionRow) bool { return r.By != nil && r.By.Name == "The Boss" && r.ID == i.Session.ID }) {
			t.Errorf("%v: sessions %+v, %v", c, rows, err)
		}
		notices, err := b.Notices(t.Context(), "alice")
		if err != nil || len(notices) != 1 || notices[0].By != "boss" || notices[0].Reason != "ticket 7" || notices[0].Session != i.Session.ID {
			t.Errorf("%v: notices %+v, %v", c, notices, err)
		}
		if _, err := b.Lookup(t.Context(), other.Access.Reveal()); err != nil {
			t.Errorf("%v: a session of the subject: %v", c, err)
		}
		entries, _, err := b.Audit().List(t.Context(), audit.Query{Subject: "alice", Actions: []audit.Action{audit.Impersonate}})
		if err != nil || len(entries) != 1 || entries[0].By != audit.BySubject("boss") || entries[0].Reason != "ticket 7" || entries[0].Session != i.Session.ID {
			t.Errorf("%v: the trail has %+v, %v", c, entries, err)
		}
	}
}

// What ends the session or the role of who impersonates ends the impersonation at once, at the
// issuer and for each verifier that reads the log, as does what ends it or its subject. It is not
// refreshed beyond its hour.
func TestImpersonationEnds(t *testing.T) {
	t.Parallel()
	ways := map[string]func(b *bench, own, i *issuer.Issued) error{
		"the session of the impersonator": func(b *bench, own, _ *issuer.Issued) error {
			_, err := b.Revoke(t.Context(), source.ScopeSession, own.Session.ID, audit.Act{})
			return err
		},
		"the client of the impersonator": func(b *bench, _, _ *issuer.Issued) error {
			_, err := b.Revoke(t.Context(), source.ScopeClient, "console", audit.Act{})
			return err
		},
		"the client of the impersonator is disabled": func(b *bench, _, _ *issuer.Issued) error {
			return b.Clients().Set(t.Context(), rights.Owner(), "console", audit.Act{}, func(c *clients.Client) { c.Disabled = true })
		},
		"everybody": func(b *bench, _, _ *issuer.Issued) error {
			_, err := b.Revoke(t.Context(), source.ScopeAll, "", audit.Act{})
			return err
		},
		"the impersonator signs out": func(b *bench, own, _ *issuer.Issued) error { return b.Logout(t.Context(), own.Session, audit.Act{}) },
		"all of the impersonator": func(b *bench, _, _ *issuer.Issued) error {
			_, err := b.Revoke(t.Context(), source.ScopeSubject, "boss", audit.Act{})
			return err
		},
		"all others of the impersonator": func(b *bench, _, _ *issuer.Issued) error {
			other := b.login(t, "boss", counterfoil.CarrierCookie)
			_, err := b.EndOthers(t.Context(), other.Session, audit.Act{})
			return err
		},
		"the role": func(b *bench, _, _ *issuer.Issued) error {
			return b.SetSubject(t.Context(), "boss", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"support"} })
		},
		"the impersonator is disabled": func(b *bench, _, _ *issuer.Issued) error {
			return b.SetSubject(t.Context(), "boss", audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
		},
		"the subject ends it": func(b *bench, _, i *issuer.Issued) error {
			_, err := b.Revoke(t.Context(), source.ScopeSession, i.Session.ID, audit.Act{})
			return err
		},
		"all of the subject": func(b *bench, _, _ *issuer.Issued) error {
			_, err := b.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{})
			return err
		},
		"an hour": nil,
	}
	for way, end := range ways {
		for _, c := range impersonatedBy {
			b := newIssuer(t, memory.New())
			own, i := b.impersonated(t, c)
			seen, err := b.Lookup(t.Context(), i.Access.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			if end == nil {
				b.clock.add(issuer.MaxImpersonation + time.Second)
			} else if err := end(b, own, i); err != nil {
				t.Fatalf("%s: %v", way, err)
			} else if !b.covers(t, seen) {
				t.Errorf("%s, %v: no entry of the log covers the copy", way, c)
			}
			if _, err := b.Lookup(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%s, %v: Lookup = %v", way, c, err)
			}
			if i.Refresh.Reveal() != "" {
				if _, err := b.Refresh(t.Context(), i.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("%s, %v: Refresh = %v", way, c, err)
				}
			}
			if _, err := b.AddGrant(t.Context(), i.Session.ID, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer}); err == nil {
				t.Errorf("%s, %v: it gets a grant", way, c)
			}
			if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) > 0 {
				t.Errorf("%s, %v: it is listed: %+v, %v", way, c, rows, err)
			}
		}
	}
}

// An impersonation that is still good is refreshed, and stays what it is.
func TestImpersonationIsRefreshed(t *testing.T) {
	t.Parallel()
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE} {
		b := newIssuer(t, memory.New())
		own, i := b.impersonated(t, c)
		ends := i.SessionExpires
		for range 3 {
			b.clock.add(4 * time.Minute)
			next, err := b.Refresh(t.Context(), i.Refresh.Reveal(), issuer.Renewal{})
			if err != nil {
				t.Fatalf("%v: Refresh = %v", c, err)
			}
			if s := next.Session; s.Actor != "boss" || s.ActorSession != own.Session.ID || !slices.Equal(s.Methods, []string{issuer.Impersonated}) || next.SessionExpires.After(ends) {
				t.Errorf("%v: it is %+v until %v", c, s, next.SessionExpires)
			}
			if _, err := b.Lookup(t.Context(), next.Access.Reveal()); err != nil {
				t.Errorf("%v: Lookup = %v", c, err)
			}
			i = next
		}
	}
}

// SES-17: an impersonation signs the subject out nowhere, however many sessions there are.
func TestImpersonationTakesNoPlace(t *testing.T) {
	t.Parallel()
	for _, c := range impersonatedBy {
		b := newLimited(t, memory.New(), 2)
		var all []*issuer.Issued
		for range 2 {
			b.clock.add(time.Second)
			all = append(all, b.login(t, "alice", c))
		}
		b.clock.add(time.Second)
		_, i := b.impersonated(t, c)
		for n, held := range append(all, i) {
			if _, err := b.Lookup(t.Context(), held.Access.Reveal()); err != nil {
				t.Errorf("%v: session %d: %v", c, n, err)
			}
		}
		if notices, err := b.Notices(t.Context(), "alice"); err != nil || len(notices) != 1 || notices[0].OverLimit != 0 {
			t.Errorf("%v: notices %+v, %v", c, notices, err)
		}
	}
}

// An impersonation begins only for who is signed in, as themselves, with the role, and for the
// subject as it was judged.
func TestImpersonationBegins(t *testing.T) {
	t.Parallel()
	b := newIssuer(t, memory.New())
	own, alice := b.impersonated(t, counterfoil.CarrierBearer)
	by := issuer.Impersonator{Subject: "boss", Session: own.Session.ID, Role: "admin"}
	plain := b.login(t, "boss", counterfoil.CarrierCookie)
	for what, c := range map[string]struct {
		subject string
		change  func(*issuer.Impersonator)
		want    error
	}{
		"another's session":   {"carol", func(by *issuer.Impersonator) { by.Subject = "bob" }, counterfoil.ErrRevoked},
		"no session":          {"carol", func(by *issuer.Impersonator) { by.Session = "ses_none" }, counterfoil.ErrInvalidToken},
		"without the role":    {"carol", func(by *issuer.Impersonator) { by.Session = plain.Session.ID }, counterfoil.ErrRevoked},
		"themselves":          {"boss", func(*issuer.Impersonator) {}, issuer.ErrBadRequest},
		"by an impersonation": {"carol", func(by *issuer.Impersonator) { by.Subject, by.Session, by.Role = "alice", alice.Session.ID, "staff" }, counterfoil.ErrRevoked},
	} {
		by := by
		c.change(&by)
		rev, err := b.SubjectRev(t.Context(), c.subject)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Impersonate(t.Context(), c.subject, nil, rev, by, issuer.Request{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	rev, err := b.SubjectRev(t.Context(), "carol")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetSubject(t.Context(), "carol", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"admin"} }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Impersonate(t.Context(), "carol", nil, rev, by, issuer.Request{}); !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("of a subject who has become somebody meanwhile: %v", err)
	}
}

// An impersonation that begins late in the session of who impersonates ends with that session.
func TestImpersonationEndsInTime(t *testing.T) {
	t.Parallel()
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.Absolute = 2 * time.Hour })
	own := b.boss(t)
	b.clock.add(90 * time.Minute)
	by := issuer.Impersonator{Subject: "boss", Session: own.Session.ID, Role: "admin"}
	i, err := b.Impersonate(t.Context(), "alice", nil, 0, by, issuer.Request{})
	if err != nil || !i.SessionExpires.Equal(own.SessionExpires.Truncate(time.Second)) {
		t.Errorf("it is %+v, %v, want an end at %v", i, err, own.SessionExpires)
	}
}

// What ends an impersonation also keeps one from beginning that is under way.
func TestImpersonationLosesTheRace(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(b *bench, own *issuer.Issued) error{
		"signed out": func(b *bench, own *issuer.Issued) error {
			_, err := b.Revoke(context.Background(), source.ScopeSession, own.Session.ID, audit.Act{})
			return err
		},
		"without the role": func(b *bench, _ *issuer.Issued) error {
			return b.SetSubject(context.Background(), "boss", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"staff"} })
		},
	} {
		db := memory.New()
		faulty := storetest.Faulty(db)
		b, other := newIssuer(t, faulty), newIssuer(t, db)
		own := b.boss(t)
		faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "session", Slow: true, Times: 1, Before: func() {
			if err := end(other, own); err != nil {
				t.Error(err)
			}
		}})
		by := issuer.Impersonator{Subject: "boss", Session: own.Session.ID, Role: "admin"}
		if i, err := b.Impersonate(t.Context(), "alice", nil, 0, by, issuer.Request{}); err == nil || errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%s: %+v, %v, want a refusal", what, i, err)
		}
	}
}

// A new notice is never behind so many others that it is not shown: the newest are first, whatever kind
// they are of, and whatever version made them.
func TestNewestNoticesFirst(t *testing.T) {
	t.Parallel()
	b := newLimited(t, memory.New(), 3)
	own := b.boss(t)
	rev, err := b.SubjectRev(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for n := range 30 {
		b.clock.add(time.Second)
		by := issuer.Impersonator{Subject: "boss", Session: own.Session.ID, Role: "admin"}
		reason := fmt.Sprint("ticket ", n)
		if _, err := b.Impersonate(t.Context(), "alice", nil, rev, by, issuer.Request{Act: audit.Act{Reason: reason}}); err != nil {
			t.Fatal(err)
		}
		made = append(made, reason)
	}
	shown := func() (reasons []string) {
		t.Helper()
		all, err := b.Notices(t.Context(), "alice")
		if err != nil || len(all) != 20 {
			t.Fatalf("%d notices, %v", len(all), err)
		}
		for n, notice := range all {
			if n > 0 && notice.Time.After(all[n-1].Time) {
				t.Errorf("notice %d is newer than the one before", n)
			}
			reasons = append(reasons, notice.Reason)
		}
		return reasons
	}
	slices.Reverse(made)
	if got := shown(); !slices.Equal(got, made[:20]) {
		t.Errorf("the newest are %q, want %q", got, made[:20])
	}
	// The one of the limit is as new as its last time, and one of an earlier version is older.
	old := store.Record{Key: store.Key{Kind: "notice", ID: "ntc_22222222222222222222222222"}, Owner: "alice", Expires: b.clock.Now().Add(time.Hour), Value: []byte(`{"time":"2026-01-01T00:00:00Z","reason":"old"}`)}
	if _, err := b.store.Commit(t.Context(), store.Batch{Put: []store.Record{old}}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		b.clock.add(time.Second)
		b.login(t, "alice", counterfoil.CarrierBearer)
	}
	if got := shown(); !slices.Equal(got, append([]string{""}, made[:19]...)) {
		t.Errorf("after a login beyond the limit the newest are %q", got)
	}
}

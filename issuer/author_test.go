package issuer_test

import (
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

// told returns the newest entry of the trail, and the place in the log of the entry that it tells of.
func (b *bench) told(t *testing.T) (audit.Entry, counterfoil.Cursor) {
	t.Helper()
	entries, _, err := b.Audit().List(t.Context(), audit.Query{Limit: 1})
	if err != nil || len(entries) != 1 {
		t.Fatalf("the trail has %+v, %v", entries, err)
	}
	places, err := b.Places(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	return entries[0], places[0]
}

// An entry of the trail that tells of a revocation finds its place in the log, as the entry of the log finds
// who made it.
func TestPlacesInTheLog(t *testing.T) {
	b := newIssuer(t, memory.New())
	b.client(t, "gone", clients.Client{})
	revoke := func(scope source.Scope, id string) func() error {
		return func() error { _, err := b.Revoke(t.Context(), scope, id, audit.Act{}); return err }
	}
	login := func() *issuer.Issued { b.clock.add(time.Second); return b.login(t, "alice", counterfoil.CarrierBearer) }
	reused := login()
	next, err := b.Refresh(t.Context(), reused.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Minute)
	if _, err := b.Refresh(t.Context(), next.Refresh.Reveal(), issuer.Renewal{}); err != nil {
		t.Fatal(err)
	}
	session, out := login(), login()
	b.login(t, "dave", counterfoil.CarrierCookie)
	dave := b.login(t, "dave", counterfoil.CarrierCookie)
	web, _ := b.granted(t, "bob", counterfoil.CarrierCookie)
	for name, do := range map[string]func() error{
		"session": revoke(source.ScopeSession, session.Session.ID),
		"grant":   func() error { _, err := b.EndGrant(t.Context(), web.Session.ID, "app", audit.Act{}); return err },
		"token":   revoke(source.ScopeToken, "tok_1"),
		"subject": revoke(source.ScopeSubject, "carol"),
		"client":  revoke(source.ScopeClient, "web"),
		"key":     revoke(source.ScopeKey, session.Session.KeyID),
		"logout":  func() error { return b.Logout(t.Context(), out.Session, audit.Act{}) },
		"others": func() error {
			_, err := b.EndOthers(t.Context(), dave.Session, audit.Act{})
			return err
		},
		"reuse": func() error { _, _ = b.Refresh(t.Context(), reused.Refresh.Reveal(), issuer.Renewal{}); return nil },
		"disabled": func() error {
			return b.SetSubject(t.Context(), "erin", audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
		},
		"roles": func() error {
			return b.SetSubject(t.Context(), "frank", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"staff"} })
		},
		"deleted client": func() error { return b.Clients().Delete(t.Context(), rights.Owner(), "gone", audit.Act{}) },
	} {
		b.clock.add(time.Second)
		before, err := b.Head(t.Context())
		if err == nil {
			err = do()
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e, place := b.told(t); place != after || !before.Before(after) {
			t.Errorf("%s: %s stands at %v, want %v, after %v", name, e.Action, place, after, before)
		}
	}
	logins, _, err := b.Audit().List(t.Context(), audit.Query{Actions: []audit.Action{audit.Login, audit.AddGrant}})
	if err != nil || len(logins) < 5 {
		t.Fatal(logins, err)
	}
	places, err := b.Places(t.Context(), logins) // of sessions that were revoked within the minute
	if err != nil {
		t.Fatal(err)
	}
	for n, place := range places {
		if place != (counterfoil.Cursor{}) {
			t.Errorf("%s of %s stands at %v, want nowhere", logins[n].Action, logins[n].Subject, place)
		}
	}
}

// The log holds one entry of a name, and each for as long as something that it covers may be alive.
func TestPlacesThatAreGone(t *testing.T) {
	b := newIssuer(t, memory.New())
	revoke := func() {
		t.Helper()
		b.clock.add(5 * time.Minute)
		if _, err := b.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{}); err != nil {
			t.Fatal(err)
		}
	}
	places := func() []counterfoil.Cursor {
		t.Helper()
		entries, _, err := b.Audit().List(t.Context(), audit.Query{})
		if err != nil {
			t.Fatal(err)
		}
		all, err := b.Places(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	revoke()
	revoke()
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	none := counterfoil.Cursor{}
	if all := places(); len(all) != 2 || all[0] != head || all[1] != none {
		t.Errorf("the places are %v, want %v, and none for the one before", all, head)
	}
	b.clock.add(time.Hour)
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := places(); len(all) != 2 || all[0] != none || all[1] != none {
		t.Errorf("after an hour the places are %v, want none", all)
	}
}

// Who made an entry of the log is who its commit says, and not who did something alike at about that time. If
// the trail cannot tell, it names nobody.
func TestAuthors(t *testing.T) {
	b := newIssuer(t, memory.New())
	from, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	revoke := func(by, author string, after time.Duration) {
		t.Helper()
		b.clock.add(after)
		if _, err := b.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{By: by}); err != nil {
			t.Fatal(err)
		}
		want = append(want, author)
	}
	b.clock.add(time.Millisecond - time.Duration(b.clock.Now().Nanosecond())) // a second has begun
	revoke("subject:ann", "subject:ann", 0)
	revoke("subject:ben", "subject:ben", 2*time.Second)
	revoke("subject:ann", "", 2*time.Second)
	revoke("subject:ben", "", time.Millisecond)
	revoke("subject:ann", "subject:ann", 2*time.Second)
	revoke("subject:ann", "subject:ann", time.Millisecond)
	for range 2 { // as an earlier version kept them, and as a change that wrote nothing to the log
		if err := b.Audit().Keep(t.Context(), audit.Act{By: "subject:eve"}.Entry(audit.Revoke, "alice")); err != nil {
			t.Fatal(err)
		}
	}
	page, err := b.Log(t.Context(), source.Follow{After: from})
	if err != nil || len(page.Entries) != len(want) {
		t.Fatalf("%d entries of the log, %v, want %d", len(page.Entries), err, len(want))
	}
	for _, e := range page.Entries { // databases keep whole seconds: another time would not be found again
		if e.Expires.Nanosecond() != 0 {
			t.Errorf("entry %s expires at %v, want a whole second", e.At, e.Expires)
		}
	}
	authors, err := b.Authors(t.Context(), page.Entries)
	if err != nil {
		t.Fatal(err)
	}
	for n, e := range authors {
		if e.By != want[n] {
			t.Errorf("entry %d is by %q, want %q", n, e.By, want[n])
		}
	}
	if e, place := b.told(t); e.By != "subject:eve" || place != (counterfoil.Cursor{}) {
		t.Errorf("what %s did stands at %v, want nowhere", e.By, place)
	}
}

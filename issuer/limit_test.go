package issuer_test

import (
	"context"
	"slices"
	"sync"
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

// SES-17: a login beyond the limit ends the oldest session, in its commit, and the subject has one
// notice of it, however many logins there were.
func TestSessionLimit(t *testing.T) {
	for _, c := range carriers {
		b := newLimited(t, memory.New(), 3)
		var all []*issuer.Issued
		signIn := func() {
			b.clock.add(time.Second)
			all = append(all, b.login(t, "alice", c))
		}
		for range 3 {
			signIn()
		}
		if notices, err := b.Notices(t.Context(), "alice"); err != nil || len(notices) != 0 {
			t.Errorf("%v: notices at the limit = %v, %v", c, notices, err)
		}
		stranger := b.login(t, "bob", c)
		for round := range 3 {
			signIn()
			oldest, alive := all[round], all[round+1:]
			dead := map[string]string{"the oldest": oldest.Access.Reveal()}
			if r := oldest.Refresh.Reveal(); r != "" {
				dead["its refresh token"] = r
			}
			b.allDead(t, dead)
			for n, i := range append([]*issuer.Issued{stranger}, alive...) {
				if _, err := b.Lookup(t.Context(), i.Access.Reveal()); err != nil {
					t.Errorf("%v: round %d: session %d of the living = %v", c, round, n, err)
				}
			}
			entries := b.entries(t)
			if last := entries[len(entries)-1]; len(entries) != round+1 || last.Scope != source.ScopeSession || last.ID != oldest.Session.ID {
				t.Errorf("%v: round %d: the log has %v", c, round, entries)
			}
			notices, err := b.Notices(t.Context(), "alice")
			if err != nil || len(notices) != 1 || notices[0].OverLimit != 1 || notices[0].Session != oldest.Session.ID || !notices[0].Time.Equal(b.clock.Now().Truncate(time.Second)) {
				t.Errorf("%v: round %d: notices = %+v, %v", c, round, notices, err)
			}
		}
		if c.Transport != counterfoil.Cookie {
			continue
		}
		// What it replaces makes the room.
		before := len(b.entries(t))
		if _, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Carrier: c, Replaces: []*counterfoil.Session{all[5].Session}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Lookup(t.Context(), all[3].Access.Reveal()); err != nil || len(b.entries(t)) != before+1 {
			t.Errorf("%v: a login that replaces a session ended another: %v", c, err)
		}
	}
}

// Sessions that have ended, in any way that leaves the row, do not count; nor do damaged rows.
func TestSessionLimitCountsTheLiving(t *testing.T) {
	b := newLimited(t, memory.New(), 2)
	if err := b.Clients().Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(*clients.Client) {}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Revoke(t.Context(), source.ScopeClient, "app", audit.Act{}); err != nil {
		t.Fatal(err)
	}
	damaged := store.Record{Key: store.Key{Kind: "session", ID: "ses_0"}, Owner: "alice", Value: []byte("{")}
	if _, err := b.store.Commit(t.Context(), store.Batch{Put: []store.Record{damaged}}); err != nil {
		t.Fatal(err)
	}
	before := len(b.entries(t))
	first, second := b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierBearer)
	for _, i := range []*issuer.Issued{first, second} {
		if _, err := b.Lookup(t.Context(), i.Access.Reveal()); err != nil {
			t.Error(err)
		}
	}
	if n := len(b.entries(t)); n != before {
		t.Errorf("%d entries of the log for sessions that had ended", n-before)
	}
}

// A subject with far more sessions than the limit, from before there was one, comes down to it:
// each login does bounded work.
func TestSessionLimitComesDown(t *testing.T) {
	db := memory.New()
	b := newIssuer(t, db)
	for range 60 {
		b.login(t, "alice", counterfoil.CarrierCookie)
	}
	limited := newLimited(t, db, 5)
	for logins := 0; ; logins++ {
		before := len(limited.entries(t))
		limited.login(t, "alice", counterfoil.CarrierCookie)
		if ended := len(limited.entries(t)) - before; ended > 10 {
			t.Fatalf("a login ended %d sessions", ended)
		}
		rows, _, err := limited.Sessions(t.Context(), "alice", "", 0)
		if err != nil || logins > 20 {
			t.Fatalf("after %d logins %d sessions, %v", logins, len(rows), err)
		}
		if len(rows) == 5 {
			return
		}
	}
}

// Logins at the same moment may be beyond the limit, and the next one ends what is too much.
func TestSessionLimitRace(t *testing.T) {
	b := newLimited(t, memory.New(), 4)
	proof := b.proof(t, "alice")
	for range 50 {
		var together sync.WaitGroup
		for range 6 {
			together.Go(func() {
				if _, err := b.Login(context.Background(), proof, issuer.Request{Carrier: counterfoil.CarrierCookie}); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		last := b.login(t, "alice", counterfoil.CarrierCookie)
		rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
		if err != nil || len(rows) > 4 || !slices.ContainsFunc(rows, func(r issuer.SessionRow) bool { return r.ID == last.Session.ID }) {
			t.Fatalf("%d sessions, %v, want 4 and the last login among them", len(rows), err)
		}
	}
}

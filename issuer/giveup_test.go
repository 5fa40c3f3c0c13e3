package issuer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// RVK-01, RVK-02: what giving up a credential ends. A refresh token that was used signs
// nobody out, except in its grace, when the answer to its use may have been lost.
func TestGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		refreshes int           // before it is given up
		after     time.Duration // the last of them
		what      string        // the token of the login: refresh or access
		client    string
		ends      bool // the login
	}{
		"the refresh token":               {0, 0, "refresh", "", true},
		"naming its client":               {0, 0, "refresh", "default", true},
		"naming another client":           {0, 0, "refresh", "app", false},
		"used, in its grace":              {1, 5 * time.Second, "refresh", "", true},
		"used":                            {1, time.Minute, "refresh", "", false},
		"used twice ago":                  {2, 0, "refresh", "", false},
		"an access token":                 {0, 0, "access", "", false},
		"an access token, other client":   {0, 0, "access", "app", false},
		"an access token after a refresh": {1, time.Minute, "access", "", false},
	} {
		b := newIssuer(t, memory.New())
		first := b.login(t, "alice", counterfoil.CarrierBearer)
		last := first
		for range c.refreshes {
			next, err := b.Refresh(t.Context(), last.Refresh.Reveal(), issuer.Renewal{})
			if err != nil {
				t.Fatal(err)
			}
			last = next
		}
		b.clock.add(c.after)
		credential := first.Refresh.Reveal()
		if c.what == "access" {
			credential = first.Access.Reveal()
		}
		if err := b.GiveUp(t.Context(), credential, c.client, audit.Act{}); err != nil {
			t.Errorf("%s: GiveUp = %v", name, err)
		}
		if _, err := b.Refresh(t.Context(), last.Refresh.Reveal(), issuer.Renewal{}); (err != nil) != c.ends {
			t.Errorf("%s: the login afterwards: %v, want that it has ended: %v", name, err, c.ends)
		}
		_, err := b.Lookup(t.Context(), first.Access.Reveal())
		if gone := c.ends || c.what == "access" && c.client == ""; gone != errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: the access token afterwards: %v, want that it is gone: %v", name, err, gone)
		}
	}
}

// REV-14: one session makes only so many entries by giving up copies.
func TestGiveUpCopyAfterCopy(t *testing.T) {
	b := newIssuer(t, memory.New())
	i := b.login(t, "alice", counterfoil.CarrierBearer)
	for n := range 17 {
		err := b.GiveUp(t.Context(), i.Access.Reveal(), "", audit.Act{})
		if _, throttled := errors.AsType[login.Throttled](err); throttled != (n == 16) || err != nil && !throttled {
			t.Fatalf("copy %d: GiveUp = %v", n, err)
		}
		var again error
		if i, again = b.Refresh(t.Context(), i.Refresh.Reveal(), issuer.Renewal{}); again != nil {
			t.Fatal(again)
		}
	}
}

// A subject ends what is its own, and learns nothing of what is not.
func TestEndOwn(t *testing.T) {
	b := newIssuer(t, memory.New())
	alice, bob := b.login(t, "alice", counterfoil.CarrierBearer).Session.ID, b.login(t, "bob", counterfoil.CarrierBearer)
	for _, c := range []struct {
		subject, sid, client string
		want                 error
	}{
		{"alice", bob.Session.ID, "", store.ErrNotFound},
		{"alice", bob.Session.ID, "default", store.ErrNotFound},
		{"alice", "ses_none", "", store.ErrNotFound},
		{"alice", "", "", store.ErrNotFound},
		{"alice", alice, "shop", store.ErrNotFound}, // no grant of it
		{"alice", alice, "", nil},
	} {
		if err := b.EndOwn(t.Context(), c.subject, c.sid, c.client, audit.Act{}); !errors.Is(err, c.want) {
			t.Errorf("EndOwn(%s, %s, %s) = %v, want %v", c.subject, c.sid, c.client, err, c.want)
		}
	}
	if _, err := b.Lookup(t.Context(), bob.Access.Reveal()); err != nil {
		t.Errorf("bob's session: %v", err)
	}
	if rows, _, err := b.Sessions(t.Context(), "alice", "", 10); err != nil || len(rows) != 0 {
		t.Errorf("alice has %d sessions, %v", len(rows), err)
	}
}

// SES-04: a login ends the session whose cookie it overwrites, and no other.
func TestWhatALoginReplaces(t *testing.T) {
	for name, c := range map[string]struct {
		was, by counterfoil.Carrier // the new one, and how the old one came
		ends    bool
	}{
		"cookie over cookie":   {counterfoil.CarrierCookie, counterfoil.CarrierJWTCookie, true},
		"bearer beside cookie": {counterfoil.CarrierBearer, counterfoil.CarrierCookie, false},
		"cookie beside bearer": {counterfoil.CarrierCookie, counterfoil.CarrierBearer, false},
	} {
		b := newIssuer(t, memory.New())
		old := b.login(t, "alice", counterfoil.CarrierJWTCookie)
		held, err := b.Held(t.Context(), old.Access.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		held.Carrier = c.by
		if _, err := b.loginBy(t, issuer.Request{Carrier: c.was, Replaces: []*counterfoil.Session{held}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Lookup(t.Context(), old.Access.Reveal()); (err != nil) != c.ends {
			t.Errorf("%s: the old session is %v, want that it has ended: %v", name, err, c.ends)
		}
	}
}

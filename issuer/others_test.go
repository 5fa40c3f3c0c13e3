package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

func (b *bench) entries(t *testing.T) []source.Revocation {
	t.Helper()
	all, _, err := b.store.Log(t.Context(), counterfoil.Cursor{}, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Ending all others is one commit and one entry of the log, whatever their carriers and
// however many. The spared session goes on with all that it has: its copies from before,
// its refresh token, and the grant of another client.
func TestEndOthers(t *testing.T) {
	for _, c := range carriers {
		b, faulty := newFaulty(t)
		own, stranger := b.login(t, "alice", c), b.login(t, "bob", counterfoil.CarrierBearer)
		if err := b.Clients().Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(*clients.Client) {}); err != nil {
			t.Fatal(err)
		}
		granted, err := b.AddGrant(t.Context(), own.Session.ID, issuer.Request{Client: "app"})
		if err != nil {
			t.Fatal(err)
		}
		good := map[string]string{"own": own.Access.Reveal(), "grant": granted.Access.Reveal(), "stranger": stranger.Access.Reveal()}
		others := map[string]string{}
		for n := range 60 {
			o := b.login(t, "alice", carriers[n%len(carriers)])
			others[o.Session.ID] = o.Access.Reveal()
		}
		before := len(b.entries(t))
		commits := faulty.Calls(storetest.OpCommit)
		receipt, err := b.EndOthers(t.Context(), own.Session, audit.Act{})
		if err != nil {
			t.Fatalf("%v: EndOthers = %v", c, err)
		}
		if n := faulty.Calls(storetest.OpCommit) - commits; n != 1 {
			t.Errorf("%v: %d commits, want 1", c, n)
		}
		entries := b.entries(t)[before:]
		if len(entries) != 1 || entries[0].Scope != source.ScopeOthers || entries[0].At != receipt.At {
			t.Errorf("%v: the log got %v, want one entry at %v", c, entries, receipt.At)
		}
		if receipt.Ended != len(others) {
			t.Errorf("%v: %d sessions were ended, want %d", c, receipt.Ended, len(others))
		}
		b.allDead(t, others)
		for name, access := range good {
			if _, err := b.Lookup(t.Context(), access); err != nil {
				t.Errorf("%v: Lookup of %s = %v", c, name, err)
			}
		}
		for refresh, client := range map[string]string{own.Refresh.Reveal(): "", granted.Refresh.Reveal(): "app"} {
			if refresh == "" { // of an opaque session
				continue
			}
			if _, err := b.Refresh(t.Context(), refresh, issuer.Renewal{Client: client}); err != nil {
				t.Errorf("%v: Refresh at %q = %v", c, client, err)
			}
		}
		if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 1 || rows[0].ID != own.Session.ID {
			t.Errorf("%v: Sessions = %v, %v, want the own one", c, rows, err)
		}
		// There are none any more: an entry would be one that a client can make at will.
		if _, err := b.EndOthers(t.Context(), own.Session, audit.Act{}); err != nil || len(b.entries(t)) != before+1 {
			t.Errorf("%v: EndOthers again = %v, %d entries", c, err, len(b.entries(t))-before)
		}
	}
}

// One session is spared by the first call and ended by the second, which another one makes.
func TestEndOthersInTurn(t *testing.T) {
	b := newIssuer(t, memory.New())
	first, second, third := b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierBearer)
	if _, err := b.EndOthers(t.Context(), first.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EndOthers(t.Context(), second.Session, audit.Act{}); !errors.Is(err, counterfoil.ErrRevoked) {
		t.Errorf("EndOthers of a session that has ended = %v, want ErrRevoked", err)
	}
	if _, err := b.Lookup(t.Context(), first.Access.Reveal()); err != nil {
		t.Errorf("the session that has ended has ended another: %v", err)
	}
	fourth := b.login(t, "alice", counterfoil.CarrierBearer)
	if _, err := b.EndOthers(t.Context(), fourth.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	b.allDead(t, map[string]string{"first": first.Access.Reveal(), "second": second.Access.Reveal(), "third": third.Access.Reveal()})
	if _, err := b.Lookup(t.Context(), fourth.Access.Reveal()); err != nil {
		t.Errorf("the spared session = %v", err)
	}
}

// LOGIN-19: a login that is under way finishes before all others end, and is ended, or does
// not finish.
func TestEndOthersDuringLogin(t *testing.T) {
	b, faulty := newFaulty(t)
	own, other := b.login(t, "alice", counterfoil.CarrierCookie), b.login(t, "alice", counterfoil.CarrierBearer)
	var during *issuer.Issued
	proof := b.proof(t, "alice")
	signIn := func(p login.Proof) error {
		issued, err := b.Login(context.Background(), p, issuer.Request{Carrier: counterfoil.CarrierBearer})
		if err == nil {
			during = issued
		}
		return err
	}
	faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Times: 1, Slow: true, Before: func() {
		if err := signIn(proof); err != nil {
			t.Errorf("Login before the commit = %v", err)
		}
	}})
	if _, err := b.EndOthers(t.Context(), own.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if during == nil {
		t.Fatal("no login came in between")
	}
	b.allDead(t, map[string]string{"other": other.Access.Reveal(), "during": during.Access.Reveal()})
	if err := signIn(proof); !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("Login with a proof from before = %v, want ErrProveAgain", err)
	}
}

// Ending again what has ended reads no more of the log than its tail, however long it is.
func TestEndedAgainReadsNoLog(t *testing.T) {
	b, faulty := newFaulty(t)
	old := b.login(t, "alice", counterfoil.CarrierBearer)
	if err := b.Logout(t.Context(), old.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	var more store.Batch
	for n := range 12_000 {
		more.Revoke = append(more.Revoke, source.Revocation{Scope: source.ScopeToken, ID: fmt.Sprint("tok_", n), Reason: "test", Expires: b.clock.Now().Add(time.Hour)})
	}
	if _, err := faulty.Commit(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func() error{
		"Logout": func() error { return b.Logout(t.Context(), old.Session, audit.Act{}) },
		"Revoke": func() error {
			_, err := b.Revoke(t.Context(), source.ScopeSession, old.Session.ID, audit.Act{})
			return err
		},
	} {
		before := faulty.Calls(storetest.OpLog)
		if err := end(); err != nil || faulty.Calls(storetest.OpLog)-before > 1 {
			t.Errorf("%s = %v, and read %d pages of the log", name, err, faulty.Calls(storetest.OpLog)-before)
		}
	}
}

// A verifier that follows the log refuses the copies of all others, and accepts those of the
// spared session, whether or not it had seen them before.
func TestEndOthersAtAVerifier(t *testing.T) {
	for _, c := range carriers {
		b := newIssuer(t, memory.New())
		v, err := counterfoil.NewVerifier(t.Context(), b.Issuer, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		good := []*issuer.Issued{b.login(t, "alice", c), b.login(t, "bob", c)}
		bad := []*issuer.Issued{b.login(t, "alice", c), b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierCookie)}
		for n, i := range append(good, bad...) {
			if n%2 == 0 { // the others are seen first afterwards
				continue
			}
			if _, err := v.Verify(t.Context(), i.Access.Reveal()); err != nil {
				t.Fatalf("%v: Verify before = %v", c, err)
			}
		}
		receipt, err := b.EndOthers(t.Context(), good[0].Session, audit.Act{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.WaitFor(t.Context(), receipt.At); err != nil {
			t.Fatal(err)
		}
		good = append(good, b.login(t, "alice", c))
		for n, i := range good {
			if _, err := v.Verify(t.Context(), i.Access.Reveal()); err != nil {
				t.Errorf("%v: good %d = %v", c, n, err)
			}
		}
		for n, i := range bad {
			if _, err := v.Verify(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%v: ended %d = %v, want ErrInvalidToken", c, n, err)
			}
		}
	}
}

// Who has an old token cannot have the store read and write at will: what has ended is looked
// up a few times, and then as often as the limit says. Other sessions are not concerned.
func TestEndedAgainIsLimited(t *testing.T) {
	b, faulty := newFaulty(t)
	old, other := b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierBearer)
	if err := b.Logout(t.Context(), old.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	before := faulty.Calls(storetest.OpCommit)
	var throttled login.Throttled
	for range 200 {
		if err := b.Logout(t.Context(), old.Session, audit.Act{}); err != nil && !errors.As(err, &throttled) {
			t.Fatal(err)
		}
	}
	if n := faulty.Calls(storetest.OpCommit) - before; n != 30 || throttled.RetryAfter <= 0 {
		t.Errorf("200 logouts of one session that has ended caused %d commits, want 30; wait %v", n, throttled.RetryAfter)
	}
	if err := b.Logout(t.Context(), other.Session, audit.Act{}); err != nil {
		t.Errorf("another session = %v", err)
	}
	b.clock.add(throttled.RetryAfter)
	if err := b.Logout(t.Context(), old.Session, audit.Act{}); err != nil {
		t.Errorf("after the wait = %v", err)
	}
}

// damage makes the row of a session unreadable.
func (b *bench) damage(t *testing.T, sid string) {
	t.Helper()
	rec, err := store.One(t.Context(), b.store, store.Key{Kind: "session", ID: sid})
	if err != nil {
		t.Fatal(err)
	}
	rec.Value = []byte("{")
	if _, err := b.store.Commit(t.Context(), store.Batch{Put: []store.Record{rec}}); err != nil {
		t.Fatal(err)
	}
}

// A client that holds a session whose row is damaged can sign out, and sign in anew in its place.
func TestGiveUpADamagedSession(t *testing.T) {
	for name, give := range map[string]func(b *bench, held *counterfoil.Session, access string) error{
		"Logout": func(b *bench, held *counterfoil.Session, _ string) error {
			return b.Logout(t.Context(), held, audit.Act{})
		},
		"Login": func(b *bench, held *counterfoil.Session, _ string) error {
			_, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Carrier: counterfoil.CarrierCookie, Replaces: []*counterfoil.Session{held}})
			return err
		},
		"GiveUp": func(b *bench, _ *counterfoil.Session, access string) error {
			return b.GiveUp(t.Context(), access, "default", audit.Act{})
		},
	} {
		b := newIssuer(t, memory.New())
		own := b.login(t, "alice", counterfoil.CarrierCookie)
		b.damage(t, own.Session.ID)
		held, err := b.Held(t.Context(), own.Access.Reveal())
		if err != nil || held.ID != own.Session.ID || held.Subject != "alice" {
			t.Fatalf("%s: Held = %+v, %v", name, held, err)
		}
		if err := give(b, held, own.Access.Reveal()); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		if _, err := store.One(t.Context(), b.store, store.Key{Kind: "session", ID: own.Session.ID}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: the row is left, %v", name, err)
		}
	}
}

// SES-15: a session lists all sessions of its subject, and ends all others, until 15 minutes
// after the login. A refresh does not make the login newer, and a copy does not say how old it
// is: the row does. What an administrator does, and the end of one session, ask for nothing.
func TestOthersNeedAFreshLogin(t *testing.T) {
	for _, c := range carriers {
		b := newIssuer(t, memory.New())
		own, other := b.login(t, "alice", c), b.login(t, "alice", counterfoil.CarrierBearer)
		both := func(s *counterfoil.Session) (list, end error) {
			_, _, list = b.OwnSessions(t.Context(), s, "", 0)
			_, end = b.EndOthers(t.Context(), s, audit.Act{})
			return list, end
		}
		b.clock.add(issuer.FreshLogin - time.Second) // a session knows its login to the second
		if rows, _, err := b.OwnSessions(t.Context(), own.Session, "", 0); err != nil || len(rows) != 2 {
			t.Errorf("%v: OwnSessions at the last moment = %v, %v", c, rows, err)
		}
		b.clock.add(2 * time.Second)
		if refresh := own.Refresh.Reveal(); refresh != "" {
			next, err := b.Refresh(t.Context(), refresh, issuer.Renewal{})
			if err != nil {
				t.Fatal(err)
			}
			own = next
		}
		claims := *own.Session
		claims.AuthTime = b.clock.Now()
		before := len(b.entries(t))
		for name, s := range map[string]*counterfoil.Session{"as it is": own.Session, "a copy that says otherwise": &claims} {
			list, end := both(s)
			for _, err := range []error{list, end} {
				if stepUp, is := errors.AsType[*source.StepUpError](err); !is || stepUp.MaxAge == nil || *stepUp.MaxAge != issuer.FreshLogin {
					t.Errorf("%v, %s: %v, want a step-up to %v", c, name, err, issuer.FreshLogin)
				}
			}
		}
		if n := len(b.entries(t)); n != before {
			t.Errorf("%v: %d entries of the log, want %d", c, n, before)
		}
		if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 2 {
			t.Errorf("%v: Sessions = %v, %v, want both", c, rows, err)
		}
		up, err := b.StepUp(t.Context(), own.Session.ID, b.proof(t, "alice"), audit.Act{})
		if err != nil {
			t.Fatal(err)
		}
		if list, end := both(up.Session); list != nil || end != nil {
			t.Errorf("%v: after the step-up: %v, %v", c, list, end)
		}
		if _, err := b.Session(t.Context(), other.Session.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: the other session = %v, want none", c, err)
		}
		stranger := b.login(t, "bob", c).Session
		claims.ID = stranger.ID
		if list, end := both(&claims); !errors.Is(list, counterfoil.ErrRevoked) || !errors.Is(end, counterfoil.ErrRevoked) {
			t.Errorf("%v: by the id of another subject's session: %v, %v, want ErrRevoked", c, list, end)
		}
	}
}

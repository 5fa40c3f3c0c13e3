package issuer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

func newFaulty(t *testing.T) (*bench, *storetest.FaultyStore) {
	t.Helper()
	s := storetest.Faulty(memory.New())
	return newIssuer(t, s), s
}

// everyCall is all that an issuer does for somebody, on a session of theirs.
func (b *bench) everyCall(t *testing.T, i *issuer.Issued) map[string]func() error {
	proof := b.proof(t, "alice")
	return map[string]func() error{
		"Login": func() error {
			_, err := b.Login(t.Context(), proof, issuer.Request{Carrier: counterfoil.CarrierBearer})
			return err
		},
		"StartOver": func() error {
			_, err := b.StartOver(t.Context(), proof, issuer.Request{Carrier: counterfoil.CarrierCookie})
			return err
		},
		"Refresh": func() error {
			_, err := b.Refresh(t.Context(), i.Refresh.Reveal(), issuer.Renewal{})
			return err
		},
		"Lookup":   func() error { _, err := b.Lookup(t.Context(), i.Access.Reveal()); return err },
		"Sessions": func() error { _, _, err := b.Sessions(t.Context(), "alice", "", 0); return err },
		"Log":      func() error { _, err := b.Log(t.Context(), source.Follow{}); return err },
		"Logout":   func() error { return b.Logout(t.Context(), i.Session, audit.Act{}) },
		"EndOthers": func() error {
			_, err := b.EndOthers(t.Context(), i.Session, audit.Act{})
			return err
		},
		"EndByRefresh": func() error { return b.EndByRefresh(t.Context(), i.Refresh.Reveal(), "", audit.Act{}) },
		"SetSubject": func() error {
			return b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
		},
		"Revoke session": func() error {
			_, err := b.Revoke(t.Context(), source.ScopeSession, i.Session.ID, audit.Act{})
			return err
		},
		"Revoke subject": func() error {
			_, err := b.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{})
			return err
		},
		"Revoke all": func() error {
			_, err := b.Revoke(t.Context(), source.ScopeAll, "", audit.Act{})
			return err
		},
		"Revoke key": func() error {
			_, err := b.Revoke(t.Context(), source.ScopeKey, i.Session.KeyID, audit.Act{})
			return err
		},
		"Sweep": func() error { return b.Sweep(t.Context()) },
	}
}

// An outage that begins at any step of any call is ErrUnavailable, says nothing about
// a credential, and does nothing by half: afterwards the session is as it was.
func TestOutageAtEveryStep(t *testing.T) {
	some, _ := newFaulty(t)
	for name := range some.everyCall(t, some.login(t, "alice", counterfoil.CarrierBearer)) {
		for spared := 0; ; spared++ {
			b, s := newFaulty(t)
			i := b.login(t, "alice", counterfoil.CarrierBearer)
			call := b.everyCall(t, i)[name]
			s.Inject(storetest.Fault{After: spared})
			err := call()
			s.Heal()
			if err == nil {
				if spared == 0 {
					t.Errorf("%s needs no store", name)
				}
				break
			}
			if !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, counterfoil.ErrInvalidToken) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s with an outage from call %d on = %v, want ErrUnavailable alone", name, spared, err)
			}
			halfway := name == "Revoke key" && spared > 1 // the key went first: see revokeKey
			if _, err := b.Lookup(t.Context(), i.Access.Reveal()); err != nil && !halfway {
				t.Errorf("%s with an outage from call %d on ended the session: %v", name, spared, err)
			}
			if _, err := b.Refresh(t.Context(), i.Refresh.Reveal(), issuer.Renewal{}); err != nil {
				t.Errorf("%s with an outage from call %d on ended the grant: %v", name, spared, err)
			}
		}
	}
}

// A list that breaks off in the middle is an outage, not a shorter list.
func TestListBreaksOff(t *testing.T) {
	b, s := newFaulty(t)
	own := b.login(t, "alice", counterfoil.CarrierCookie)
	others := []*issuer.Issued{b.login(t, "alice", counterfoil.CarrierBearer), b.login(t, "alice", counterfoil.CarrierJWE)}
	for items := range 3 {
		s.Inject(storetest.Fault{Op: storetest.OpList, Kind: "session", Items: items})
		if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); !errors.Is(err, counterfoil.ErrUnavailable) || rows != nil {
			t.Errorf("Sessions after %d records = %d rows, %v", items, len(rows), err)
		}
		if _, err := b.EndOthers(t.Context(), own.Session, audit.Act{}); items == 0 && !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("EndOthers after %d records = %v", items, err)
		} else if items > 0 { // it has seen another one, which is all that it asks
			continue
		}
		s.Heal()
		for _, o := range others {
			if _, err := b.Lookup(t.Context(), o.Access.Reveal()); err != nil {
				t.Errorf("a list that broke off after %d records ended a session: %v", items, err)
			}
		}
	}
}

// REF-03: the commit of a refresh was made and its answer was lost. The client has
// the old token only; within the grace it gets the successor, nobody is signed out,
// and what it got goes on.
func TestRefreshAnswerLost(t *testing.T) {
	b, s := newFaulty(t)
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	token := first.Refresh.Reveal()
	for range 5 {
		s.Inject(storetest.Fault{Op: storetest.OpCommit, Lost: true, Times: 1})
		if _, err := b.Refresh(t.Context(), token, issuer.Renewal{}); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Fatalf("Refresh = %v, want ErrUnavailable", err)
		}
		next, err := b.Refresh(t.Context(), token, issuer.Renewal{})
		if err != nil {
			t.Fatalf("Refresh again = %v", err)
		}
		if _, err := b.Lookup(t.Context(), next.Access.Reveal()); err != nil {
			t.Errorf("Lookup = %v", err)
		}
		token = next.Refresh.Reveal()
	}
	if _, err := b.Lookup(t.Context(), first.Access.Reveal()); err != nil {
		t.Errorf("Lookup of the first copy = %v: the family was revoked", err)
	}
}

// A login whose answer was lost made a session that nobody holds. Proving again
// makes another one; the first is listed, and can be ended.
func TestLoginAnswerLost(t *testing.T) {
	for _, c := range carriers {
		b, s := newFaulty(t)
		s.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "session", Lost: true, Times: 1})
		if _, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Carrier: c}); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Fatalf("%v: Login = %v, want ErrUnavailable", c, err)
		}
		own := b.login(t, "alice", c)
		rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
		if err != nil || len(rows) != 2 {
			t.Errorf("%v: %d sessions, %v, want both", c, len(rows), err)
		}
		if _, err := b.EndOthers(t.Context(), own.Session, audit.Act{}); err != nil {
			t.Errorf("%v: EndOthers = %v", c, err)
		}
		if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 1 {
			t.Errorf("%v: %d sessions after EndOthers, %v, want the own one", c, len(rows), err)
		}
	}
}

// docs/revocation.md 4.2: a revocation whose answer was lost is in force, and doing it again
// gives the place it has in the log: as soon as a commit confirms it, and not before.
func TestRevokeAnswerLost(t *testing.T) {
	b, s := newFaulty(t)
	i := b.login(t, "alice", counterfoil.CarrierBearer)
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Lost: true, Times: 1})
	if receipt, err := b.Revoke(t.Context(), source.ScopeSession, i.Session.ID, audit.Act{}); !errors.Is(err, counterfoil.ErrUnavailable) || receipt != (issuer.Receipt{}) {
		t.Fatalf("Revoke = %v, %v, want ErrUnavailable and no receipt", receipt, err)
	}
	if _, err := b.Lookup(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Lookup = %v, want ErrInvalidToken", err)
	}
	page, err := b.Log(t.Context(), source.Follow{})
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("Log = %v, %v, want one entry", page, err)
	}
	s.Inject(storetest.Fault{Op: storetest.OpCommit})
	_, revoked := b.Revoke(t.Context(), source.ScopeSession, i.Session.ID, audit.Act{})
	for name, err := range map[string]error{
		"Revoke":       revoked,
		"Logout":       b.Logout(t.Context(), i.Session, audit.Act{}),
		"EndByRefresh": b.EndByRefresh(t.Context(), i.Refresh.Reveal(), "", audit.Act{}),
	} {
		if !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%s again, when nothing can be committed, = %v, want ErrUnavailable", name, err)
		}
	}
	s.Heal()
	for range 2 {
		receipt, err := b.Revoke(t.Context(), source.ScopeSession, i.Session.ID, audit.Act{})
		if err != nil || receipt.At != page.Entries[0].At || receipt.CommittedAt.Sub(b.clock.Now()).Abs() > 1e9 {
			t.Errorf("Revoke again = %v, %v, want %v", receipt, err, page.Entries[0].At)
		}
	}
}

// The key is revoked in two steps; whichever answer is lost, doing it again ends well.
func TestRevokeKeyThroughAnOutage(t *testing.T) {
	for _, lost := range []bool{true, false} {
		for spared := range 2 {
			b, s := newFaulty(t)
			i := b.login(t, "alice", counterfoil.CarrierBearer)
			s.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared, Times: 1, Lost: lost})
			if _, err := b.Revoke(t.Context(), source.ScopeKey, i.Session.KeyID, audit.Act{}); !errors.Is(err, counterfoil.ErrUnavailable) {
				t.Errorf("Revoke = %v, want ErrUnavailable", err)
			}
			receipt, err := b.Revoke(t.Context(), source.ScopeKey, i.Session.KeyID, audit.Act{})
			if err != nil {
				t.Errorf("Revoke again = %v", err)
			}
			page, err := b.Log(t.Context(), source.Follow{})
			if err != nil || len(page.Entries) == 0 || page.Head.Before(receipt.At) {
				t.Errorf("Log = %v, %v, want an entry up to %v", page, err, receipt.At)
			}
			if _, err := b.Lookup(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("Lookup = %v, want ErrInvalidToken", err)
			}
		}
	}
}

// REV-09, KEY-05: a store that says it has lost what it had acknowledged is given a new epoch by
// the process that hears of it first: every session of before ends, also one whose revocation
// may be what was lost, and it is in the trail.
func TestStoreHasLost(t *testing.T) {
	for _, op := range []storetest.Op{storetest.OpLog, storetest.OpCommit} {
		b, s := newFaulty(t)
		old := b.login(t, "alice", counterfoil.CarrierCookie)
		token := b.login(t, "alice", counterfoil.CarrierBearer)
		key := b.SigningKeys()[0].ID // may be one whose revocation was lost
		before, err := b.Feed().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Inject(storetest.Fault{Op: op, Times: 1, Err: store.ErrLost})
		again := b.login(t, "bob", counterfoil.CarrierCookie)
		for _, i := range []*issuer.Issued{old, token} {
			if _, err := b.Lookup(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%s: Lookup of a session of before = %v, want ErrInvalidToken", op, err)
			}
		}
		if _, err := b.Refresh(t.Context(), token.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: Refresh of a session of before = %v, want ErrInvalidToken", op, err)
		}
		if op == storetest.OpLog {
			again = b.login(t, "bob", counterfoil.CarrierCookie) // the one above was before it was known
		}
		if _, err := b.Lookup(t.Context(), again.Access.Reveal()); err != nil {
			t.Errorf("%s: Lookup of a login after it = %v", op, err)
		}
		after, err := b.Feed().Status(t.Context())
		if err != nil || after.Head.Epoch == before.Head.Epoch {
			t.Errorf("%s: the log went from %v to %v, %v", op, before.Head, after.Head, err)
		}
		keys, err := b.Keys(t.Context())
		if err != nil || strings.Contains(string(keys), key) || len(b.SigningKeys()) != 2 {
			t.Errorf("%s: keys after it are %s, %v, want another than %s", op, keys, err, key)
		}
		entries, err := b.Log(t.Context(), source.Follow{})
		if err != nil || !slices.ContainsFunc(entries.Entries, func(e source.Revocation) bool { return e.Scope == source.ScopeKey && e.ID == key }) {
			t.Errorf("%s: the log does not revoke %s: %v, %v", op, key, entries.Entries, err)
		}
		page, _, err := b.Audit().List(t.Context(), audit.Query{})
		if err != nil || !slices.ContainsFunc(page, func(e audit.Entry) bool { return e.Action == audit.NewEpoch }) {
			t.Errorf("%s: the trail does not tell of it: %v", op, err)
		}
	}
}

// KEY-08: a key that is not known here may be one that another node has just made, so
// the keyring is read: for all who ask at once together, and ten times a second at most.
// What is no token at all reads nothing; and an outage is no word about the token.
func TestUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, s := bubbleIssuer(t)
		made := func(typ string) string {
			private, err := token.GenerateKey(token.ES256)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := token.NewSigner("made-up", token.ES256, private)
			if err != nil {
				t.Fatal(err)
			}
			text, err := signer.Sign(typ, []byte(`{"iss":"https://auth.test","sub":"alice","exp":4102444800}`))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		unknown := made("at+jwt")
		ask := func(text string, want error) {
			t.Helper()
			if _, err := i.Lookup(context.Background(), text); !errors.Is(err, want) {
				t.Errorf("Lookup = %v, want %v", err, want)
			}
		}
		reads := s.Calls(storetest.OpGet)
		for _, junk := range []string{"a.b.c", "..", made("JWT"), unknown[:len(unknown)/2], "a.b.c.d.e"} {
			ask(junk, counterfoil.ErrInvalidToken)
		}
		if n := s.Calls(storetest.OpGet) - reads; n != 0 {
			t.Errorf("%d reads for what is no token", n)
		}
		begun := time.Now()
		for range 10 {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { ask(unknown, counterfoil.ErrInvalidToken) })
			}
			all.Wait()
		}
		took := time.Since(begun)
		if n := s.Calls(storetest.OpGet) - reads; n > int(took/(100*time.Millisecond))+1 {
			t.Errorf("%d reads in %v for 10 times 100 unknown keys", n, took)
		}
		s.Inject(storetest.Fault{Op: storetest.OpGet})
		ask(unknown, counterfoil.ErrUnavailable)
		ask("a.b.c", counterfoil.ErrInvalidToken)
	})
}

// bubbleIssuer is an issuer by the clock of a synctest bubble.
func bubbleIssuer(t *testing.T) (*issuer.Issuer, *storetest.FaultyStore) {
	t.Helper()
	s := storetest.Faulty(memory.New())
	keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(issuer.Options{Store: s, Keys: keys, URL: "https://auth.test"})
	if err != nil {
		t.Fatal(err)
	}
	return i, s
}

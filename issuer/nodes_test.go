package issuer_test

import (
	"context"
	"errors"
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
	"github.com/counterfoil/counterfoil/store/storetest"
)

// nodes are issuers of different processes on one store.
func nodes(t *testing.T) (a, b *bench) {
	s := memory.New()
	return newIssuer(t, s), newIssuer(t, s)
}

// KEY-04: a key that one node has just made is one that the others publish and verify
// with, without waiting for their next Tick.
func TestNodesKnowANewKey(t *testing.T) {
	for _, c := range carriers {
		a, b := nodes(t)
		if err := a.RotateKey(t.Context(), rights.Owner(), audit.Act{}); err != nil {
			t.Fatal(err)
		}
		before := a.login(t, "alice", c).Session.KeyID
		a.clock.add(15 * time.Minute)
		if now := a.login(t, "alice", c).Session.KeyID; before != "" && now == before {
			t.Errorf("%v: key %s signs, want another", c, now)
		}
		issued := a.login(t, "alice", c)
		if _, err := b.Lookup(t.Context(), issued.Access.Reveal()); err != nil {
			t.Errorf("%v: Lookup at the other node = %v", c, err)
		}
		jwks, err := b.Keys(t.Context())
		if err != nil || !strings.Contains(string(jwks), issued.Session.KeyID) {
			t.Errorf("%v: the key set of the other node lacks key %q (%v)", c, issued.Session.KeyID, err)
		}
	}
}

// What one node encrypts to a client's key every node opens, with another signing key and
// another key of the client by then, and without one.
func TestNodesOpenWhatIsForAClient(t *testing.T) {
	a, b := nodes(t)
	a.client(t, clients.Default, clients.Client{EncryptionKey: encryptionKey(t, "e1")})
	first := a.login(t, "alice", counterfoil.CarrierJWE)
	a.client(t, clients.Default, clients.Client{EncryptionKey: encryptionKey(t, "e2")})
	if err := a.RotateKey(t.Context(), rights.Owner(), audit.Act{}); err != nil {
		t.Fatal(err)
	}
	second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	a.client(t, clients.Default, clients.Client{})
	for n, issued := range []*issuer.Issued{first, second} {
		for _, node := range []*bench{a, b} {
			if s, err := node.Lookup(t.Context(), issued.Access.Reveal()); err != nil || s.ID != first.Session.ID {
				t.Errorf("Lookup of copy %d = %v, %v", n, s, err)
			}
			if s, err := node.Held(t.Context(), issued.Access.Reveal()); err != nil || s.ID != first.Session.ID {
				t.Errorf("Held of copy %d = %v, %v", n, s, err)
			}
		}
	}
}

// KEY-09: no node hands out a copy that is signed with a key which was revoked before:
// every verifier would refuse it, and the client would come back for another.
func TestNodesSignWithNoRevokedKey(t *testing.T) {
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWE} {
		a, b := nodes(t)
		held := b.login(t, "alice", c)
		for range 3 {
			if _, err := a.Revoke(t.Context(), source.ScopeKey, held.Session.KeyID, audit.Act{}); err != nil {
				t.Fatal(err)
			}
			next, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
			if err != nil {
				t.Fatal(err)
			}
			if next.Session.KeyID == held.Session.KeyID {
				t.Errorf("%v: the other node signs with the revoked key %s", c, held.Session.KeyID)
			}
			if _, err := a.Lookup(t.Context(), next.Access.Reveal()); err != nil {
				t.Errorf("%v: Lookup of the copy = %v", c, err)
			}
			held = next
		}
		if next := b.login(t, "bob", c); next.Session.KeyID != held.Session.KeyID {
			t.Errorf("%v: a login is signed with %s, a refresh with %s", c, next.Session.KeyID, held.Session.KeyID)
		}
	}
}

// A keyring that is turned, read and revoked in at once never goes back: what a reading
// found is never replaced by an older one.
func TestRevokedKeyNeverSignsAgain(t *testing.T) {
	a, b := nodes(t)
	held := a.login(t, "alice", counterfoil.CarrierBearer)
	for range 50 { // the ring keeps revoked keys for a while
		a.clock.add(2 * time.Second) // the rate of refreshes
		kid := held.Session.KeyID
		together(
			func() { _, _ = a.Keys(context.Background()) },
			func() { _, _ = a.Keys(context.Background()) },
			func() { _ = b.Sweep(context.Background()) },
			func() {
				if _, err := a.Revoke(context.Background(), source.ScopeKey, kid, audit.Act{}); err != nil {
					t.Error(err)
				}
			})
		next, err := a.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
		if err != nil {
			t.Fatal(err)
		}
		if next.Session.KeyID == kid {
			t.Fatalf("signed with %s, which was revoked", kid)
		}
		held = next
	}
}

// REF-04, across processes: a token that is presented to two nodes at once has one
// successor, which both hand out, and the family lives.
func TestRefreshOnTwoNodes(t *testing.T) {
	a, b := nodes(t)
	held := a.login(t, "alice", counterfoil.CarrierBearer)
	for n := range 200 {
		a.clock.add(2 * time.Second) // the rate of refreshes
		b.clock.add(2 * time.Second)
		var at [2]*issuer.Issued
		token := held.Refresh.Reveal()
		together(
			func() { at[0], _ = a.Refresh(context.Background(), token, issuer.Renewal{}) },
			func() { at[1], _ = b.Refresh(context.Background(), token, issuer.Renewal{}) })
		if at[0] == nil || at[1] == nil || at[0].Refresh.Reveal() != at[1].Refresh.Reveal() {
			t.Fatalf("round %d: %+v and %+v, want one successor", n, at[0], at[1])
		}
		held = at[n%2]
	}
}

// 4.6, across processes: what one node takes away, the next refresh at another does not
// give, though that node has not looked at the log in between.
func TestNodesSeeWhatOthersTookAway(t *testing.T) {
	a, b := nodes(t)
	held := b.login(t, "alice", counterfoil.CarrierBearer)
	if err := a.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{} }); err != nil {
		t.Fatal(err)
	}
	next, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
	if err != nil || len(next.Session.Roles) != 0 {
		t.Fatalf("Refresh after the roles were taken = %+v, %v", next, err)
	}
	for n, revoke := range []func() error{
		func() error {
			_, err := a.Revoke(t.Context(), source.ScopeClient, clients.Default, audit.Act{})
			return err
		},
		func() error { _, err := a.Revoke(t.Context(), source.ScopeAll, "", audit.Act{}); return err },
		func() error {
			_, err := a.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{})
			return err
		},
	} {
		held := b.login(t, "alice", counterfoil.CarrierBearer)
		if err := revoke(); err != nil {
			t.Fatal(err)
		}
		if next, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("revocation %d: Refresh = %+v, %v, want ErrRevoked", n, next, err)
		}
	}
}

// An outage of the keyring's store does not take the key set away.
func TestKeysWithoutAStore(t *testing.T) {
	b, s := newFaulty(t)
	want, err := b.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(storetest.Fault{})
	if got, err := b.Keys(t.Context()); err != nil || string(got) != string(want) {
		t.Errorf("Keys without a store = %s, %v, want %s", got, err, want)
	}
}

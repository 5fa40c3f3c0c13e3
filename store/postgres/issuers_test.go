package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/issuertest"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// issuers returns n nodes: each is an issuer with its own connections to one database.
func issuers(t *testing.T, n int) []*issuer.Issuer {
	t.Helper()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	all := make([]*issuer.Issuer, n)
	for n := range all {
		all[n] = newIssuer(t, open(t, dsn))
	}
	return all
}

// newIssuer returns a whole issuer on s.
func newIssuer(tb testing.TB, s store.Store) *issuer.Issuer {
	tb.Helper()
	auth, err := server.Open(tb.Context(), server.Config{
		Store: s, URL: "https://auth.test", SealKey: [32]byte{1}, Offline: true, InsecureHashes: true,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return auth.Issuer()
}

func signIn(t *testing.T, i *issuer.Issuer, subject string) *issuer.Issued {
	t.Helper()
	rev, err := i.SubjectRev(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	got, err := i.Login(t.Context(), login.Proof{Subject: subject, Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestGrants(t *testing.T) {
	t.Parallel()
	issuertest.Grants(t, func(t *testing.T) *issuer.Issuer { return issuers(t, 1)[0] })
}

// REF-04: a hundred callers at each of two nodes present one token. All who are answered get
// the same successor, the others may ask again, and the family lives.
func TestOneSuccessorOnTwoNodes(t *testing.T) {
	t.Parallel()
	nodes := issuers(t, 2)
	held := signIn(t, nodes[0], "alice")
	for range 5 {
		var mu sync.Mutex
		var next *issuer.Issued
		successors := map[string]int{}
		var wg sync.WaitGroup
		for n := range 200 {
			wg.Go(func() {
				got, err := nodes[n%2].Refresh(context.Background(), held.Refresh.Reveal(), issuer.Renewal{})
				if errors.As(err, new(issuer.TooOften)) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				successors[got.Refresh.Reveal()]++
				next = got
			})
		}
		wg.Wait()
		if len(successors) != 1 {
			t.Fatalf("%d successors of one token", len(successors))
		}
		held = next
	}
}

// REF-10: one node refreshes while another node revokes. Whether the refresh succeeds or
// fails, no node accepts any token of the session afterwards.
func TestRefreshRacesRevokeOfAnotherNode(t *testing.T) {
	t.Parallel()
	nodes := issuers(t, 2)
	for n := range 100 {
		subject := fmt.Sprint("subject", n)
		held := signIn(t, nodes[0], subject)
		scope, id := source.ScopeSession, held.Session.ID
		switch n % 3 {
		case 1:
			scope, id = source.ScopeSubject, subject
		case 2:
			scope, id = source.ScopeAll, ""
		}
		var next *issuer.Issued
		var wg sync.WaitGroup
		wg.Go(func() {
			var err error
			if next, err = nodes[0].Refresh(context.Background(), held.Refresh.Reveal(), issuer.Renewal{}); err != nil && !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := nodes[1].Revoke(context.Background(), scope, id, audit.Act{}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if next == nil {
			next = held
		}
		for _, i := range nodes {
			if _, err := i.Lookup(t.Context(), next.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%s: Lookup after the revocation = %v", scope, err)
			}
			if _, err := i.Refresh(t.Context(), next.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%s: Refresh after the revocation = %v", scope, err)
			}
		}
	}
}

// KEY-09: after one node has revoked a key, no other node signs with it.
func TestKeyRevokedAtAnotherNode(t *testing.T) {
	t.Parallel()
	nodes := issuers(t, 2)
	held := signIn(t, nodes[1], "alice")
	for range 3 {
		if _, err := nodes[0].Revoke(t.Context(), source.ScopeKey, held.Session.KeyID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		next, err := nodes[1].Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
		if err != nil {
			t.Fatal(err)
		}
		if next.Session.KeyID == held.Session.KeyID {
			t.Errorf("signed with %s, which another node revoked before", next.Session.KeyID)
		}
		if _, err := nodes[0].Lookup(t.Context(), next.Access.Reveal()); err != nil {
			t.Error(err)
		}
		held = next
	}
}

package redis_test

import (
	"errors"
	"fmt"
	"log/slog"
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
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/redis"
)

func newIssuer(t testing.TB, sessions store.Store) *issuer.Issuer {
	t.Helper()
	auth, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), Sessions: sessions, URL: "https://auth.test", Offline: true, InsecureHashes: true,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return auth.Issuer()
}

func signIn(t testing.TB, i *issuer.Issuer, subject string, c counterfoil.Carrier) *issuer.Issued {
	t.Helper()
	rev, err := i.SubjectRev(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	got, err := i.Login(t.Context(), login.Proof{Subject: subject, At: time.Now(), Methods: []string{"pwd"}, SubjectRev: rev}, issuer.Request{Carrier: c})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestGrants(t *testing.T) {
	issuertest.Grants(t, func(t *testing.T) *issuer.Issuer {
		return newIssuer(t, open(t, redis.Options{URL: url(testsvc.StartRedis(t).Addr())}))
	})
}

// A failover loses the revocation of a session. The session does not come back, neither by
// its cookie nor by its refresh token. If the failover loses nothing, sessions go on.
func TestRevokedStaysRevokedAfterFailover(t *testing.T) {
	for _, loses := range []bool{true, false} {
		t.Run(fmt.Sprint("loses ", loses), func(t *testing.T) {
			c := testsvc.StartSentinel(t, durable...)
			i := newIssuer(t, open(t, redis.Options{URL: sentinelURL(c)}))
			cookie, bearer := signIn(t, i, "alice", counterfoil.CarrierCookie), signIn(t, i, "alice", counterfoil.CarrierBearer)
			bob := signIn(t, i, "bob", counterfoil.CarrierCookie)
			if _, err := c.Nodes[0].Do("WAIT", "1", "5000"); err != nil { // the replica has the three sessions
				t.Fatal(err)
			}
			until(t, "the replica has the sessions", func() error {
				of := func(n int) string { keys, _ := c.Nodes[n].Do("DBSIZE"); return keys }
				if of(0) != of(1) {
					return errors.New("not yet")
				}
				return nil
			})
			if loses {
				cutOff(t, c)
			}
			if _, err := i.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{}); err != nil {
				t.Fatal(err)
			}
			if !loses {
				until(t, "the replica has the revocation", func() error {
					of := func(n int) string { head, _ := c.Nodes[n].Do("XLEN", "{counterfoil}:log"); return head }
					if of(0) != of(1) {
						return errors.New("not yet")
					}
					return nil
				})
			}
			before := cookie.Session.Born
			c.Nodes[0].Kill()
			until(t, "another primary", func() error { _, err := i.Feed().Status(t.Context()); return err })
			for name, err := range map[string]error{
				"cookie":  second(i.Lookup(t.Context(), cookie.Access.Reveal())),
				"token":   second(i.Lookup(t.Context(), bearer.Access.Reveal())),
				"refresh": second(i.Refresh(t.Context(), bearer.Refresh.Reveal(), issuer.Renewal{})),
			} {
				if !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("%s that was revoked = %v, want ErrInvalidToken", name, err)
				}
			}
			if _, err := i.Lookup(t.Context(), bob.Access.Reveal()); (err == nil) == loses {
				t.Errorf("a session that nobody revoked, after a failover = %v", err)
			}
			if status, err := i.Feed().Status(t.Context()); err != nil || status.Head.Epoch == before.Epoch {
				t.Errorf("after a failover the epoch is %x, %v, as before", status.Head.Epoch, err)
			}
			anew := signIn(t, i, "alice", counterfoil.CarrierCookie)
			if _, err := i.Lookup(t.Context(), anew.Access.Reveal()); err != nil {
				t.Errorf("a login after the failover = %v", err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

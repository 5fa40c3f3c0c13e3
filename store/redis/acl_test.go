package redis_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/redis"
)

// makeUser creates the user that docs/operations-redis.md shows, with the password "secret"
// and the rules in more.
func makeUser(t *testing.T, r *testsvc.Redis, more ...string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations-redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\nuser counterfoil on >PASSWORD ")
	rules, _, _ := strings.Cut(rest, "\n")
	if !found {
		t.Fatal("docs/operations-redis.md shows no user")
	}
	all := append([]string{"ACL", "SETUSER", "counterfoil", "on", ">secret"}, strings.Fields(rules)...)
	if _, err := r.Do(append(all, more...)...); err != nil {
		t.Fatal(err)
	}
}

// The user of docs/operations-redis.md has every right that the store needs.
func TestLeastPrivilege(t *testing.T) {
	for _, c := range [][]*testsvc.Redis{{testsvc.StartRedis(t, durable...)}, testsvc.StartCluster(t, 3, 0, durable...).Nodes} {
		var addrs []string
		for _, n := range c {
			addrs = append(addrs, n.Addr())
			makeUser(t, n)
		}
		s := open(t, redis.Options{URL: "redis://counterfoil@" + strings.Join(addrs, ","), Password: "secret"})
		if s.Describe().Durability != store.Durable {
			t.Errorf("Durability = %s: %s", s.Describe().Durability, s.Describe().WhyLossy)
		}
		soon := time.Now().Add(-time.Hour)
		rec := thing("a")
		rec.Expires = soon
		for name, err := range map[string]error{
			"put": second(s.Commit(t.Context(), store.Batch{Put: []store.Record{rec}})),
			"end": second(s.Commit(t.Context(), store.Batch{
				DeleteOwned: []store.Owned{{Kind: "thing", Owner: "bob"}, {Kind: "thing", Owner: ""}}, Delete: []store.Key{thing("b").Key},
				Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: "b", Expires: soon}},
			})),
			"sweep": second(s.Sweep(t.Context(), time.Now())),
			"wait":  s.Wait(t.Context(), counterfoil.Cursor{}),
			"time":  second(s.Time(t.Context())),
			"epoch": second(s.Commit(t.Context(), store.Batch{NewEpoch: true})),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, owner := range []string{"alice", "*"} {
			for _, err := range s.List(t.Context(), "thing", owner, "") {
				if err != nil {
					t.Errorf("list %s: %v", owner, err)
				}
			}
		}
		options := redis.Options{URL: "redis://counterfoil@" + strings.Join(addrs, ","), Password: "secret"}
		if e, err := redis.Examine(t.Context(), options); err != nil || e.Within == 0 {
			t.Errorf("Examine = %+v, %v, want its clock too", e, err)
		}
		_, head := allEntries(t, s)
		waited := make(chan error)
		go func() { waited <- s.Wait(t.Context(), head) }() // a message must wake it: its context has no deadline
		if _, err := revoke(s, "c"); err != nil {
			t.Error(err)
		}
		if err := <-waited; err != nil {
			t.Errorf("Wait = %v", err)
		}
	}
}

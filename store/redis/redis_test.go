package redis_test

import (
	"context"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/storetest"
	"github.com/counterfoil/counterfoil/store/storetest/linear"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

func open(t testing.TB, o redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	r := testsvc.StartRedis(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		if _, err := r.Do("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
		return open(t, redis.Options{URL: "redis://" + r.Addr()})
	})
}

func TestIsLinearizable(t *testing.T) {
	linear.Run(t, func(t *testing.T) store.Store {
		return open(t, redis.Options{URL: "redis://" + testsvc.StartRedis(t).Addr()})
	})
}

func TestContractInCluster(t *testing.T) {
	c := testsvc.StartCluster(t, 3, 0)
	storetest.Run(t, func(t *testing.T) store.Store {
		for _, n := range c.Nodes {
			if _, err := n.Do("FLUSHALL"); err != nil {
				t.Fatal(err)
			}
		}
		return open(t, redis.Options{URL: "redis://" + c.Nodes[0].Addr() + "," + c.Nodes[1].Addr()})
	})
}

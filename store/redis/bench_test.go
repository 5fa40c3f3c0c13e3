package redis_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/storebench"
)

// bare uses the client library alone, on its own keys.
type bare struct{ rueidis.Client }

func (r bare) Read(ctx context.Context, id string) error {
	_, err := r.Do(ctx, r.B().Get().Key(id).Build()).AsBytes()
	return err
}

func (r bare) Insert(ctx context.Context, id string, value []byte) error {
	return r.Do(ctx, r.B().Set().Key(id).Value(rueidis.BinaryString(value)).Build()).Error()
}

func (r bare) Update(ctx context.Context, id string, value []byte) error {
	return r.Insert(ctx, id, value)
}

// engines starts a server that has every write on disk before it answers. Each call of
// opened returns the store of another client.
func engines(b *testing.B) (raw bare, opened func(*testing.B) store.Store) {
	b.Helper()
	server := testsvc.StartRedis(b, durable...)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true, DisableRetry: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	return bare{client}, func(b *testing.B) store.Store { return open(b, redis.Options{URL: url(server.Addr())}) }
}

func BenchmarkSteps(b *testing.B) {
	raw, opened := engines(b)
	storebench.Steps(b, opened(b), raw)
}

func BenchmarkRates(b *testing.B) {
	raw, opened := engines(b)
	storebench.Rates(b, raw, opened, 1, 2, 3)
}

func BenchmarkGrowth(b *testing.B) {
	raw, opened := engines(b)
	storebench.Growth(b, raw, opened(b))
}

// BenchmarkWait measures how much sixteen callers commit with and without waiting for a
// replica. There is a primary and one replica. Each has every write on disk before it answers.
func BenchmarkWait(b *testing.B) {
	primary, replica := testsvc.StartRedis(b, durable...), testsvc.StartRedis(b, durable...)
	if _, err := replica.Do("REPLICAOF", "127.0.0.1", strings.Split(primary.Addr(), ":")[1]); err != nil {
		b.Fatal(err)
	}
	waits := open(b, redis.Options{URL: url(primary.Addr()) + "?wait=1", Timeout: time.Minute})
	for name, s := range map[string]*redis.Store{"wait=1": waits, "no wait": open(b, redis.Options{URL: url(primary.Addr())})} {
		var n atomic.Int64
		put := func(ctx context.Context) error {
			r := thing(fmt.Sprintf("%s-%020d", strings.ReplaceAll(name, " ", "-"), n.Add(1)))
			return second(s.Commit(ctx, store.Batch{Put: []store.Record{r}}))
		}
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(8) // 16 callers on 2 processors
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := put(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

func BenchmarkSize(b *testing.B) {
	storebench.Size(b, func(b *testing.B) storebench.Engine {
		server := testsvc.StartRedis(b)
		return storebench.Engine{
			Store: open(b, redis.Options{URL: "redis://" + server.Addr()}),
			Bytes: func() int64 { return used(b, server) },
		}
	}, counterfoil.CarrierCookie, counterfoil.CarrierBearer)
}

func used(b *testing.B, server *testsvc.Redis) int64 {
	b.Helper()
	info, err := server.Do("INFO", "memory")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	text, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func BenchmarkSearch(b *testing.B) {
	_, opened := engines(b)
	storebench.Search(b, opened(b), false)
}

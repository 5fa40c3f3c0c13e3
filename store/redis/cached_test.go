package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/redis"
)

// stat returns a number from the line of a command in INFO commandstats, and 0 if there is no
// line.
func stat(t testing.TB, r *testsvc.Redis, command, name string) float64 {
	t.Helper()
	info, err := r.Do("INFO", "commandstats")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "cmdstat_"+command+":")
	line, _, _ := strings.Cut(rest, "\n")
	_, rest, found := strings.Cut(line, name+"=")
	if !found {
		return 0
	}
	text, _, _ := strings.Cut(strings.TrimSpace(rest), ",")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// roundTrips returns how many round trips r has served: every script is one, and every read,
// which ends with one UNLINK.
func roundTrips(t testing.TB, r *testsvc.Redis) float64 {
	t.Helper()
	return stat(t, r, "evalsha", "calls") + stat(t, r, "unlink", "calls")
}

// threadTime returns how many microseconds the main thread of the server has worked.
func threadTime(t testing.TB, r *testsvc.Redis) (us float64) {
	t.Helper()
	info, err := r.Do("INFO", "cpu")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"used_cpu_sys_main_thread:", "used_cpu_user_main_thread:"} {
		_, rest, _ := strings.Cut(info, name)
		text, _, _ := strings.Cut(rest, "\r")
		s, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		us += s * 1e6
	}
	return us
}

// follower returns a verifier that follows source.
func follower(t testing.TB, source counterfoil.Source) *counterfoil.Verifier {
	t.Helper()
	v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// A verifier that has looked up a session once verifies it again without asking Redis. After
// a revocation it refuses the session, because it follows the log. The test counts HGET: the
// store sends it to read records, and never to read the log.
func TestRepeatedLookupReadsNoRecord(t *testing.T) {
	r := testsvc.StartRedis(t)
	i := newIssuer(t, open(t, redis.Options{URL: url(r.Addr())}))
	v := follower(t, i)
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
		got := signIn(t, i, "alice", carrier)
		if _, err := v.Verify(t.Context(), got.Access.Reveal()); err != nil {
			t.Fatal(err)
		}
		before := stat(t, r, "hget", "calls")
		for range 10000 {
			if _, err := v.Verify(t.Context(), got.Access.Reveal()); err != nil {
				t.Fatal(err)
			}
		}
		if n := stat(t, r, "hget", "calls") - before; n != 0 {
			t.Errorf("%v: 10000 checks of a session that was seen read %v records", carrier, n)
		}
		receipt, err := i.Revoke(t.Context(), source.ScopeSession, got.Session.ID, audit.Act{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.WaitFor(t.Context(), receipt.At); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("%v: a session that was revoked = %v, want ErrRevoked", carrier, err)
		}
	}
}

// The issuer reads the record at every look-up: a look-up that starts after a revocation has
// returned must refuse.
func TestIssuerReadsAtEveryLookup(t *testing.T) {
	r := testsvc.StartRedis(t)
	s := open(t, redis.Options{URL: url(r.Addr())})
	one, two := newIssuer(t, s), newIssuer(t, open(t, redis.Options{URL: url(r.Addr())}))
	for range 200 {
		got := signIn(t, one, "alice", counterfoil.CarrierCookie)
		for range 2 {
			if _, err := one.Lookup(t.Context(), got.Access.Reveal()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := two.Revoke(t.Context(), source.ScopeSession, got.Session.ID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Fatalf("Lookup after another node revoked it = %v, want ErrInvalidToken", err)
		}
	}
}

// BenchmarkRepeated looks up the same session again: by a verifier, by the issuer, and by a
// read of the record alone. asked/op is the number of round trips to Redis.
func BenchmarkRepeated(b *testing.B) {
	r := testsvc.StartRedis(b)
	s := open(b, redis.Options{URL: url(r.Addr())})
	i := newIssuer(b, s)
	v := follower(b, i)
	got := signIn(b, i, "alice", counterfoil.CarrierCookie)
	for name, do := range map[string]func() error{
		"verifier": func() error { return second(v.Verify(b.Context(), got.Access.Reveal())) },
		"issuer":   func() error { return second(i.Lookup(b.Context(), got.Access.Reveal())) },
		"record": func() error {
			return second(store.One(b.Context(), s, store.Key{Kind: "session", ID: got.Session.ID}))
		},
	} {
		b.Run(name, func(b *testing.B) {
			before := roundTrips(b, r)
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((roundTrips(b, r)-before)/float64(b.N), "asked/op")
		})
	}
}

// BenchmarkOneSlot measures what one server, and so one slot of a Cluster, can do with 16
// callers. server-us/op is how long a call occupies the main thread of the server.
func BenchmarkOneSlot(b *testing.B) {
	r := testsvc.StartRedis(b)
	s := open(b, redis.Options{URL: url(r.Addr())})
	i := newIssuer(b, s)
	const bearers = 1024
	var tokens [bearers]string
	for n := range tokens {
		tokens[n] = signIn(b, i, fmt.Sprint("user", n), counterfoil.CarrierBearer).Access.Reveal()
	}
	opaque := signIn(b, i, "carol", counterfoil.CarrierCookie).Access.Reveal()
	rec := func(n int64) store.Record {
		return store.Record{
			Key: store.Key{Kind: "session", ID: fmt.Sprintf("bench%020d", n)}, Owner: fmt.Sprint("user", n%bearers),
			Expires: time.Now().Add(time.Hour), Value: []byte(`{"carrier":"cookie","client":"default"}`),
		}
	}
	var n atomic.Int64
	for name, do := range map[string]func() error{
		"lookup cookie": func() error { return second(i.Lookup(b.Context(), opaque)) },
		"lookup bearer": func() error { return second(i.Lookup(b.Context(), tokens[n.Add(1)%bearers])) },
		"create":        func() error { return second(s.Commit(b.Context(), store.Batch{Put: []store.Record{rec(n.Add(1))}})) },
		"revoke": func() error {
			id := fmt.Sprintf("bench%020d", n.Add(1))
			return second(s.Commit(b.Context(), store.Batch{
				Delete: []store.Key{{Kind: "session", ID: id}},
				Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: id, Expires: time.Now().Add(time.Hour)}},
			}))
		},
	} {
		b.Run(name, func(b *testing.B) {
			calls, spent := roundTrips(b, r), threadTime(b, r)
			b.SetParallelism(8) // 16 callers on 2 processors
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := do(); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric((roundTrips(b, r)-calls)/float64(b.N), "asked/op")
			b.ReportMetric((threadTime(b, r)-spent)/float64(b.N), "server-us/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

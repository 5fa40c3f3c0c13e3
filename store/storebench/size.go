package storebench

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Engine is a store whose size [Size] measures.
type Engine struct {
	Store store.Store
	Bytes func() int64 // all bytes that the engine holds now

	// InProcess is true if the bytes are memory of this process. Size then measures garbage
	// collection too.
	InProcess bool
}

// Size makes b.N sessions of each carrier, and at least ten thousand, in an engine for each
// carrier. Each session has its own subject, so the index by owner is as large as it can be.
// It reports:
//
//	B/session       the bytes of a session, with indexes
//	GC-ms           the time of a full garbage collection, the median of nine
//	GC-cpu-ms       its processor time on all cores, which a busy machine does not change
//	lookup-x        the time of a look-up divided by that with ten thousand sessions
//	create-x        the same for creating a session
//	purged/s        how fast a sweep drops the expired half
//	lookup-p99-us   the time of a look-up during that sweep, with two callers
//	B/left          the bytes of each remaining session after that sweep
func Size(b *testing.B, open func(b *testing.B) Engine, carriers ...counterfoil.Carrier) {
	for _, c := range carriers {
		b.Run(c.String(), func(b *testing.B) {
			e := open(b)
			all := newSessions(b, e.Store, c)
			size(b, e, all, max(int64(b.N), least))
		})
	}
}

// least is a number of sessions so large that the engine's own memory hardly counts.
const least = 10_000

func size(b *testing.B, e Engine, all *sessions, n int64) {
	before := e.Bytes()
	all.load(b, e.Store, 0, least)
	lookupFew, createFew := all.costs(b, e.Store, least)
	all.load(b, e.Store, least, n)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(e.Bytes()-before)/float64(n), "B/session")
	if e.InProcess {
		took, cpu := collection(b)
		b.ReportMetric(took, "GC-ms")
		b.ReportMetric(cpu, "GC-cpu-ms")
	}
	lookup, create := all.costs(b, e.Store, n)
	b.ReportMetric(lookup/lookupFew, "lookup-x")
	b.ReportMetric(create/createFew, "create-x")
	dropped, took, slowest := all.purge(b, e.Store, n)
	b.ReportMetric(float64(dropped)/took.Seconds(), "purged/s")
	b.ReportMetric(float64(slowest.Microseconds()), "lookup-p99-us")
	b.ReportMetric(float64(e.Bytes()-before)/float64(n-dropped), "B/left")
	runtime.KeepAlive(e.Store)
}

// collection returns the median time of a full garbage collection, and its average processor
// time, in milliseconds.
func collection(b *testing.B) (took, cpu float64) {
	const times = 9
	var each []float64
	before := processorTime(b)
	for range times {
		began := time.Now()
		runtime.GC()
		each = append(each, float64(time.Since(began))/1e6)
	}
	return median(each), float64(processorTime(b)-before) / 1e6 / times
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// costs returns the median times of a look-up and of a create with n sessions, in nanoseconds.
// It deletes the sessions that it creates.
func (all *sessions) costs(b *testing.B, s store.Store, n int64) (lookup, create float64) {
	const times = 501
	var lookups, creates []float64
	for i := range int64(times) {
		began := time.Now()
		_, err := store.One(b.Context(), s, all.key(i*104729%n))
		lookups = append(lookups, float64(time.Since(began)))
		check(b, err)
		put := all.of(1e12 + i)
		began = time.Now()
		_, err = s.Commit(b.Context(), store.Batch{Require: conditions(i), Put: put})
		creates = append(creates, float64(time.Since(began)))
		check(b, err)
		_, err = s.Commit(b.Context(), store.Batch{Delete: all.keys(1e12 + i)})
		check(b, err)
	}
	return median(lookups), median(creates)
}

// purge sweeps the earlier half of the sessions while two callers look sessions up.
func (all *sessions) purge(b *testing.B, s store.Store, n int64) (dropped int64, took, p99 time.Duration) {
	before := all.began.Add(absolute + span/2)
	for i := range n {
		if all.real[i%logins][0].Expires.Before(before) {
			dropped++
		}
	}
	var wg sync.WaitGroup
	var over atomic.Bool
	var mu sync.Mutex
	var waits []time.Duration
	for caller := range int64(2) {
		wg.Go(func() {
			for i := caller; !over.Load(); i += 2 {
				began := time.Now()
				_, err := store.One(context.Background(), s, all.key(i*104729%n))
				wait := time.Since(began)
				if err != nil && err != store.ErrNotFound {
					b.Error(err)
				}
				mu.Lock()
				waits = append(waits, wait)
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	swept, err := s.Sweep(b.Context(), before)
	took = time.Since(began)
	over.Store(true)
	wg.Wait()
	check(b, err)
	if swept < int(dropped) {
		b.Errorf("Sweep = %d, want the %d sessions that expired", swept, dropped)
	}
	slices.Sort(waits)
	if len(waits) > 0 {
		p99 = waits[len(waits)*99/100]
	}
	return dropped, took, p99
}

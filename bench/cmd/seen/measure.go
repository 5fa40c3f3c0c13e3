package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/bench"
	"github.com/counterfoil/counterfoil/bench/internal/spent"
	"github.com/counterfoil/counterfoil/internal/token"
)

type value struct {
	Name  string
	Value float64
}

// table is a verifier that has seen all of texts. They are one piece of memory, so that a collection
// of garbage has nothing to look at but the verifier's.
type table struct {
	verifier *counterfoil.Verifier
	texts    []byte
	ends     []int
	before   float64 // bytes of heap without the verifier
	bytes    float64 // of heap for each copy
}

// serve measures once for each line of the standard input.
func serve(ctx context.Context, s settings) error {
	size, err := strconv.Atoi(s.sizes)
	if err != nil {
		return err
	}
	t, err := fill(ctx, s.kinds, size)
	if err != nil {
		return err
	}
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		got, err := t.measure(ctx)
		if err == nil {
			err = out.Encode(got)
		}
		if err != nil {
			return err
		}
	}
	return in.Err()
}

// seenBefore is how often a copy has been checked before checks are measured. The first checks do more: they put it into the
// cache, and into lists.
const seenBefore = 3

func fill(ctx context.Context, kind string, size int) (*table, error) {
	c, err := bench.NewContender(token.Ed25519)
	if err != nil {
		return nil, err
	}
	t := new(table)
	now := time.Now()
	for n := range size {
		text, err := token.NewOpaque(), error(nil)
		if kind == "JWT" {
			text, err = c.Token(now, n)
		}
		if err != nil {
			return nil, err
		}
		t.texts = append(t.texts, text...)
		t.ends = append(t.ends, len(t.texts))
	}
	before := heap()
	// A tenth more, because a cache may keep somewhat fewer than MaxSeen.
	t.verifier, err = bench.NewVerifier(ctx, counterfoil.Options{MaxSeen: size + size/10 + 64}, 0, c.Signer.Key())
	if err != nil {
		return nil, err
	}
	if err := t.seeAll(ctx); err != nil {
		return nil, err
	}
	t.before, t.bytes = before, (heap()-before)/float64(size)
	for range seenBefore - 1 {
		if err := t.seeAll(ctx); err != nil {
			return nil, err
		}
	}
	if seen := t.verifier.Status().Seen; seen < size*99/100 {
		return nil, fmt.Errorf("%d copies of %d are remembered", seen, size)
	}
	return t, nil
}

// seeAll checks each text once.
func (t *table) seeAll(ctx context.Context) error {
	var both sync.WaitGroup
	var errs [2]error
	for half := range errs {
		both.Go(func() {
			for n := half; n < len(t.ends) && errs[half] == nil; n += 2 {
				_, errs[half] = t.verifier.Verify(ctx, string(t.text(n)))
			}
		})
	}
	both.Wait()
	return errors.Join(errs[:]...)
}

func (t *table) text(n int) []byte {
	if n == 0 {
		return t.texts[:t.ends[0]]
	}
	return t.texts[t.ends[n-1]:t.ends[n]]
}

// heap returns the bytes of the heap that are in use.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers kept
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func (t *table) measure(ctx context.Context) (got []value, err error) {
	began := time.Now()
	runtime.GC()
	collection := time.Since(began)
	check := func(text string) error {
		_, err := t.verifier.Verify(ctx, text)
		return err
	}
	pass := t.through(func(http.ResponseWriter, *http.Request) {})
	read := t.through(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := counterfoil.FromContext(r.Context()); !ok || s.Subject == "" || !s.HasRole("staff") {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	const checks = 1 << 16
	one, err := t.time(check, 1, checks)
	if err != nil {
		return nil, err
	}
	if len(t.ends) == 1 {
		return []value{{"ns per check", one}}, nil
	}
	passed, err := t.time(pass, 1, checks)
	if err != nil {
		return nil, err
	}
	with, err := t.time(read, 1, checks)
	if err != nil {
		return nil, err
	}
	two, err := t.time(check, 2, checks)
	if err != nil {
		return nil, err
	}
	return []value{
		{"bytes of heap per copy", t.bytes},
		{"bytes of heap per copy, in use", (heap() - t.before) / float64(len(t.ends))},
		{"collection, ms", collection.Seconds() * 1e3},
		{"ns per check", one},
		{"ns per request through Require", passed},
		{"ns per request whose handler reads the session", with},
		{"ns per check on each of two processors", two},
	}, nil
}

// through returns a check by a request to a handler behind Require.
func (t *table) through(handler http.HandlerFunc) func(string) error {
	h := t.verifier.Require(handler)
	r := &http.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {""}}}
	w := &answer{header: http.Header{}}
	return func(text string) error {
		r.Header["Authorization"][0] = "Bearer " + text
		w.status = 0
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != 0 {
			return fmt.Errorf("status %d", w.status)
		}
		return nil
	}
}

type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

// time returns how many nanoseconds a check takes on each of so many processors. It counts the time
// that the processors spend, so other programs take none of it away. The garbage is collected before: what
// a collection costs depends on the rest of the program, and has its own figure.
func (t *table) time(check func(string) error, processors, checks int) (float64, error) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	took, errs := make([]time.Duration, processors), make([]error, processors)
	var all sync.WaitGroup
	for p := range processors {
		all.Go(func() { took[p], errs[p] = t.requests(check, checks, p) })
	}
	all.Wait()
	total := time.Duration(0)
	for _, d := range took {
		total += d
	}
	return float64(total) / float64(checks*processors), errors.Join(errs...)
}

// requests checks texts as a server does: each as a copy that was just read from a connection, in
// an order that the processor's caches cannot predict. Only the checks are timed, 64 at a time.
// One text alone is checked as it is, again and again.
func (t *table) requests(check func(string) error, checks, start int) (took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const step = 7919 // a prime
	n := start * 1_000_003
	var texts [64]string
	var header []byte
	alone := string(t.text(0))
	for range checks / len(texts) {
		var ends [len(texts)]int
		header = header[:0]
		for i := range ends {
			n += step
			header = append(header, t.text(n%len(t.ends))...)
			ends[i] = len(header)
		}
		all, begin := string(header), 0
		for i, end := range ends {
			texts[i], begin = all[begin:end], end
			if len(t.ends) == 1 {
				texts[i] = alone
			}
		}
		began := spent.ByThread()
		for _, text := range texts {
			if err := check(text); err != nil {
				return 0, err
			}
		}
		took += spent.ByThread() - began
	}
	return took, nil
}

package storetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// ErrInjected is the error of a failed call if its [Fault] names no other error.
var ErrInjected = errors.New("injected fault")

// Op names a method of a store.
type Op string

// The methods that can fail.
const (
	OpGet      Op = "Get"
	OpList     Op = "List"
	OpSearch   Op = "Search"
	OpCount    Op = "Count"
	OpCommit   Op = "Commit"
	OpLog      Op = "Log"
	OpWait     Op = "Wait"
	OpRemember Op = "Remember"
	OpTime     Op = "Time"
	OpSweep    Op = "Sweep"
)

// Fault says which calls fail, and how. The zero Fault is an outage: every call of every
// method returns [ErrInjected] and does nothing.
type Fault struct {
	Op   Op         // the method; empty: all
	Kind store.Kind // only calls that touch records of this kind; empty: all calls

	After int // how many matching calls succeed first
	Times int // how many matching calls fail then; 0: all until Heal

	Err   error         // the error of the call; nil: ErrInjected
	Lost  bool          // the store does the call, and the answer is lost: the outcome is unknown
	Slow  bool          // the call succeeds, after Before and Delay
	Delay time.Duration // how long the call takes at least; ends early with its context

	// Before is called first, in the caller's goroutine. So a test can change the store
	// between a read and a write of the caller. Its own calls may match faults too.
	Before func()

	// Items is how many records List or Search yields before the error.
	Items int
}

// FaultyStore is a store that fails where and when a test says. Faults apply by count, never
// at random, so a test that fails once fails again.
type FaultyStore struct {
	inner store.Store

	mu     sync.Mutex // guards the rest; not held while a call runs
	now    func() time.Time
	faults []*Fault
	calls  map[Op]int
}

// Faulty wraps s. It behaves like s until [FaultyStore.Inject]. Close closes s.
func Faulty(s store.Store) *FaultyStore { return &FaultyStore{inner: s, calls: make(map[Op]int)} }

// Inject adds a fault. If several faults match a call, the first one injected applies.
func (f *FaultyStore) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Heal removes all faults.
func (f *FaultyStore) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// SetClock gives the store a clock of its own, which Time reads: a test can have a database
// whose clock is wrong. With nil it is the clock of the wrapped store again.
func (f *FaultyStore) SetClock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

func (f *FaultyStore) clock() func() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Calls returns how often op was called, with or without a fault.
func (f *FaultyStore) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// match counts a call and returns the fault that applies to it, or nil.
func (f *FaultyStore) match(op Op, kinds ...store.Kind) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	for n, fault := range f.faults {
		if fault.Op != "" && fault.Op != op || fault.Kind != "" && !slices.Contains(kinds, fault.Kind) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		if fault.Times == 1 {
			f.faults = slices.Delete(slices.Clone(f.faults), n, n+1)
		} else if fault.Times > 1 {
			fault.Times--
		}
		applied := *fault
		return &applied
	}
	return nil
}

// delay calls Before and waits for Delay.
func (h *Fault) delay(ctx context.Context) error {
	if h.Before != nil {
		h.Before()
	}
	if h.Delay == 0 {
		return nil
	}
	timer := time.NewTimer(h.Delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// around makes a call under its fault h, or plainly if h is nil.
func (f *FaultyStore) around(ctx context.Context, h *Fault, call func() error) error {
	if h == nil {
		return call()
	}
	if err := h.delay(ctx); err != nil {
		return err
	}
	if h.Slow || h.Lost {
		if err := call(); err != nil || h.Slow {
			return err
		}
	}
	if h.Err != nil {
		return h.Err
	}
	return ErrInjected
}

// Describe describes the wrapped store.
func (f *FaultyStore) Describe() store.Description { return f.inner.Describe() }

// Get implements [store.Store].
func (f *FaultyStore) Get(ctx context.Context, keys ...store.Key) (records []store.Record, err error) {
	kinds := make([]store.Kind, len(keys))
	for n, k := range keys {
		kinds[n] = k.Kind
	}
	err = f.around(ctx, f.match(OpGet, kinds...), func() (err error) {
		records, err = f.inner.Get(ctx, keys...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// List implements [store.Store].
func (f *FaultyStore) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return yielding(ctx, f, OpList, kind, func() iter.Seq2[store.Record, error] { return f.inner.List(ctx, kind, owner, after) })
}

// Search implements [store.Store].
func (f *FaultyStore) Search(ctx context.Context, kind store.Kind, prefix string, after store.Position) iter.Seq2[store.Match, error] {
	return yielding(ctx, f, OpSearch, kind, func() iter.Seq2[store.Match, error] { return f.inner.Search(ctx, kind, prefix, after) })
}

// yielding makes a call that yields records under its fault.
func yielding[T any](ctx context.Context, f *FaultyStore, op Op, kind store.Kind, inner func() iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		h := f.match(op, kind)
		if h == nil || h.Slow {
			if h != nil {
				if err := h.delay(ctx); err != nil {
					yield(none, err)
					return
				}
			}
			inner()(yield)
			return
		}
		n := 0
		for r, err := range inner() {
			if n == h.Items {
				break
			}
			if n++; !yield(r, err) || err != nil {
				return
			}
		}
		yield(none, f.around(ctx, h, func() error { return nil }))
	}
}

// Count implements [store.Store].
func (f *FaultyStore) Count(ctx context.Context, kind store.Kind, prefix string, limit int) (n int, more bool, err error) {
	err = f.around(ctx, f.match(OpCount, kind), func() (err error) {
		n, more, err = f.inner.Count(ctx, kind, prefix, limit)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return n, more, nil
}

// Commit implements [store.Store].
func (f *FaultyStore) Commit(ctx context.Context, b store.Batch) (head counterfoil.Cursor, err error) {
	err = f.around(ctx, f.match(OpCommit, kindsOf(b)...), func() (err error) {
		head, err = f.inner.Commit(ctx, b)
		return err
	})
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	return head, nil
}

func kindsOf(b store.Batch) (kinds []store.Kind) {
	for _, r := range b.Require {
		kinds = append(kinds, r.Kind)
	}
	for _, o := range b.DeleteOwned {
		kinds = append(kinds, o.Kind)
	}
	for _, k := range b.Delete {
		kinds = append(kinds, k.Kind)
	}
	for _, r := range b.Put {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// Log implements [store.Store].
func (f *FaultyStore) Log(ctx context.Context, after counterfoil.Cursor, limit int) (entries []source.Revocation, head counterfoil.Cursor, err error) {
	err = f.around(ctx, f.match(OpLog), func() (err error) {
		entries, head, err = f.inner.Log(ctx, after, limit)
		return err
	})
	if err != nil {
		return nil, counterfoil.Cursor{}, err
	}
	return entries, head, nil
}

// Wait implements [store.Store].
func (f *FaultyStore) Wait(ctx context.Context, after counterfoil.Cursor) error {
	return f.around(ctx, f.match(OpWait), func() error { return f.inner.Wait(ctx, after) })
}

// Remember implements [store.Store].
func (f *FaultyStore) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	return f.around(ctx, f.match(OpRemember), func() error { return f.inner.Remember(ctx, seen) })
}

// Time implements [store.Store].
func (f *FaultyStore) Time(ctx context.Context) (at time.Time, err error) {
	err = f.around(ctx, f.match(OpTime), func() (err error) {
		at, err = f.inner.Time(ctx)
		if now := f.clock(); now != nil && err == nil {
			at = now()
		}
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	return at, nil
}

// Sweep implements [store.Store].
func (f *FaultyStore) Sweep(ctx context.Context, before time.Time) (n int, err error) {
	err = f.around(ctx, f.match(OpSweep), func() (err error) {
		n, err = f.inner.Sweep(ctx, before)
		return err
	})
	return n, err
}

// Close closes the wrapped store.
func (f *FaultyStore) Close() error { return f.inner.Close() }

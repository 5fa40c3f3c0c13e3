package revlog

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// leases remembers which verifiers follow the log, how far each has come, and until when
// each may go on with what it was told. [Feed.WaitAll] rests on it (4.7).
type leases struct {
	mu   sync.Mutex // guards all; held for a map access only
	by   map[name]*holder
	came uint64 // how many verifiers have come
	kept int    // how many there were when those that are gone were last forgotten
}

// name tells verifiers apart. Who follows with another key cannot speak for a verifier of
// this one.
type name struct{ key, id string }

func nameOf(f source.Follow) name { return name{f.Key, f.Verifier} }

// maxVerifiers is how many verifiers may follow with one key at a time. Each takes up to 4
// KiB here, and wait=all waits for each: a key in wrong hands makes no more than that up.
const maxVerifiers = 4096

// holder is a verifier that follows the log, with the leases that it holds.
type holder struct {
	acked      counterfoil.Cursor
	leases     []lease
	serveStale bool
	moved      chan struct{} // closed when its right to go on changes; nil: nobody waits for that

	number  uint64 // in the order in which verifiers came
	program source.Program
	bound   time.Duration
	asked   time.Time // its last question
	fresh   time.Time // its last question that has been answered with all there was
}

// lease lets a verifier go on until a time, knowing the log up to a cursor. Only
// one that ends before an entry lets it accept what the entry covers: a verifier that
// was told of the entry refuses, and one whose answer was lost has only older leases. So
// a verifier whose answers are lost is waited for no longer than if it did not ask.
type lease struct {
	upto  counterfoil.Cursor
	until time.Time
	asked time.Time // names the question while it has no answer
}

// maxLeases is how many leases of one verifier are told apart.
const maxLeases = 64

// rho is the clock rate error that the contract allows for (4.3).
const rho = 1e-3

// slowest is how long d lasts by a clock that is as slow as the contract allows.
func slowest(d time.Duration) time.Duration { return d + time.Duration(float64(d)*rho) }

// ask notes a question. A verifier that asks for what follows After has applied all before
// it. The question is a lease as soon as it is there, on the least that its answer can say:
// the answer may be read from the store before an entry, and be on its way after it. The
// lease lasts from now, since the verifier counts from no later. It reports false, and notes
// nothing, if too many others follow with the same key.
func (l *leases) ask(f source.Follow, now time.Time) bool {
	if f.Verifier == "" {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = make(map[name]*holder)
	}
	if len(l.by) > max(1000, 2*l.kept) {
		maps.DeleteFunc(l.by, func(_ name, f *holder) bool { return f.over(now) })
		l.kept = len(l.by)
	}
	known := l.by[nameOf(f)]
	if known == nil {
		if f.Key != "" && !l.room(f.Key, now) {
			return false
		}
		l.came++
		known = &holder{number: l.came}
		l.by[nameOf(f)] = known
	}
	known.acked, known.serveStale = f.After, f.ServeStale
	known.program, known.bound, known.asked = f.Program, f.Bound, now
	known.applied(f.After, now)
	known.merge()
	until := now.Add(slowest(f.Bound))
	known.leases = append(known.leases, lease{f.After, until, now})
	known.move()
	return true
}

// room reports whether another verifier may follow with a key. One that may still be fresh is
// never forgotten for another: wait=all would not wait for it. The caller holds mu.
func (l *leases) room(key string, now time.Time) bool {
	if len(l.by) < maxVerifiers {
		return true
	}
	n := 0
	maps.DeleteFunc(l.by, func(who name, f *holder) bool {
		if who.key != key {
			return false
		}
		if f.over(now) {
			return true
		}
		n++
		return false
	})
	return n < maxVerifiers
}

// grant notes that the question that was asked then has a complete page as its
// answer, which is on its way.
func (l *leases) grant(f source.Follow, asked time.Time, upto counterfoil.Cursor) {
	l.settle(f, asked, func(le *lease) bool {
		le.upto, le.asked = upto, time.Time{}
		return false
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.by[nameOf(f)]; known != nil && asked.After(known.fresh) {
		known.fresh = asked
	}
}

// withdraw notes that the question has no answer that lets the verifier go on.
func (l *leases) withdraw(f source.Follow, asked time.Time) {
	l.settle(f, asked, func(*lease) bool { return true })
}

func (l *leases) settle(f source.Follow, asked time.Time, end func(*lease) (remove bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.by[nameOf(f)]
	if known == nil {
		return
	}
	for n := range known.leases {
		if known.leases[n].asked.Equal(asked) {
			if end(&known.leases[n]) {
				known.leases = slices.Delete(known.leases, n, n+1)
			}
			known.move()
			return
		}
	}
}

// move wakes the calls of WaitAll that wait for f. The caller holds mu of the leases.
func (f *holder) move() {
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}

// applied merges the leases that say no more than what f has applied into one: it knows
// all up to there, and lasts as long as the longest of them.
func (f *holder) applied(upto counterfoil.Cursor, now time.Time) {
	var until time.Time
	f.leases = slices.DeleteFunc(f.leases, func(le lease) bool {
		known := le.asked.IsZero() && (le.upto == upto || le.upto.Before(upto))
		if known && le.until.After(until) {
			until = le.until
		}
		return known || !le.until.After(now)
	})
	if until.After(now) {
		f.leases = append(f.leases, lease{upto: upto, until: until})
	}
}

// merge makes two leases into one that is as bad as both while there are too many, so
// that a verifier which asks and never hears takes a bounded room.
func (f *holder) merge() {
	for len(f.leases) >= maxLeases {
		a, b := f.leases[0], f.leases[1]
		if b.until.Before(a.until) {
			b.until = a.until
		}
		if !a.upto.Before(b.upto) && a.upto != b.upto {
			a.upto = counterfoil.Cursor{} // of different epochs: it is waited for in either
		}
		b.upto = a.upto
		if !a.asked.IsZero() { // the answer that it may still get can only say more
			b.asked = time.Time{}
		}
		f.leases = append([]lease{b}, f.leases[2:]...)
	}
}

func (f *holder) over(now time.Time) bool {
	return !slices.ContainsFunc(f.leases, func(le lease) bool { return le.until.After(now) })
}

// waiting returns when the last lease runs out that lets some verifier accept what the entry at
// covers, and a channel that closes when that may have changed for it. The time is zero if no
// verifier accepts it. A thousand may have to hear of the entry: to look at all of them whenever
// one has heard would take longer than to tell them.
func (l *leases) waiting(at counterfoil.Cursor, now time.Time) (until time.Time, moved <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.by {
		if until := f.accepts(at, now); !until.IsZero() {
			if f.moved == nil {
				f.moved = make(chan struct{})
			}
			return until, f.moved
		}
	}
	return time.Time{}, nil
}

// accepts returns until when f may accept what the entry at covers; zero: it does not.
func (f *holder) accepts(at counterfoil.Cursor, now time.Time) (until time.Time) {
	if f.serveStale || f.acked.Epoch == at.Epoch && f.acked.Seq >= at.Seq {
		return until
	}
	for _, le := range f.leases {
		before := le.upto.Epoch != at.Epoch || le.upto.Seq < at.Seq
		if before && le.until.After(now) && le.until.After(until) {
			until = le.until
		}
	}
	return until
}

// following returns how many verifiers may be fresh.
func (l *leases) following(now time.Time) (verifiers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.by {
		if !f.over(now) {
			verifiers++
		}
	}
	return verifiers
}

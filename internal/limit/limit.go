// Package limit says when somebody has tried too often: a leaky bucket, alone for
// those who keep it themselves, or many of them in this process in bounded memory.
// Time is a parameter.
package limit

import (
	"sync"
	"time"
)

// Rate allows a burst, and then one event per interval.
type Rate struct {
	Burst    int
	Interval time.Duration
}

// Bucket is what is left to remember of past events. The zero Bucket is empty: a
// whole burst is allowed.
type Bucket struct {
	Debt time.Duration // an event adds an interval, and time takes it away
	At   time.Time     // when Debt was that
}

// Skew is how far clocks of different machines may be apart. Time before At takes
// nothing away, so a slow clock neither adds events nor loses them; and an At that is
// further ahead than Skew is a clock's fault, and is not waited for.
const Skew = time.Minute

// Take adds an event at now, or says how long to wait and returns b as it was.
func (r Rate) Take(b Bucket, now time.Time) (after Bucket, wait time.Duration) {
	at, debt := b.At, b.Debt
	switch ahead := at.Sub(now); {
	case ahead > Skew:
		at = now
	case ahead < 0:
		at, debt = now, max(0, debt+ahead)
	}
	debt += r.Interval
	if wait = debt - time.Duration(r.Burst)*r.Interval; wait > 0 {
		return b, wait
	}
	return Bucket{Debt: debt, At: at}, 0
}

// Back takes an event away that turned out to be none.
func (r Rate) Back(b Bucket) Bucket { return Bucket{Debt: max(0, b.Debt-r.Interval), At: b.At} }

// Empty is when b is like no bucket.
func (b Bucket) Empty() time.Time { return b.At.Add(b.Debt) }

// Limiter has a bucket for each key.
type Limiter struct {
	rate    Rate
	maxKeys int

	mu sync.Mutex        // guards by; held for map access only
	by map[string]Bucket // by key
}

// New returns a limiter for at most maxKeys keys at a time.
func New(burst int, interval time.Duration, maxKeys int) *Limiter {
	return &Limiter{rate: Rate{burst, interval}, maxKeys: maxKeys, by: make(map[string]Bucket)}
}

// Allow reports whether key may act now, and if not, when to try again.
func (l *Limiter) Allow(key string, now time.Time) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, known := l.by[key]
	if !known {
		l.makeRoom(now)
	}
	after, wait := l.rate.Take(bucket, now)
	if wait > 0 {
		return false, wait
	}
	l.by[key] = after
	return true, 0
}

// makeRoom keeps the map below maxKeys by dropping an empty bucket, which is like
// no bucket, or else the emptiest of a handful. So a flood of keys costs no more
// than itself, and locks nobody out: what must hold against many keys at once is
// the business of a limiter with one key. The caller holds mu.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.by) < l.maxKeys {
		return
	}
	victim, looked := "", 0
	for k, b := range l.by { // in random order
		if looked == 0 || b.Empty().Before(l.by[victim].Empty()) {
			victim = k
		}
		if looked++; looked == 16 || !b.Empty().After(now) {
			break
		}
	}
	delete(l.by, victim)
}

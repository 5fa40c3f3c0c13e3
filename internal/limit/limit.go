// Package limit limits how often something may be tried. [Rate] and [Bucket] are a leaky
// bucket for a caller that stores the bucket itself. [Limiter] keeps many buckets in this
// process, in bounded memory: call [New]. Time is a parameter.
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

// Bucket counts past events. The zero Bucket is empty: it allows a whole burst.
type Bucket struct {
	Debt time.Duration // an event adds an interval to it; the passing of time reduces it
	At   time.Time     // the time of Debt
}

// Skew is how far the clocks of two machines may differ. If now is before At, the debt does
// not change, so a slow clock neither adds nor removes events. If At is further ahead than
// Skew, some clock was wrong, and Take replaces At by now.
const Skew = time.Minute

// Take adds an event at now. If the burst is used up, it returns how long to wait, and b
// unchanged.
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

// Back removes an event that must not count.
func (r Rate) Back(b Bucket) Bucket { return Bucket{Debt: max(0, b.Debt-r.Interval), At: b.At} }

// Empty returns the time from which b is as good as the zero Bucket.
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

// Allow reports whether key may act now, and if not, how long to wait.
func (l *Limiter) Allow(key string, now time.Time) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.by[key]
	if !ok {
		l.makeRoom(now)
	}
	after, wait := l.rate.Take(bucket, now)
	if wait > 0 {
		return false, wait
	}
	l.by[key] = after
	return true, 0
}

// Back takes back an event of key that must not count.
func (l *Limiter) Back(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bucket, ok := l.by[key]; ok {
		l.by[key] = l.rate.Back(bucket)
	}
}

// makeRoom keeps the map below maxKeys. It drops an empty bucket, or else the emptiest of a
// few. So a flood of keys needs no more memory, and locks no new key out. It may also free a
// key that was limited: to limit many keys together, use a second limiter with one key. The
// caller holds mu.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.by) < l.maxKeys {
		return
	}
	victim, checked := "", 0
	for k, b := range l.by { // in random order
		if checked == 0 || b.Empty().Before(l.by[victim].Empty()) {
			victim = k
		}
		if checked++; checked == 16 || !b.Empty().After(now) {
			break
		}
	}
	delete(l.by, victim)
}

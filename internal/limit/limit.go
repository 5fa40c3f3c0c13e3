// Package limit says when somebody has tried too often: the generic cell rate
// algorithm, in this process, in bounded memory. Time is a parameter.
package limit

import (
	"sync"
	"time"
)

// Limiter allows each key a burst, and then one event per interval.
type Limiter struct {
	burst    int
	interval time.Duration
	maxKeys  int

	mu  sync.Mutex           // guards tat; held for map access only
	tat map[string]time.Time // when the key's bucket is full again
}

// New returns a limiter for at most maxKeys keys at a time.
func New(burst int, interval time.Duration, maxKeys int) *Limiter {
	return &Limiter{burst: burst, interval: interval, maxKeys: maxKeys, tat: make(map[string]time.Time)}
}

// Allow reports whether key may act now, and if not, when to try again.
func (l *Limiter) Allow(key string, now time.Time) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.tat[key]; !known {
		l.makeRoom(now)
	}
	tat := l.tat[key]
	if tat.Before(now) {
		tat = now
	}
	if wait := tat.Sub(now) - time.Duration(l.burst-1)*l.interval; wait > 0 {
		return false, wait
	}
	l.tat[key] = tat.Add(l.interval)
	return true, 0
}

// makeRoom keeps the map below maxKeys by dropping a full bucket, which is like
// no bucket, or else the fullest of a handful. So a flood of keys costs no more
// than itself, and locks nobody out: what must hold against many keys at once is
// the business of a limiter with one key. The caller holds mu.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.tat) < l.maxKeys {
		return
	}
	victim, looked := "", 0
	for k, t := range l.tat { // in random order
		if looked == 0 || t.Before(l.tat[victim]) {
			victim = k
		}
		if looked++; looked == 16 || !t.After(now) {
			break
		}
	}
	delete(l.tat, victim)
}

package password

import (
	"sync"
	"time"
)

// What wrong passwords cost an account (LOGIN-09): nothing for the first five,
// then a second, two, four, … up to a quarter of an hour between attempts. Never
// a lock: whoever can make it longer could keep the owner out.
const (
	freeFailures = 5
	maxDelay     = 15 * time.Minute
	forgetAfter  = 24 * time.Hour
)

// backoff counts failures in a row by account. It remembers a bounded number of
// accounts; the least troubled of a handful makes room, so a flood of made-up
// names does not wash out the one under attack.
type backoff struct {
	max int

	mu sync.Mutex // guards by; held for map access only
	by map[string]failures
}

type failures struct {
	n    int
	last time.Time
}

func newBackoff(limit int) *backoff { return &backoff{max: limit, by: make(map[string]failures)} }

func (f failures) next() time.Time {
	if f.n < freeFailures {
		return time.Time{}
	}
	delay := maxDelay
	if over := f.n - freeFailures; over < 10 {
		delay = min(maxDelay, time.Second<<over)
	}
	return f.last.Add(delay)
}

// take counts an attempt as a failure, before it is checked: of many at once, no
// more are let through than one after another would be. If the account must still
// wait, it says how long and counts nothing.
func (b *backoff) take(account string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, known := b.by[account]
	if wait := f.next().Sub(now); wait > 0 {
		return wait
	}
	if !known {
		b.makeRoom(now)
	}
	if now.Sub(f.last) > forgetAfter {
		f.n = 0
	}
	b.by[account] = failures{f.n + 1, now}
	return 0
}

// back undoes a take whose attempt was not checked after all. succeeded ends the row.
func (b *backoff) back(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.by[account]
	if f.n--; f.n > 0 {
		b.by[account] = f
	} else {
		delete(b.by, account)
	}
}

// count returns the failures in a row.
func (b *backoff) count(account string, now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.by[account]; now.Sub(f.last) <= forgetAfter {
		return f.n
	}
	return 0
}

func (b *backoff) succeeded(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.by, account)
}

// makeRoom keeps the map below max. The caller holds mu.
func (b *backoff) makeRoom(now time.Time) {
	if len(b.by) < b.max {
		return
	}
	victim, fewest, looked := "", 0, 0
	for account, f := range b.by { // in random order
		if now.Sub(f.last) > forgetAfter {
			victim = account
			break
		}
		if victim == "" || f.n < fewest {
			victim, fewest = account, f.n
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(b.by, victim)
}

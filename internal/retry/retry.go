// Package retry says when a queue tries again what it could not deliver: one item after [Pause], a destination
// that does not work after [Rest], and no more after [For]. [Failure] is what the queue is told.
//
// It waits for nothing, and keeps nothing.
package retry

import (
	"math/rand/v2"
	"time"
)

// For is how long an item is tried that has no end of its own.
const For = 24 * time.Hour

// Failure says what a failed delivery means, and what of it may be kept and shown.
type Failure struct {
	Reason string // for operators: no secret, and no address of a person

	Permanent bool // there will be no other try

	// Unreachable says that it is the destination that failed, whatever is delivered: what waits for it
	// is not tried one by one.
	Unreachable bool

	After time.Duration // no other try before that; zero: the queue decides
	Err   error         // for the log; may be nil
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Reason
	}
	return f.Reason + ": " + f.Err.Error()
}

// Unwrap returns f.Err.
func (f *Failure) Unwrap() error { return f.Err }

// Pause is how long an item waits after its n-th failure: a second, two, four, up to an hour.
func Pause(n int) time.Duration { return backoff(n, time.Hour) }

// Rest is how long a destination is left alone after its n-th failure in a row: a second, two, four, up
// to a minute.
func Rest(n int) time.Duration { return backoff(n, time.Minute) }

// backoff is less by up to a quarter, so that what failed together does not come back together.
func backoff(n int, most time.Duration) time.Duration {
	wait := most
	if n < 20 {
		wait = min(time.Second<<max(n-1, 0), most)
	}
	return wait - rand.N(wait/4)
}

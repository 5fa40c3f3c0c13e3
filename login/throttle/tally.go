package throttle

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/internal/limit"
	"github.com/counterfoil/counterfoil/store"
)

// kind of the records. ID: what is counted, and a keyed hash of whose it is.
//
// How many there are at worst. An attempt writes one record of failures, and only
// if its address and everybody together have room, so it is the rate in all that
// bounds them: 50 in a second, 180 000 in an hour. A record with few failures lives an
// hour. One that lives a day needs freeFailures attempts, so a day of nothing but
// made-up names leaves 180 000 + 23 × 180 000 / 5: about a million records of some 200
// bytes. An address has a record until its bucket is empty, at most
// a minute, and 20 if it has messages sent. Device
// records need a device credential, and so a login that succeeded.
const kind store.Kind = "throttle"

// What failures cost (LOGIN-09): nothing for the first five in a row, then a second,
// two, four, … up to a quarter of an hour between attempts. It is never a lock: a
// stranger who could make it longer could keep the owner out.
const (
	freeFailures = 5
	maxDelay     = 15 * time.Minute

	// Fewer failures than freeFailures are forgotten after an hour: four guesses in
	// an hour are as many as one in a quarter of it.
	forgetFew  = time.Hour
	forgetMany = 24 * time.Hour
)

// tally is what a record says: failures in a row, or the bucket of a rate.
type tally struct {
	Failures int           `json:"failures,omitempty"`
	Debt     time.Duration `json:"debt,omitempty"`
	At       time.Time     `json:"at"` // of the last failure; see limit.Bucket
}

func (f tally) bucket() limit.Bucket { return limit.Bucket{Debt: f.Debt, At: f.At} }

// failures is the number of failures in a row that count at now.
func (f tally) failures(now time.Time) int {
	if now.After(f.forgotten()) {
		return 0
	}
	return f.Failures
}

func (f tally) forgotten() time.Time {
	if f.Failures < freeFailures {
		return f.At.Add(forgetFew)
	}
	return f.At.Add(forgetMany)
}

// wait is how long the next attempt has to wait. Clocks of nodes may differ: by how
// much they do, a wait is longer or shorter. A failure that is further ahead than
// limit.Skew was written by a clock that is wrong, and nobody waits for it.
func (f tally) wait(now time.Time) time.Duration {
	n := f.failures(now)
	if n < freeFailures || f.At.Sub(now) > limit.Skew {
		return 0
	}
	delay := maxDelay
	if over := n - freeFailures; over < 10 {
		delay = min(maxDelay, time.Second<<over)
	}
	return f.At.Add(delay).Sub(now)
}

// fail is f and one failure more.
func (f tally) fail(now time.Time) tally { return tally{Failures: f.failures(now) + 1, At: now} }

// back is f without the failure that made counted of before: neither the number nor the
// time of it stays, or attempts that nobody checked would make a wait longer. If others came
// after it, one is taken off their number.
func (f tally) back(counted, before tally) tally {
	switch {
	case f == counted:
		return before
	case f.Failures > 1 && f.At.Equal(counted.At):
		return tally{Failures: f.Failures - 1, At: before.At}
	case f.Failures > 1:
		return tally{Failures: f.Failures - 1, At: f.At}
	}
	return tally{}
}

// record is what the store keeps of f at the revision rev, until f says nothing more.
func (f tally) record(id string, rev uint64) (store.Record, error) {
	value, err := json.Marshal(f)
	expires := f.forgotten()
	if f.Failures == 0 {
		expires = f.bucket().Empty()
	}
	// Stores keep whole seconds.
	return store.Record{Key: key(id), Rev: rev, Expires: expires.Add(time.Second), Value: value}, err
}

func key(id string) store.Key { return store.Key{Kind: kind, ID: id} }

// parse reads a record that may be absent: then it is zero.
func parse(r store.Record) (f tally, err error) {
	if r.Rev == 0 {
		return f, nil
	}
	if err := json.Unmarshal(r.Value, &f); err != nil {
		return tally{}, fmt.Errorf("counter %s: %w", r.ID, err)
	}
	return f, nil
}

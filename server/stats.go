package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
)

const (
	statMinutes = 60               // for so long events are counted minute by minute
	statLags    = 200              // of so many revocations it is kept how long verifiers took
	tallyFor    = 15 * time.Second // for so long a count of sessions is shown again
)

// stats is what this node has counted since it started.
type stats struct {
	now func() time.Time

	mu      sync.Mutex // guards the fields below
	started time.Time
	sum     api.EventCounts
	minutes []api.EventMinute // the oldest first; without those in which nothing happened
	lags    []time.Duration   // the oldest first

	counting sync.Mutex // held while sessions are counted, and guards the fields below
	tally    issuer.Tally
	tallied  time.Time // when they were; zero: never
}

func newStats(now func() time.Time) *stats { return &stats{now: now, started: now()} }

// heard returns a hook of the audit trail that counts, and then calls next.
func (s *stats) heard(next func(audit.Entry)) func(audit.Entry) {
	return func(e audit.Entry) {
		s.count(e)
		next(e)
	}
}

func (s *stats) count(e audit.Entry) {
	var n api.EventCounts
	switch {
	case e.Action == audit.Login && e.Outcome == audit.OK:
		n.Logins = 1
	case e.Action == audit.Login || e.Action == audit.Limit:
		n.Refused = 1
	case e.Action == audit.Refresh && e.Outcome == audit.OK:
		n.Refreshes = 1
	case e.Outcome == audit.OK && slices.Contains(audit.Revoking(), e.Action):
		n.Revocations = 1
	case e.Action == audit.Deny || e.Action == audit.CrossSite:
		n.Denied = 1
	default:
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum = plus(s.sum, n)
	minute := s.now().UTC().Truncate(time.Minute)
	if last := len(s.minutes) - 1; last >= 0 && !s.minutes[last].Minute.Before(minute) { // the clock may have been set back
		s.minutes[last].EventCounts = plus(s.minutes[last].EventCounts, n)
		return
	}
	if len(s.minutes) == statMinutes {
		s.minutes = slices.Delete(s.minutes, 0, 1)
	}
	s.minutes = append(s.minutes, api.EventMinute{Minute: minute, EventCounts: n})
}

func plus(a, b api.EventCounts) api.EventCounts {
	return api.EventCounts{
		Logins: a.Logins + b.Logins, Refused: a.Refused + b.Refused, Refreshes: a.Refreshes + b.Refreshes,
		Revocations: a.Revocations + b.Revocations, Denied: a.Denied + b.Denied,
	}
}

// view is what was counted.
func (s *stats) view(answer *api.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer.Node.Since, answer.Node.Sum, answer.Node.Minutes = s.started.UTC(), s.sum, []api.EventMinute{}
	oldest := s.now().Add(-statMinutes * time.Minute)
	for _, m := range s.minutes {
		if m.Minute.After(oldest) {
			answer.Node.Minutes = append(answer.Node.Minutes, m)
		}
	}
	if n := len(s.lags); n > 0 {
		sorted, each := slices.Sorted(slices.Values(s.lags)), make([]float64, n)
		for at, took := range s.lags {
			each[at] = ms(took)
		}
		answer.Node.Lag = &api.Lag{
			Revocations: n, LastMS: ms(s.lags[n-1]), MedianMS: ms(sorted[n/2]), P99MS: ms(sorted[n*99/100]), MaxMS: ms(sorted[n-1]), EachMS: each,
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sessions counts the sessions, or returns the count of a moment ago. One caller counts at a time.
func (s *stats) sessions(ctx context.Context, count func(context.Context) (issuer.Tally, error)) (issuer.Tally, time.Time, error) {
	s.counting.Lock()
	defer s.counting.Unlock()
	if age := s.now().Sub(s.tallied); age >= 0 && age < tallyFor {
		return s.tally, s.tallied, nil
	}
	tally, err := count(ctx)
	if err != nil {
		return issuer.Tally{}, time.Time{}, err
	}
	s.tally, s.tallied = tally, s.now()
	return tally, s.tallied, nil
}

// took counts how long a revocation took until every verifier had it.
func (s *stats) took(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lags) == statLags {
		s.lags = slices.Delete(s.lags, 0, 1)
	}
	s.lags = append(s.lags, d)
}

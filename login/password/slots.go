package password

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// slots are the hashers. Of those that are free the first is taken: while there is little to do,
// one process does it, the one with a share of a busy machine, and the others end.
//
// The others get no processor time while the machine is busy with something else. So a job that one of them does
// not finish is done again by slot 0, and the first answer counts. It is late, and done again, when it has run for twice as
// long as jobs of slot 0 take. Each job is done again once at most, and where all slots get their time, none is.
type slots struct {
	free   chan struct{} // as many as attempts may have a slot
	shares bool          // slot 0 alone has a share of a busy machine

	mu      sync.Mutex // guards all below
	all     []hasher
	busy    []bool        // also with a job whose answer came from slot 0
	waiting []*run        // in turn
	spare   []*run        // run on other slots than 0, and have no answer, the oldest first
	took    time.Duration // by jobs of slot 0, see tookOf
	doubled int           // jobs that slot 0 did again
	late    *time.Timer   // looks again for a job that is late; nil: none was awaited
}

// run is a job until it has an answer.
type run struct {
	do     func(hasher) outcome
	answer chan outcome // with room for the one; nil: it is there
	began  time.Time    // on a slot other than 0
	copies int          // that run
	again  bool         // slot 0 does it again, or did
}

type outcome struct {
	hash            string
	match, outdated bool
	err             error
}

func newSlots(all []hasher, shares bool) *slots {
	s := &slots{free: make(chan struct{}, len(all)), shares: shares, all: all, busy: make([]bool, len(all))}
	for range all {
		s.free <- struct{}{}
	}
	return s
}

// take waits for a slot, in turn. Its holder has one job done at a time.
func (s *slots) take(ctx context.Context) (h hasher, release func(), err error) {
	select {
	case <-s.free:
		return s, func() { s.free <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func (s *slots) count() int   { return cap(s.free) }
func (s *slots) running() int { return cap(s.free) - len(s.free) }

func (s *slots) hash(password string, q params) (phc string, err error) {
	o := s.run(func(h hasher) (o outcome) { o.hash, o.err = h.hash(password, q); return o })
	return o.hash, o.err
}

func (s *slots) verify(stored, password string, policy params) (match, outdated bool, err error) {
	o := s.run(func(h hasher) (o outcome) { o.match, o.outdated, o.err = h.verify(stored, password, policy); return o })
	return o.match, o.outdated, o.err
}

func (s *slots) spend(e effort) error {
	return s.run(func(h hasher) outcome { return outcome{err: h.spend(e)} }).err
}

// close ends all hashers, once every slot is taken. It waits for jobs whose answers came from slot 0.
func (s *slots) close() error {
	var errs []error
	for _, h := range s.all {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

func (s *slots) run(do func(hasher) outcome) outcome {
	answer := make(chan outcome, 1)
	r := &run{do: do, answer: answer}
	s.mu.Lock()
	s.waiting = append(s.waiting, r)
	s.assign()
	s.mu.Unlock()
	return <-answer
}

// assign gives jobs to hashers that are free. s.mu is held.
func (s *slots) assign() {
	for n := range s.all {
		if s.busy[n] {
			continue
		}
		r := s.overdue(n)
		if r == nil && len(s.waiting) > 0 {
			r = s.waiting[0]
			s.waiting = slices.Delete(s.waiting, 0, 1) // clears what is behind the end: no password stays there
		}
		if r != nil {
			s.start(n, r)
		}
	}
}

// overdue returns the oldest job that slot n does again, if it is late by now, and otherwise has assign called when it
// is. s.mu is held.
func (s *slots) overdue(n int) *run {
	if n > 0 || !s.shares {
		return nil
	}
	oldest := slices.IndexFunc(s.spare, func(r *run) bool { return !r.again })
	if oldest < 0 {
		return nil
	}
	r := s.spare[oldest]
	if left := 2*s.took - time.Since(r.began); left > 0 {
		if s.late == nil {
			s.late = time.AfterFunc(left, s.lookAgain)
		} else {
			s.late.Reset(left)
		}
		return nil
	}
	r.again = true
	s.doubled++
	return r
}

func (s *slots) lookAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assign()
}

// start has hasher n do r. s.mu is held.
func (s *slots) start(n int, r *run) {
	h, began := s.all[n], time.Now()
	s.busy[n] = true
	r.copies++
	if n > 0 {
		r.began = began
		s.spare = append(s.spare, r)
	}
	go func() {
		o := r.do(h)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy[n] = false
		r.copies--
		if n == 0 {
			s.took = tookOf(s.took, time.Since(began))
		}
		if r.answer != nil && (r.copies == 0 || !errors.Is(o.err, counterfoil.ErrUnavailable)) {
			r.answer <- o // before the next job: who waits for it may have one
			r.answer = nil
			s.spare = slices.DeleteFunc(s.spare, func(of *run) bool { return of == r })
		}
		s.assign()
	}()
}

// tookOf is how long jobs of slot 0 take, after a job that took so long. Jobs are of several kinds, and one attempt may have a long one and a
// short one: it follows a longer one at once, and shorter ones slowly, so that after a short one others are not late.
func tookOf(before, last time.Duration) time.Duration {
	return max(last, before-(before-last)/8)
}

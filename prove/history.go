package prove

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// outcome is what a verifier said about a credential.
type outcome uint8

const (
	accepted outcome = iota + 1
	refused          // the credential is no good
	unknown          // stale or unavailable: nothing is said about the credential
)

// span is when something began and ended, by one monotonic clock.
type span struct{ start, end time.Duration }

// credential is one copy of a session, as its client holds it.
type credential struct {
	value, refresh string
	carrier        counterfoil.Carrier

	sid, subject, client, token, key string
	epoch, seq                       uint64 // its rv, where the client can read it; epoch 0: it cannot
	issued                           span
}

// revocation is one attempt to take something away.
type revocation struct {
	span
	scope, id  string
	acked      bool   // it was acknowledged; otherwise it may or may not have happened
	epoch, seq uint64 // of the receipt; epoch 0: none
	everywhere bool   // acknowledged as having reached every verifier (wait=all)
}

// check is one question to one verifier. A verifier keeps its number when it is
// started anew: what it promised before still holds.
type check struct {
	span
	verifier int
	of       *credential
	said     outcome
}

// heal is the end of a fault. From at to until nothing else is wrong with the
// verifier, and it is asked about a credential that is good all the time.
type heal struct {
	verifier  int
	at, until time.Duration
}

// history is everything that was done. It is written by many, and read when they
// are done.
type history struct {
	begun time.Time

	mu          sync.Mutex // guards all below
	checks      []check
	revocations []*revocation
	heals       []heal
	logins      int
	subjects    map[string]struct{} // who may be signed in
}

func newHistory() *history { return &history{begun: time.Now(), subjects: make(map[string]struct{})} }

func (h *history) now() time.Duration { return time.Since(h.begun) }

func (h *history) check(c check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, c)
}

func (h *history) revocation(r *revocation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revocations = append(h.revocations, r)
	if r.scope == "subject" && r.acked {
		delete(h.subjects, r.id)
	}
}

func (h *history) heal(n heal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heals = append(h.heals, n)
}

func (h *history) login(subject string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logins++
	h.subjects[subject] = struct{}{}
}

func (h *history) signedIn() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.subjects))
}

// covers says whether r takes c away: certainly, possibly (they were under way at
// once, and nothing that the client can see orders them), or not. It shares no
// code with what it checks.
func (r *revocation) covers(c *credential) (certainly, possibly bool) {
	match := false
	switch r.scope {
	case "session":
		return c.sid == r.id, c.sid == r.id
	case "token":
		return c.token != "" && c.token == r.id, c.token != "" && c.token == r.id
	case "key":
		return c.key != "" && c.key == r.id, c.key != "" && c.key == r.id
	case "subject":
		match = c.subject == r.id
	case "client":
		match = c.client == r.id
	case "all":
		match = true
	}
	switch {
	case !match || r.end <= c.issued.start:
		return false, false
	case c.issued.end <= r.start:
		return true, true
	case r.epoch != 0 && c.epoch == r.epoch:
		return c.seq < r.seq, c.seq < r.seq
	}
	return false, true
}

// byCredential returns the checks of each credential in the order in which they
// began.
func (h *history) byCredential() map[*credential][]check {
	all := make(map[*credential][]check)
	for _, c := range h.checks {
		all[c.of] = append(all[c.of], c)
	}
	for _, checks := range all {
		slices.SortFunc(checks, func(a, b check) int { return int(a.start - b.start) })
	}
	return all
}

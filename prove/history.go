package prove

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// outcome is the verdict of a verifier on a credential.
type outcome uint8

const (
	accepted outcome = iota + 1
	refused          // the credential is not good
	unknown          // the verifier is stale or unavailable: no verdict
)

// span is the time from the start to the end of an operation, by one monotonic clock.
type span struct{ start, end time.Duration }

// credential is one copy of a session, as the client has it.
type credential struct {
	value, refresh string
	nonce          string // sent with each attempt to use refresh
	carrier        counterfoil.Carrier

	sid, subject, client, token, key string
	epoch, seq                       uint64 // its rv; epoch 0: the client cannot read it
	issued                           span
	expires                          time.Time // its exp; zero: the client cannot read it
}

// revocation is one call that revokes.
type revocation struct {
	span
	scope, id  string
	spared     string // of scope others: the session that lives on; id is the subject
	acked      bool   // the server acknowledged it; otherwise it may or may not have happened
	epoch, seq uint64 // of the receipt; epoch 0: there is none
	everywhere bool   // the server confirmed that it has reached every verifier (wait=all)
}

// check is one request to one verifier. A verifier keeps its number over a restart, so that
// P3 holds over the restart too.
type check struct {
	span
	verifier int
	of       *credential
	outcome  outcome
	deleted  bool // the answer deletes the cookie that the credential is in
}

// heal is the end of a fault. From at to until the verifier has no other fault, and gets
// requests with a credential that is never revoked.
type heal struct {
	verifier  int
	at, until time.Duration
}

// history records every operation. Many goroutines write it. judge reads it when they have
// ended.
type history struct {
	begun time.Time

	mu          sync.Mutex // guards the fields below
	checks      []check
	revocations []*revocation
	heals       []heal
	logins      int
	subjects    map[string]struct{} // the subjects that may be signed in
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

// covers reports whether r revokes c: certainly, possibly, or not. Possibly means that r and
// the login ran at the same time, and the client can see no order between them. covers shares
// no code with the verifier.
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
	case "others":
		match = c.subject == r.id && c.sid != r.spared
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

// byCredential returns the checks of each credential, in the order in which they began.
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

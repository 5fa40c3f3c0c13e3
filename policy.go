package counterfoil

import (
	"fmt"
	"time"
)

// StalePolicy says what happens to a request while the verifier's knowledge is
// older than its bound. None of them lets a session through that an entry of the log covers
// which the verifier has. The zero StalePolicy is that of the verifier (Options.Stale), and
// there [FailClosed].
type StalePolicy struct {
	mode staleMode
	max  time.Duration // of serveStale
}

type staleMode uint8

const (
	inherit staleMode = iota
	failClosed
	introspect
	serveStale
)

// maxServeStale caps ServeStale.
const maxServeStale = time.Minute

// FailClosed answers [ErrStale]: 503, and the client keeps its credential.
func FailClosed() StalePolicy { return StalePolicy{mode: failClosed} }

// Introspect asks the issuer about this one credential, for this one request. The
// answer is not kept. If the issuer cannot be asked in time, the answer is [ErrStale].
func Introspect() StalePolicy { return StalePolicy{mode: introspect} }

// ServeStale goes on for up to max beyond the bound, but never beyond the expiry
// of a copy, and marks the session (Session.Stale). A session that was revoked after the
// verifier last read the log is let through: this is for routes where that is better than
// no answer. Options.ServeStale must allow it.
func ServeStale(max time.Duration) StalePolicy { return StalePolicy{serveStale, max} }

// Beyond returns for how long p goes on beyond the bound: zero for all but [ServeStale].
func (p StalePolicy) Beyond() time.Duration { return p.max }

// String returns the policy as Status shows it.
func (p StalePolicy) String() string {
	switch p.mode {
	case introspect:
		return "introspect"
	case serveStale:
		return fmt.Sprintf("serve_stale(%v)", p.max)
	}
	return "fail_closed"
}

// allowsFirstSight reports whether a copy that was not seen before is read by knowledge that
// is over its bound. Under Introspect the issuer is asked anyway, so no look-up is needed
// here; but a bad signature shows that a question is not worth it.
func (p StalePolicy) allowsFirstSight(f Format, over time.Duration) bool {
	switch p.mode {
	case introspect:
		return f == JWT
	case serveStale:
		return over <= p.max
	}
	return false
}

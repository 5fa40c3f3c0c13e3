package counterfoil

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// refusals counts, by reason, since the start.
type refusals [len(reasons)]atomic.Uint64

// reasons are what refusals are counted by: the first that matches.
var reasons = [...]struct {
	name string
	err  error
}{
	{"expired", ErrExpired},
	{"revoked", ErrRevoked},
	{"stale_claims", ErrStaleClaims},
	{"stale", ErrStale},
	{"unavailable", ErrUnavailable},
	{"invalid", ErrInvalidToken},
	{"no_credential", ErrNoCredential},
	{"multiple_credentials", refusal.ErrMultipleCredentials},
	{"cross_origin", refusal.ErrCrossOrigin},
	{"step_up", ErrStepUp},
	{"forbidden", ErrForbidden},
	{"other", nil},
}

func (r *refusals) count(err error) {
	if err == nil {
		return
	}
	for i, reason := range reasons {
		if reason.err == nil || errors.Is(err, reason.err) {
			r[i].Add(1)
			return
		}
	}
}

// skewAlarm is the difference of clocks that Status reports as an alarm (4.4).
const skewAlarm = 2 * time.Second

// Status is what a verifier knows and did, for people and for metrics. Counts are
// since NewVerifier.
type Status struct {
	Issuer   string // whose log it follows
	Verifier string // id under which the issuer knows it
	Epoch    uint64
	Applied  Cursor // the log is applied up to here

	Bound     time.Duration
	Staleness time.Duration
	Stale     bool   // beyond a bound: the stale policies answer
	Waiting   string // why nothing was read from the issuer yet; empty: something was
	Policy    string

	ServeStale   time.Duration // the longest that a route may go on beyond Bound
	ServingStale bool          // a route did, since knowledge was last fresh
	ServedStale  uint64

	Entries, MaxEntries int
	Full                bool // MaxEntries is reached: pages do not count (REV-14)
	Seen, MaxSeen       int
	SeenBytes           int64 // that the remembered copies take, about
	MaxSeenBytes        int64
	Watched             int

	Keys, SkippedKeys int
	KeysAge           time.Duration
	KeysError         string        // of the last attempt to fetch them
	Skew              time.Duration // how far the issuer's clock is certainly ahead of ours
	SkewAlarm         bool          // by more than 2 s, either way

	// Doubt is of how much of the time clocks contradict each other. Copies that end in it are
	// answered as stale.
	Doubt time.Duration

	Pages, Gaps, Epochs                 uint64 // Gaps: pages that did not follow; Epochs: how often the log began anew
	KeyFetches, Lookups, Introspections uint64
	Refused                             map[string]uint64 // by reason
}

// Status returns what the verifier knows now (REV-20).
func (v *Verifier) Status() Status {
	f := &v.follower
	k, at, keys := f.known.Load(), v.clock.Read(), v.keys.set.Load()
	s := Status{
		Issuer: v.opts.Issuer, Verifier: v.id, Epoch: k.epoch, Applied: k.applied,
		Bound: v.opts.Bound, Staleness: k.age(&at), Stale: v.overdue(k, true, &at) > 0, Policy: v.opts.Stale.String(),
		ServeStale: v.opts.ServeStale, ServingStale: v.servingStale.Load(), ServedStale: v.servedStale.Load(),
		Entries: k.revoked.Len(), MaxEntries: v.opts.MaxEntries, Full: f.full.Load(),
		Seen: v.seen.len(), MaxSeen: v.opts.MaxSeen, SeenBytes: v.seen.taken(), MaxSeenBytes: v.opts.MaxSeenBytes, Watched: v.watches.len(),
		Keys: len(keys.byID), SkippedKeys: keys.skipped, KeysAge: at.Since(&keys.asked), Skew: time.Duration(f.skew.Load()), Doubt: k.time.doubt(),
		Pages: f.pages.Load(), Gaps: f.gaps.Load(), Epochs: f.epochs.Load(),
		KeyFetches: v.keys.count.Load(), Lookups: v.lookups.count.Load(), Introspections: v.introspections.count.Load(),
		Refused: make(map[string]uint64, len(reasons)),
	}
	if why := v.waits.Load(); why != nil {
		s.Waiting = (*why).Error()
	}
	if keys.failed != nil {
		s.KeysError = keys.failed.Error()
	}
	s.SkewAlarm = s.Skew.Abs() > skewAlarm
	for i, r := range reasons {
		s.Refused[r.name] = v.refused[i].Load()
	}
	return s
}

// ServeDebug answers with Status as JSON, durations in seconds. It is for an
// operator's listener, as GET /debug/revocation: it names no credential, but is
// no other reader's business.
func (v *Verifier) ServeDebug(w http.ResponseWriter, _ *http.Request) {
	s := v.Status()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	_ = out.Encode(map[string]any{
		"issuer": s.Issuer, "verifier": s.Verifier, "applied": s.Applied,
		"bound_seconds": s.Bound.Seconds(), "staleness_seconds": s.Staleness.Seconds(), "stale": s.Stale, "waiting": s.Waiting, "policy": s.Policy,
		"serve_stale_seconds": s.ServeStale.Seconds(), "serving_stale": s.ServingStale, "served_stale": s.ServedStale,
		"entries": s.Entries, "max_entries": s.MaxEntries, "full": s.Full,
		"seen": s.Seen, "max_seen": s.MaxSeen, "seen_bytes": s.SeenBytes, "max_seen_bytes": s.MaxSeenBytes, "watched": s.Watched,
		"keys": s.Keys, "skipped_keys": s.SkippedKeys, "keys_age_seconds": s.KeysAge.Seconds(), "keys_error": s.KeysError,
		"skew_seconds": s.Skew.Seconds(), "skew_alarm": s.SkewAlarm, "time_doubt_seconds": s.Doubt.Seconds(),
		"pages": s.Pages, "gaps": s.Gaps, "epochs": s.Epochs,
		"key_fetches": s.KeyFetches, "lookups": s.Lookups, "introspections": s.Introspections, "refused": s.Refused,
	})
}

package main

import (
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// followerView is a verifier as /debug/revocation shows it. The id is shortened, because with
// the whole id a reader could acknowledge entries in the name of the verifier.
type followerView struct {
	Verifier   string             `json:"verifier"`
	Applied    counterfoil.Cursor `json:"applied"`
	Behind     uint64             `json:"behind"` // entries
	FreshUntil time.Time          `json:"fresh_until"`
	Following  bool               `json:"following"`
	ServeStale bool               `json:"serve_stale"`
}

// clockView is how the clock of this node compares.
type clockView struct {
	Offset float64 `json:"offset_seconds"` // positive: it is ahead
	From   string  `json:"compared_with"`
	Wrong  string  `json:"wrong,omitempty"` // why this node issues nothing
}

// page shows the issuer's view of the log and of its verifiers (REV-20).
func (s *state) page(w http.ResponseWriter, r *http.Request) {
	status, err := s.status(r.Context())
	if err != nil {
		p := source.Problem{Status: http.StatusServiceUnavailable, Type: "unavailable", Title: "The store cannot be reached", RetryAfter: time.Second}
		p.ServeHTTP(w, r)
		return
	}
	now := s.now()
	verifiers := []followerView{}
	for _, f := range status.Followers {
		verifiers = append(verifiers, followerView{
			Verifier: f.ID[:min(8, len(f.ID))], Applied: f.Acked, Behind: lag(status, f),
			FreshUntil: f.Until.UTC(), Following: f.Until.After(now), ServeStale: f.ServeStale,
		})
	}
	clock := s.clock()
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, map[string]any{
		"time": now.UTC(), "clock": clockView{clock.Offset.Seconds(), clock.Compared, clock.Wrong}, "head": status.Head, "entries": status.Entries, "verifiers": verifiers,
	})
}

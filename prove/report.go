package prove

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is the result of [Run].
type Report struct {
	Bound     time.Duration `json:"bound_ns"` // D
	Seed      uint64        `json:"seed"`
	Verifiers int           `json:"verifiers"`
	Results   []Result      `json:"results"`
	Left      []Left        `json:"left_out,omitempty"`
}

// Result is the result of one scenario on one store.
type Result struct {
	Store    string `json:"store"`
	Scenario string `json:"scenario"`
	Tests    []int  `json:"tests"` // of REVOCATION 4.11
	Findings
	Problems []string      `json:"problems,omitempty"` // demands of the scenario that were not met
	Notes    []string      `json:"notes,omitempty"`
	Took     time.Duration `json:"took_ns"`
	Held     bool          `json:"held"`
}

// Left is a scenario that was not run, with the reason.
type Left struct {
	Store    string `json:"store"`
	Scenario string `json:"scenario"`
	Why      string `json:"why"`
}

// Held reports whether all results held, and there is at least one.
func (r *Report) Held() bool {
	for _, s := range r.Results {
		if !s.Held {
			return false
		}
	}
	return len(r.Results) > 0
}

// Print writes the report for people, in 80 columns.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	store := ""
	for _, s := range r.Results {
		if s.Store != store {
			store = s.Store
			fmt.Fprintf(&b, "\n%s\n%-16s %7s %4s %8s %8s %8s %8s %6s\n", store,
				"scenario", "ops", "held", "p50", "p99", "max", "accepted", "bound")
		}
		held := "yes"
		if !s.Held {
			held = "NO"
		}
		fmt.Fprintf(&b, "%-16s %7d %4s %8s %8s %8s %8s %6s\n", s.Scenario, s.Checks+s.Logins+s.Revocations, held,
			s.RevokeToRefusal.text(0.5), s.RevokeToRefusal.text(0.99), s.RevokeToRefusal.text(1),
			round(s.LargestAccept), round(s.Findings.Bound))
		for _, line := range append(s.Violations, s.Problems...) {
			fmt.Fprintf(&b, "  ! %s\n", line)
		}
		if d := s.HealToAccept; d.N > 0 {
			fmt.Fprintf(&b, "  - back after a fault: %d times, p50 %s, max %s of %s\n", d.N, round(d.P50), round(d.Max), round(s.HealBound))
		}
		for _, line := range s.Notes {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
	}
	for _, l := range r.Left {
		fmt.Fprintf(&b, "left out on %s: %s (%s)\n", l.Store, l.Scenario, l.Why)
	}
	b.WriteString("\np50, p99, max: from the return of a revocation to refusal at each verifier\n" +
		"accepted: the latest start of an accepted check after the return; bound: of that\n")
	b.WriteString(r.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) verdict() string {
	checks, revocations, wrong, failed := 0, 0, 0, 0
	var latest, back time.Duration
	for _, s := range r.Results {
		checks += s.Checks
		revocations += s.Revocations
		wrong += len(s.Violations)
		latest, back = max(latest, s.LargestAccept), max(back, s.HealToAccept.Max)
		if !s.Held {
			failed++
		}
	}
	if !r.Held() {
		return fmt.Sprintf("NOT HELD: %d of %d scenarios, seed %d\n", failed, len(r.Results), r.Seed)
	}
	return fmt.Sprintf("held: %d checks, %d revocations; nothing accepted later than %s\n(bound %s), nothing refused wrongly, back at most %s after a fault; seed %d\n",
		checks, revocations, round(latest), round(r.Bound+time.Duration(float64(r.Bound)*rho)), round(back), r.Seed)
}

// text returns a quantile of d, or a dash if d has no samples.
func (d Distribution) text(q float64) string {
	switch {
	case d.N == 0:
		return "-"
	case q == 1:
		return round(d.Max).String()
	case q > 0.5:
		return round(d.P99).String()
	}
	return round(d.P50).String()
}

// round keeps three digits, which is more than such figures need.
func round(d time.Duration) time.Duration {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}

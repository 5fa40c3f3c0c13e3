package prove

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// rho is the clock rate error that the contract allows for (REVOCATION 4.3).
const rho = 1e-3

// Findings are the results of judging a history.
type Findings struct {
	Checks      int `json:"checks"`
	Logins      int `json:"logins"`
	Revocations int `json:"revocations"` // acknowledged
	Accepted    int `json:"accepted"`
	Refused     int `json:"refused"`
	Stale       int `json:"stale"` // answers without a verdict on the credential

	// RevokeToRefusal is the time from the return of a revocation to the first refusal of a
	// verifier that accepted the credential no more afterwards. There is one sample for each
	// revocation, verifier and credential. The resolution is the time between two checks.
	RevokeToRefusal Distribution `json:"revoke_to_refusal"`

	// LargestAccept is the largest time from the return of a revocation to the start of a
	// check that the verifier still accepted. Bound limits this time.
	LargestAccept time.Duration `json:"largest_accept_ns"`
	Bound         time.Duration `json:"bound_ns"` // D(1+rho)

	HealToAccept Distribution  `json:"heal_to_accept"`
	HealBound    time.Duration `json:"heal_bound_ns"`

	Violations []string       `json:"violations,omitempty"` // the first of each kind, and how many
	Broken     map[string]int `json:"broken,omitempty"`     // P1 to P4, or cookie: how often
}

// limits are the limits of the contract.
type limits struct {
	bound time.Duration // D
	heal  time.Duration // P4: two heartbeats and one read from zero; zero: no limit

	// extra is added to the bound of a verifier that serves stale by its configuration.
	extra map[int]time.Duration
}

// judge checks h against the contract.
func judge(h *history, l limits) Findings {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := &judgement{h: h, limit: l.heal, extra: l.extra}
	j.Logins, j.Checks, j.HealBound = h.logins, len(h.checks), l.heal
	j.Bound = l.bound + time.Duration(float64(l.bound)*rho)
	for _, r := range h.revocations {
		if r.acked {
			j.Revocations++
		}
	}
	index := indexed(h.revocations)
	for c, checks := range h.byCredential() {
		j.credential(c, checks, index.of(c))
	}
	j.liveness()
	j.RevokeToRefusal, j.HealToAccept = distribution(j.refusals), distribution(j.recoveries)
	for kind, n := range j.Broken {
		if n > 1 {
			j.Violations = append(j.Violations, fmt.Sprintf("%s: %d times in all", kind, n))
		}
	}
	slices.Sort(j.Violations)
	return j.Findings
}

type judgement struct {
	Findings
	h                    *history
	limit                time.Duration // of liveness
	extra                map[int]time.Duration
	refusals, recoveries []time.Duration
}

func (j *judgement) violated(kind, format string, args ...any) {
	if j.Broken == nil {
		j.Broken = make(map[string]int)
	}
	j.Broken[kind]++
	if j.Broken[kind] == 1 {
		j.Violations = append(j.Violations, kind+": "+fmt.Sprintf(format, args...))
	}
}

// index finds the revocations that may cover a credential.
type index map[[2]string][]*revocation

func indexed(all []*revocation) index {
	i := make(index)
	for _, r := range all {
		key := [2]string{r.scope, r.id}
		i[key] = append(i[key], r)
	}
	return i
}

func (i index) of(c *credential) (found []*revocation) {
	for _, key := range [][2]string{
		{"session", c.sid}, {"token", c.token}, {"key", c.key}, {"subject", c.subject}, {"others", c.subject}, {"client", c.client}, {"all", ""},
	} {
		for _, r := range i[key] {
			if _, possibly := r.covers(c); possibly {
				found = append(found, r)
			}
		}
	}
	return found
}

// credential checks all outcomes for one credential against P1, P2 and P3.
func (j *judgement) credential(c *credential, checks []check, possible []*revocation) {
	var certain []*revocation
	for _, r := range possible {
		if surely, _ := r.covers(c); surely && r.acked {
			certain = append(certain, r)
		}
	}
	since := make(map[int]time.Duration) // verifier -> the end of its first refusal
	for _, k := range checks {
		ended := slices.ContainsFunc(possible, func(r *revocation) bool { return r.start <= k.end })
		if k.deleted && !ended {
			j.violated("cookie", "verifier %d deleted the cookie of a %v credential that was not revoked", k.verifier, c.carrier)
		}
		switch k.outcome {
		case accepted:
			j.Accepted++
			for _, r := range certain {
				j.late(k, r)
			}
			if at, ok := since[k.verifier]; ok && k.start >= at {
				j.violated("P3", "verifier %d accepted a %v credential again %v after it had refused it", k.verifier, c.carrier, k.start-at)
			}
		case refused:
			j.Refused++
			if _, ok := since[k.verifier]; !ok {
				since[k.verifier] = k.end
			} else if k.end < since[k.verifier] {
				since[k.verifier] = k.end
			}
			if !ended {
				j.violated("P2", "verifier %d refused a %v credential of %s, at %v, that was not revoked", k.verifier, c.carrier, c.subject, k.end)
			}
		case unknown:
			j.Stale++
		}
	}
	for _, r := range certain {
		j.sample(r, checks)
	}
}

// late checks one acceptance and one revocation against P1.
func (j *judgement) late(k check, r *revocation) {
	by := k.start - r.end
	extra := j.extra[k.verifier]
	j.LargestAccept = max(j.LargestAccept, by-extra)
	bound := j.Bound + extra
	if r.everywhere {
		bound = 0
	}
	if by > bound {
		j.violated("P1", "verifier %d accepted a %v credential %v after the revocation of its %s had returned: the bound is %v", k.verifier, k.of.carrier, by, r.scope, bound)
	}
}

// sample measures the time from r to the refusal, for each verifier that accepted the
// credential before r began and refused it after r returned.
func (j *judgement) sample(r *revocation, checks []check) {
	type verdicts struct {
		before, refused bool
		at              time.Duration
	}
	by := make(map[int]verdicts)
	for _, k := range checks {
		s := by[k.verifier]
		switch {
		case k.start < r.start:
			s.before = k.outcome == accepted
		case k.outcome == accepted:
			s.refused = false
		case k.start >= r.end && !s.refused:
			s.refused, s.at = true, k.end-r.end
		}
		by[k.verifier] = s
	}
	for _, s := range by {
		if s.before && s.refused {
			j.refusals = append(j.refusals, s.at)
		}
	}
}

// liveness checks each heal against P4.
func (j *judgement) liveness() {
	if len(j.h.heals) == 0 {
		return
	}
	by := make(map[int][]check)
	for _, k := range j.h.checks {
		if k.outcome == accepted {
			by[k.verifier] = append(by[k.verifier], k)
		}
	}
	for _, checks := range by {
		slices.SortFunc(checks, func(a, b check) int { return cmp.Compare(a.end, b.end) })
	}
	for _, h := range j.h.heals {
		checks := by[h.verifier]
		// The first acceptance whose check began after the heal.
		n := slices.IndexFunc(checks, func(k check) bool { return k.start >= h.at && k.end <= h.until })
		if n < 0 {
			j.violated("P4", "verifier %d accepted nothing for %v after the network was whole", h.verifier, h.until-h.at)
			continue
		}
		took := checks[n].end - h.at
		j.recoveries = append(j.recoveries, took)
		if j.limit > 0 && took > j.limit {
			j.violated("P4", "verifier %d accepted again %v after the network was whole: the bound is %v", h.verifier, took, j.limit)
		}
	}
}

// Distribution of durations, in nanoseconds when written as JSON.
type Distribution struct {
	N   int           `json:"n"`
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

func distribution(all []time.Duration) Distribution {
	if len(all) == 0 {
		return Distribution{}
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1)+0.5)] }
	return Distribution{len(all), at(0.5), at(0.99), all[len(all)-1]}
}

package prove

import (
	"context"
	"errors"
	"time"
)

// Scenario is one test of the contract.
type Scenario struct {
	Name  string
	Tests []int  // of REVOCATION 4.11
	About string // one line

	exclusive bool // its figures are valid only if no other scenario runs at the same time
	needs     need
	do        func(ctx context.Context, w *world) error
}

type need uint8

const (
	needServer  need = 1 << iota // starts, stops or breaks the server or its store
	needProcess                  // another process
	needBackups                  // a store with backups
)

// Scenarios lists all scenarios, in the order of the report.
func Scenarios() []Scenario { return scenarios }

var scenarios []Scenario

func init() { // not in the declaration: scenarios refers to Options, whose methods refer to scenarios
	scenarios = []Scenario{
		{"history", []int{1}, "clients, revokers and verifiers on a whole network", true, 0, calm},
		{"history, faults", []int{1, 3}, "the same while networks fail and verifiers restart", true, 0, stormy},
		{"every scope", []int{1}, "each carrier against session, token, subject, others, client, key, all", false, needServer, everyScope},
		{"late answer", []int{2}, "an answer is held for 3 D, then delivered", false, 0, network(lateAnswer)},
		{"late answers", []int{2}, "every answer takes 1.5 D", false, 0, network(lateAnswers)},
		{"black hole", []int{3}, "both directions are lost", false, 0, network(blackHole)},
		{"one way", []int{3}, "requests arrive, answers do not", false, 0, network(oneWay)},
		{"trickle", []int{3}, "answers arrive one byte a second", false, 0, network(trickle)},
		{"resets", []int{3}, "connections are refused and reset", false, 0, network(resets)},
		{"bad pages", []int{3, 14}, "gaps, repeats, other orders, forged cursors, garbage", false, 0, badPages},
		{"server killed", []int{4}, "kill -9 at every step of a revocation", false, needServer | needProcess, serverKilled},
		{"store gone", []int{5}, "the server runs, its store does not answer", false, needServer, storeGone},
		{"commit order", []int{6}, "slow concurrent commits: a follower misses none", false, needServer, commitOrder},
		{"old backup", []int{7}, "the store is restored from a backup", false, needServer | needBackups, oldBackup},
		{"store lost", []int{7}, "the store restarts empty", false, needServer, storeLost},
		{"verifier stopped", []int{8}, "SIGSTOP for longer than D", false, needProcess, verifierStopped},
		{"clocks", []int{8}, "steps of an hour, clocks that run fast and slow", false, 0, clocks},
		{"races", []int{9}, "refresh and login in flight while the subject is revoked", false, needServer, races},
		{"wait=all", []int{10}, "no verifier accepts after it has returned", false, 0, waitAll},
		{"flood", []int{11}, "as many revocations as the server takes, one slow verifier", true, needServer, flood},
		{"full", []int{12}, "more entries than a verifier may hold", false, needServer, full},
		{"policies", []int{13}, "three stale policies, four carriers, live connections", false, 0, policies},
		{"cold start", []int{14}, "a verifier without the log, one that restarts, one that starts before it can hear the server", false, 0, coldStart},
	}
}

// cannot says why sc cannot run. It returns the empty text if sc can run.
func (sc Scenario) cannot(o Options, s *Store) string {
	switch {
	case s == nil && sc.needs&needServer != 0:
		return "needs its own server"
	case sc.needs&needProcess != 0 && len(o.Child) == 0:
		return "needs its own process"
	case sc.needs&needBackups != 0 && !s.Backups:
		return "this store has no backups here"
	case sc.Name == "store lost" && !s.Lossy:
		return "this store keeps its data over a restart"
	}
	return ""
}

// run runs a scenario and judges its history.
func (sc Scenario) run(ctx context.Context, o Options, name string, s *Store) Result {
	result := Result{Store: name, Scenario: sc.Name, Tests: sc.Tests}
	begun := time.Now()
	w, err := newWorld(ctx, o, s)
	if err == nil {
		if sc.needs&needServer == 0 {
			err = w.serve(ctx)
		}
		if err == nil {
			err = sc.do(ctx, w)
		}
	}
	if w != nil {
		if w.Deployment != nil {
			w.signOut(ctx)
		}
		w.close()
		if err == nil && w.Deployment == nil && !w.stopped() {
			err = errors.New("the scenario left its server running")
		}
		result.Findings = judge(w.history, limits{bound: o.Bound, heal: 2*w.heartbeat() + max(w.read, readAtLeast) + o.patience, extra: w.extra})
		result.Problems, result.Notes = w.problems, w.noted
	}
	if err != nil {
		result.Problems = append(result.Problems, err.Error())
	}
	if f := result.Findings; err == nil && (f.Accepted == 0 || f.Refused == 0 || f.Revocations == 0) {
		result.Problems = append(result.Problems, "shows nothing: the history lacks a revocation, an acceptance or a refusal")
	}
	result.Held = len(result.Problems) == 0 && len(result.Violations) == 0
	result.Took = time.Since(begun)
	return result
}

// readAtLeast is the least time that P4 allows for one read of the log.
const readAtLeast = 250 * time.Millisecond

func (w *world) stopped() bool { return w.server == nil }

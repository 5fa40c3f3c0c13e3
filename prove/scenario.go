package prove

import (
	"context"
	"fmt"
	"time"
)

// Scenario is one way to put the contract on trial.
type Scenario struct {
	Name  string
	Tests []int  // of REVOCATION 4.11
	About string // one line

	alone bool // its figures mean something only if nothing runs beside it
	needs need
	do    func(ctx context.Context, w *world) error
}

type need uint8

const (
	needServer  need = 1 << iota // starts, stops or breaks the server or its store
	needProcess                  // another process
	needBackups                  // a store that can be copied and put back
)

// Scenarios lists all of them, in the order of the report.
func Scenarios() []Scenario { return scenarios }

var scenarios []Scenario

func init() { // not in the declaration: the scenarios know Options, and Options their names
	scenarios = []Scenario{
		{"history", []int{1}, "clients, revokers and verifiers on a whole network", true, 0, calm},
		{"history, faults", []int{1, 3}, "the same while networks fail and verifiers start anew", true, 0, stormy},
		{"every scope", []int{1}, "each carrier against session, token, subject, client, key, all", false, needServer, everyScope},
		{"late answer", []int{2}, "an answer is held for 3 D, then delivered", false, 0, network(lateAnswer)},
		{"late answers", []int{2}, "every answer takes 1.5 D", false, 0, network(lateAnswers)},
		{"black hole", []int{3}, "both directions are lost", false, 0, network(blackHole)},
		{"one way", []int{3}, "requests arrive, answers do not", false, 0, network(oneWay)},
		{"trickle", []int{3}, "answers arrive one byte a second", false, 0, network(trickle)},
		{"resets", []int{3}, "connections are refused and reset", false, 0, network(resets)},
		{"bad pages", []int{3, 14}, "gaps, repeats, other orders, forged cursors, garbage", false, 0, badPages},
		{"server killed", []int{4}, "kill -9 at every step of a revocation", false, needServer | needProcess, serverKilled},
		{"store gone", []int{5}, "the server lives, its store does not", false, needServer, storeGone},
		{"commit order", []int{6}, "slow commits side by side: none is passed over", false, needServer, commitOrder},
		{"old backup", []int{7}, "the store is put back to what it was", false, needServer | needBackups, oldBackup},
		{"store lost", []int{7}, "the store begins anew, empty", false, needServer, storeLost},
		{"verifier stopped", []int{8}, "SIGSTOP for longer than D", false, needProcess, verifierStopped},
		{"clocks", []int{8}, "steps of an hour, clocks that run fast and slow", false, 0, clocks},
		{"races", []int{9}, "refresh and login in flight while the subject is revoked", false, needServer, races},
		{"wait=all", []int{10}, "nothing is accepted once it has returned", false, 0, waitAll},
		{"flood", []int{11}, "as many revocations as the server takes, one slow verifier", true, needServer, flood},
		{"full", []int{12}, "more entries than a verifier may hold", false, needServer, full},
		{"policies", []int{13}, "three stale policies, four carriers, live connections", false, 0, policies},
		{"cold start", []int{14}, "a verifier without the log, and one that starts anew", false, 0, coldStart},
	}
}

// cannot says why sc is left out, or nothing.
func (sc Scenario) cannot(o Options, s *Store) string {
	switch {
	case s == nil && sc.needs&needServer != 0:
		return "needs a server of its own"
	case sc.needs&needProcess != 0 && len(o.Child) == 0:
		return "needs a process of its own"
	case sc.needs&needBackups != 0 && !s.Backups:
		return "no backup is known here"
	case sc.Name == "store lost" && !s.Lossy:
		return "this store does not lose what it was told"
	}
	return ""
}

// run does a scenario and judges its history.
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
			err = fmt.Errorf("a server is left running")
		}
		result.Findings = judge(w.history, limits{bound: o.Bound, heal: 2*w.heartbeat() + max(w.read, readAtLeast) + o.patience, extra: w.extra})
		result.Problems, result.Notes = w.problems, w.noted
	}
	if err != nil {
		result.Problems = append(result.Problems, err.Error())
	}
	if f := result.Findings; err == nil && (f.Accepted == 0 || f.Refused == 0 || f.Revocations == 0) {
		result.Problems = append(result.Problems, "shows nothing: nothing was revoked, accepted or refused")
	}
	result.Held = len(result.Problems) == 0 && len(result.Violations) == 0
	result.Took = time.Since(begun)
	return result
}

// readAtLeast is what one read of the log is allowed when it took less.
const readAtLeast = 250 * time.Millisecond

func (w *world) stopped() bool { return w.server == nil }

package prove

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// The times of a cell.
const (
	// accessTTL is the life of a copy: not more than the 10 min by which a clock is wrong, so
	// that a copy seems to be over, and not much less, so that it outlives an entry that is
	// dropped 10 min too early.
	accessTTL = 10 * time.Minute

	clocksBound = 10 * time.Second // D: the default of a verifier

	faultAfter = 10 * time.Second // from the first sign-in
	faultLasts = 3 * time.Minute
	watched    = 25 * time.Minute // afterwards: longer than the log keeps an entry
	grace      = 10 * time.Second // how long a refresh may be repeated, by default
	idle       = time.Hour        // how long a session lives unused, by default
	absolute   = 24 * time.Hour   // how long it lives at all, by default
)

// settles is how long nodes run before: a node whose store has no clock believes its own at
// first, and remembers the time after that.
const settles = 25 * time.Minute

// clockMutant is the product with a fault. The zero clockMutant has none.
type clockMutant struct {
	newVerifier func(ctx context.Context, s counterfoil.Source, o counterfoil.Options) (verifier, error)
	store       func(s store.Store, m *machine) store.Store // what a node on m has instead of s
	blind       bool                                        // nothing else of a node knows that its clock is wrong
}

// clockMutants are the mutants that tests know.
var clockMutants = map[string]clockMutant{}

// simulation is the deployment of one cell, and its history.
type simulation struct {
	*history
	cell   ClocksCell
	mutant clockMutant

	database *database
	alone    bool     // see [Store]
	wrong    *machine // whose clock is wrong in this cell
	right    *machine
	key      string // the API key

	nodes     []*simNode // the first one may be on wrong
	following []*simVerifier
	verifiers int // how many were made

	startedWrong bool          // a node was started while its clock was wrong
	repaired     time.Duration // when the clock was set right; 0: not yet

	steady []*credential // never revoked; the copies that are good now
	other  []*credential // earlier copies of the same sessions
	gone   []*credential // will be revoked, or are
	during []*credential // made while the clock was wrong: the last of each node
}

func newSimulation(plan clocksPlan, c clocksCell, out *outside, open openFunc) *simulation {
	s := &simulation{
		history: newHistory(), cell: c.Cell, mutant: clockMutants[plan.Mutant], wrong: &machine{}, right: &machine{},
	}
	if s.mutant.newVerifier == nil {
		s.mutant.newVerifier = func(ctx context.Context, from counterfoil.Source, o counterfoil.Options) (verifier, error) {
			return counterfoil.NewVerifier(ctx, from, o)
		}
	}
	s.database = &database{machine: s.right, open: func() (*outsideStore, error) { return out.open(open, c.Place) }}
	s.alone = c.Alone
	if c.Cell.Clock == "database" {
		s.database.machine = s.wrong
	}
	return s
}

func (s *simulation) problem(format string, args ...any) {
	s.cell.Problems = append(s.cell.Problems, fmt.Sprintf(format, args...))
}

func (s *simulation) result() ClocksCell {
	l := limits{bound: clocksBound, heal: clocksBound / 2, extra: make(map[int]time.Duration)}
	for _, n := range s.nodes {
		l.extra[n.number] = -clocksBound - time.Duration(float64(clocksBound)*rho) // a node knows at once
	}
	s.cell.Findings = judge(s.history, l)
	if f := s.cell.Findings; len(s.cell.Problems) == 0 && (f.Accepted == 0 || f.Refused == 0 || f.Revocations < 4) {
		s.problem("shows nothing: the history lacks revocations, acceptances or refusals")
	}
	return s.cell
}

// run runs the cell.
func (s *simulation) run(ctx context.Context) {
	if err := s.play(ctx); err != nil {
		s.problem("%v", err)
	}
	for _, v := range s.following {
		v.stop()
	}
	for _, n := range s.nodes {
		n.stop()
	}
	if s.database.shared != nil {
		_ = s.database.shared.Close()
	}
}

// play is the timeline of every cell.
func (s *simulation) play(ctx context.Context) error {
	if err := s.build(ctx); err != nil {
		return err
	}
	pause(ctx, 10*time.Second)
	if err := s.signInAll(ctx); err != nil {
		return err
	}
	s.revoke(ctx, 1, "before")
	pause(ctx, faultAfter)
	if err := s.fault(ctx); err != nil {
		return err
	}
	if err := s.repair(ctx); err != nil {
		return err
	}
	return s.afterwards(ctx)
}

// build starts nodes and verifiers, with right clocks.
func (s *simulation) build(ctx context.Context) (err error) {
	if err := s.database.begin(s.alone); err != nil {
		return err
	}
	onNode, onVerifier := s.right, s.right
	if s.cell.Clock == "node" || s.cell.Clock == "both" {
		onNode = s.wrong
	}
	if s.cell.Clock == "verifier" || s.cell.Clock == "both" {
		onVerifier = s.wrong
	}
	s.newNode("node A", onNode)
	if !s.alone {
		s.newNode("node B", s.right)
	}
	for _, n := range s.nodes {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	pause(ctx, settles)
	if s.key, err = s.nodes[0].makeKey(ctx); err != nil {
		return err
	}
	a, last := s.nodes[0], s.nodes[len(s.nodes)-1]
	s.following = []*simVerifier{s.newVerifier(onVerifier, a)}
	if onVerifier == s.wrong {
		s.following = append(s.following, s.newVerifier(s.right, a))
	}
	if a != last {
		s.following = append(s.following, s.newVerifier(onVerifier, last), s.newVerifier(onVerifier, s.nodes...))
	}
	for _, v := range s.following {
		if err := v.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// simCarriers are the carriers whose copies say when they expire, or never do: a client that
// cannot read that cannot tell a copy that is over from one that is refused.
var simCarriers = []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie}

// held signs in one subject, once by each carrier.
func (s *simulation) held(ctx context.Context, n *simNode, subject string) (all []*credential, err error) {
	for _, carrier := range simCarriers {
		c, err := n.signIn(ctx, subject, carrier)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// signInAll signs in everybody, before any clock is wrong.
func (s *simulation) signInAll(ctx context.Context) (err error) {
	if s.steady, err = s.held(ctx, s.nodes[0], "steady"); err != nil {
		return err
	}
	for n, subject := range []string{"before", "during-1", "during-2", "after"} {
		all, err := s.held(ctx, s.nodes[n%len(s.nodes)], subject)
		if err != nil {
			return err
		}
		s.gone = append(s.gone, all...)
	}
	s.askAll(ctx)
	for _, v := range s.following {
		for _, c := range s.steady {
			if got := v.ask(ctx, c); got != accepted {
				s.problem("%s: a %v credential is %v before any clock is wrong", v.name, c.carrier, got)
			}
		}
	}
	return nil
}

// revoke revokes a subject at the node of that number, or another one if there are fewer.
func (s *simulation) revoke(ctx context.Context, node int, subject string) {
	n := s.nodes[node%len(s.nodes)]
	pause(ctx, time.Millisecond) // an operation takes no simulated time, and the judge needs an order
	defer pause(ctx, time.Millisecond)
	if _, err := n.client.revoke(ctx, "subject", subject, false); err != nil {
		s.problem("%s, at %v: %v", n.name, s.now(), err)
	}
}

// askAll sends every credential to every verifier.
func (s *simulation) askAll(ctx context.Context) {
	for _, v := range s.following {
		s.askOne(ctx, v)
	}
}

func (s *simulation) askOne(ctx context.Context, v *simVerifier) {
	for _, all := range [][]*credential{s.steady, s.other, s.gone, s.during} {
		for _, c := range all {
			if c.expires.IsZero() || time.Since(c.expires) < 2*time.Minute { // leeway included
				v.ask(ctx, c)
			}
		}
	}
}

// each calls do at the start and then after every step, until d has passed.
func (s *simulation) each(ctx context.Context, step, d time.Duration, do func()) {
	for end := s.now() + d; ctx.Err() == nil && s.now() < end; {
		do()
		pause(ctx, min(step, end-s.now()))
	}
}

// restart restarts what the wrong clock belongs to. whileDown is called while it is down.
func (s *simulation) restart(ctx context.Context, whileDown func()) error {
	const down = time.Second
	var nodes []*simNode
	var verifiers []*simVerifier
	for _, n := range s.nodes {
		if n.machine == s.wrong {
			nodes = append(nodes, n)
		}
	}
	for _, v := range s.following {
		if v.machine == s.wrong {
			verifiers = append(verifiers, v)
		}
	}
	for _, v := range verifiers {
		v.stop()
	}
	for _, n := range nodes {
		n.stop()
	}
	if s.database.machine == s.wrong {
		s.database.setDown(true)
		defer s.database.setDown(false)
	}
	pause(ctx, down)
	whileDown()
	for _, n := range nodes {
		s.startedWrong = s.startedWrong || n.machine.off.Load() != 0
		if err := n.start(ctx); err != nil {
			return fmt.Errorf("%s does not start at %v: %w", n.name, s.now(), err)
		}
	}
	for _, v := range verifiers {
		s.startVerifier(ctx, v)
	}
	return nil
}

// startVerifier starts v. A verifier that cannot start yet goes on trying, and that is an
// outage of it.
func (s *simulation) startVerifier(ctx context.Context, v *simVerifier) bool {
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return v.start(short) == nil
}

// fault makes the clock wrong for faultLasts, and restarts what has it if the cell says so.
func (s *simulation) fault(ctx context.Context) error {
	wrong := func() { s.wrong.set(s.cell.offset()) }
	retry := s.tryRetry(ctx, 0)
	if s.cell.steps() {
		wrong()
	} else if err := s.restart(ctx, wrong); err != nil {
		return err
	}
	begun := s.now()
	after := func(d time.Duration) bool { return s.now() >= begun+d }
	done := make(map[string]bool)
	once := func(name string, d time.Duration, do func()) {
		if after(d) && !done[name] {
			done[name] = true
			do()
		}
	}
	s.each(ctx, 100*time.Millisecond, 2*time.Second, func() { s.askAll(ctx) })
	var err error
	s.each(ctx, 2500*time.Millisecond, begun+faultLasts-s.now(), func() {
		once("end a retry", 6*time.Second, func() { retry() })
		once("during-1", 5*time.Second, func() { s.revoke(ctx, 0, "during-1") })
		once("during-2", 10*time.Second, func() { s.revoke(ctx, 1, "during-2") })
		once("sign in", 15*time.Second, func() { s.signInDuring(ctx, "late-1") })
		once("begin a second", 22*time.Second, func() { retry = s.tryRetry(ctx, 0) })
		once("end a second", 31*time.Second, func() { retry() })
		once("begin a third", 42*time.Second, func() { retry = s.tryRetry(ctx, 1) })
		once("end a third", 51*time.Second, func() { retry() })
		once("cold", 70*time.Second, func() { s.cold(ctx, false) })
		once("restart", 90*time.Second, func() {
			if s.cell.Restarted {
				err = s.restart(ctx, func() {})
			}
		})
		once("sign in again", 120*time.Second, func() { s.signInDuring(ctx, "late-2") })
		once("revoke", 130*time.Second, func() { s.revoke(ctx, 1, "late-1") })
		once("cold again", 150*time.Second, func() { s.cold(ctx, false) })
		s.retryVerifiers(ctx)
		s.askAll(ctx)
	})
	return err
}

// retryVerifiers starts the verifiers that could not start.
func (s *simulation) retryVerifiers(ctx context.Context) {
	for _, v := range s.following {
		if v.v == nil {
			s.startVerifier(ctx, v)
		}
	}
}

// signInDuring signs in at every node while the clock is wrong. A node may refuse to.
func (s *simulation) signInDuring(ctx context.Context, subject string) {
	for _, n := range s.nodes {
		all, err := s.held(ctx, n, subject)
		switch {
		case err == nil:
			s.during = append(s.during, all...)
		case statusOf(err) != http.StatusServiceUnavailable:
			s.problem("%s, at %v: %v", n.name, s.now(), err)
		}
		if s.mustNotIssue(n) && err == nil {
			s.problem("%s makes sessions while its clock and the database's differ by %v", n.name, short(s.cell.By))
		}
		if !s.mustNotIssue(n) && s.rightClock(n) && err != nil {
			s.problem("%s, whose clock is right, makes no sessions: %v", n.name, err)
		}
	}
}

// mustNotIssue reports whether n is off by so much from its database that it must not issue
// (4.9a).
func (s *simulation) mustNotIssue(n *simNode) bool {
	off := time.Duration(n.machine.off.Load() - s.database.machine.off.Load())
	return !s.alone && off.Abs() > 30*time.Second
}

func (s *simulation) rightClock(n *simNode) bool {
	return n.machine == s.right && s.database.machine == s.right
}

// ahead is how much more time has passed by the clock of a server that started with that clock,
// and has no other. Nothing there can know that no such time has passed: what is over by it is
// refused, and its client refreshes it or signs in again.
func (s *simulation) ahead() time.Duration {
	// Two heartbeats after the clock was set right, every verifier knows.
	if !s.alone || !s.startedWrong || s.repaired > 0 && s.now() > s.repaired+clocksBound/2 {
		return 0
	}
	return max(s.cell.offset(), 0)
}

// over reports whether c has ended by such a clock.
func (s *simulation) over(c *credential) bool {
	ahead := s.ahead()
	if c.carrier.Format == counterfoil.Opaque {
		return ahead >= idle
	}
	return ahead > 0 && time.Now().Add(ahead).After(c.expires)
}

// tryRetry refreshes a new session at one node. The returned function does the same again at
// another node, as a client does whose first answer was lost: it must not end the session.
func (s *simulation) tryRetry(ctx context.Context, node int) func() {
	first, second := s.nodes[node%len(s.nodes)], s.nodes[(node+1)%len(s.nodes)]
	c, err := first.signIn(ctx, fmt.Sprintf("retry-%v", s.now()), counterfoil.CarrierBearer)
	if err != nil {
		return func() {}
	}
	if _, got, _ := first.refresh(ctx, c); got != accepted {
		return func() {}
	}
	used := s.now()
	return func() {
		pause(ctx, used+grace-250*time.Millisecond-s.now())
		if s.now()-used < grace {
			_, _, _ = second.refresh(ctx, c)
		}
	}
}

// cold starts new verifiers, sends them every credential, and stops them. If must is true,
// they must start.
func (s *simulation) cold(ctx context.Context, must bool) {
	for _, n := range s.nodes {
		for _, m := range []*machine{s.right, s.wrong} {
			if m == s.wrong && s.cell.Clock != "verifier" && s.cell.Clock != "both" {
				continue
			}
			v := s.newVerifier(m, n)
			if !s.startVerifier(ctx, v) {
				if must {
					s.problem("%s does not start, at %v", v.name, s.now())
				}
				continue
			}
			s.askOne(ctx, v)
			v.stop()
		}
	}
}

// repair sets the clock right, and demands that everything works again.
func (s *simulation) repair(ctx context.Context) error {
	right := func() {
		s.wrong.set(0)
		s.repaired = s.now()
	}
	if !s.cell.Restarted {
		right()
	} else if err := s.restart(ctx, right); err != nil {
		return err
	}
	at := s.now()
	good := s.steady[1] // a JWT: the verifier needs no look-up for it
	back := make(map[int]time.Duration)
	patience := 4 * clocksBound
	s.each(ctx, 50*time.Millisecond, patience, func() {
		s.retryVerifiers(ctx)
		for _, v := range s.following {
			if back[v.number] == 0 && v.ask(ctx, good) == accepted {
				back[v.number] = s.now()
			}
		}
		for _, n := range s.nodes {
			if back[n.number] == 0 {
				if _, err := n.signIn(ctx, "again", counterfoil.CarrierBearer); err == nil {
					back[n.number] = s.now()
				}
			}
		}
		if (s.now()-at)%time.Second == 0 {
			s.askAll(ctx)
		}
	})
	for _, v := range s.following {
		s.heal(heal{v.number, at, at + patience})
	}
	for _, n := range s.nodes {
		s.heal(heal{n.number, at, at + patience})
	}
	return nil
}

// afterwards revokes the rest, and watches for as long as a copy could live.
func (s *simulation) afterwards(ctx context.Context) error {
	s.revoke(ctx, 0, "after")
	s.revoke(ctx, 1, "late-2")
	s.renewSteady(ctx)
	begun := s.now()
	last := time.Duration(0)
	s.each(ctx, 15*time.Second, watched, func() {
		passed := s.now() - begun
		if passed-last >= 2*time.Minute {
			last = passed
			s.renewSteady(ctx)
			s.cold(ctx, true)
		}
		s.askAll(ctx)
	})
	for _, v := range s.following {
		v.stop()
	}
	// A copy that was dated by the wrong clock may live for longer.
	var end time.Time
	for _, c := range slices.Concat(s.gone, s.during) {
		if c.expires.After(end) {
			end = c.expires
		}
	}
	left := time.Until(end.Add(time.Minute))
	s.steady, s.other = nil, nil
	s.each(ctx, max(left/8, time.Minute), left, func() { s.cold(ctx, true) })
	return ctx.Err()
}

// renewSteady replaces the copies that are never revoked, before they expire. The client of a
// cookie signs in again: the answer of a refresh has its cookie in a header.
func (s *simulation) renewSteady(ctx context.Context) {
	for i, c := range s.steady {
		n := s.nodes[i%len(s.nodes)]
		next, got, err := c, accepted, error(nil)
		switch c.carrier {
		case counterfoil.CarrierBearer:
			next, got, err = n.refresh(ctx, c)
		case counterfoil.CarrierJWTCookie:
			next, err = n.signIn(ctx, "steady", c.carrier)
		}
		if got != accepted || err != nil {
			s.problem("%s, at %v: no new copy of a %v credential: %v", n.name, s.now(), c.carrier, err)
			continue
		}
		if next != c {
			s.other = append(s.other, c)
			s.steady[i] = next
		}
	}
}

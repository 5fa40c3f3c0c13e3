package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

var begin = time.Unix(1e9, 0)

// clock is a clock to turn.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time        { return begin.Add(time.Duration(c.at.Load())) }
func (c *clock) later(d time.Duration) { c.at.Add(int64(d)) }

// node is a throttle on s, as another process has it.
func node(t testing.TB, s store.Store, now func() time.Time, o throttle.Options) *throttle.Throttle {
	t.Helper()
	o.Store, o.Key, o.Now = s, make([]byte, 32), now
	n, err := throttle.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// at is a guess at an account from an address that nobody else has.
func at(account string) throttle.Guess {
	n := addresses.Add(1)
	return throttle.Guess{Account: account, Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
}

var addresses atomic.Int64

// waitOf is how long the next attempt has to wait.
func waitOf(t testing.TB, err error) time.Duration {
	t.Helper()
	var throttled login.Throttled
	if err != nil && !errors.As(err, &throttled) {
		t.Fatal(err)
	}
	return throttled.RetryAfter
}

func records(t testing.TB, s store.Store) (all []store.Record) {
	t.Helper()
	for r, err := range s.List(t.Context(), "throttle", "*", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// LOGIN-09: five fast failures, then longer and longer waits, up to a quarter of an
// hour and never more. Attempts that come too early make no wait longer.
func TestBackoff(t *testing.T) {
	var c clock
	n := node(t, memory.New(), c.now, throttle.Options{})
	var ticket throttle.Ticket
	var err error
	for attempt, want := range []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		if ticket, err = n.Take(t.Context(), at("a")); err != nil {
			t.Fatalf("attempt %d = %v", attempt+1, err)
		}
		for left := want * time.Second; left > 0; left -= min(left, 13*time.Second) {
			if _, err := n.Take(t.Context(), at("a")); waitOf(t, err) <= 0 || waitOf(t, err) > left {
				t.Errorf("after %d failures the wait is %v, want at most %v", attempt+1, err, left)
			}
			c.later(min(left, 13*time.Second))
		}
	}
	if err := ticket.Succeeded(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := n.Take(t.Context(), at("a")); err != nil {
			t.Errorf("after a success = %v", err)
		}
	}
}

// LOGIN-09: the wait that is told is the wait.
func TestWaitIsTold(t *testing.T) {
	var c clock
	s := memory.New()
	n := node(t, s, c.now, throttle.Options{})
	for range 10 {
		c.later(time.Minute)
		if _, err := n.Take(t.Context(), at("a")); err != nil {
			t.Fatal(err)
		}
	}
	fresh := node(t, s, c.now, throttle.Options{}) // after a restart
	if _, err := fresh.Take(t.Context(), at("a")); waitOf(t, err) != 32*time.Second {
		t.Errorf("after ten failures %v, want a wait of 32 s", err)
	}
	c.later(32 * time.Second)
	if _, err := fresh.Take(t.Context(), at("a")); err != nil {
		t.Errorf("after the wait = %v", err)
	}
}

// An attempt that was not checked after all leaves what was there, and of several at
// once takes away its own.
func TestUndo(t *testing.T) {
	var c clock
	s := memory.New()
	n := node(t, s, c.now, throttle.Options{})
	undo := func(ticket throttle.Ticket) {
		t.Helper()
		if err := ticket.Undo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	take := func() throttle.Ticket {
		t.Helper()
		ticket, err := n.Take(t.Context(), at("a"))
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	if undo(take()); len(records(t, s)) != 0 {
		t.Errorf("an attempt that was taken back left %s", values(t, s))
	}
	for range 6 {
		take()
		c.later(time.Minute)
	}
	before := values(t, s)
	c.later(time.Minute)
	if undo(take()); values(t, s) != before {
		t.Errorf("an attempt that was taken back made of %s\n%s", before, values(t, s))
	}
	first, second := take(), throttle.Ticket{}
	c.later(4 * time.Second)
	second = take()
	undo(first)
	if _, err := node(t, s, c.now, throttle.Options{}).Take(t.Context(), at("a")); waitOf(t, err) != 4*time.Second {
		t.Errorf("of two attempts one was taken back: %v, want the wait of seven failures", err)
	}
	undo(second)
	undo(throttle.Ticket{})
}

// values are the counters of failures.
func values(t testing.TB, s store.Store) string {
	var all []string
	for _, r := range records(t, s) {
		if strings.HasPrefix(r.ID, "account") {
			all = append(all, string(r.Value))
		}
	}
	return strings.Join(all, " ")
}

// LOGIN-09: of many attempts at once on many nodes no more get through than one after
// another would.
func TestManyAtOnce(t *testing.T) {
	var c clock
	s := memory.New()
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		n := node(t, s, c.now, throttle.Options{PerSecond: 1000})
		for range 100 {
			wg.Go(func() {
				var throttled login.Throttled
				switch _, err := n.Take(context.Background(), at("a")); {
				case err == nil:
					taken.Add(1)
				case !errors.As(err, &throttled) && !errors.Is(err, login.ErrBusy):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := taken.Load(); n != 5 {
		t.Errorf("%d of 300 attempts at once were let through, want 5", n)
	}
}

// LOGIN-09: the nodes on one store have one budget, per address and in all. What comes
// by no network is not held up.
func TestOneBudget(t *testing.T) {
	var c clock
	s := memory.New()
	var nodes []*throttle.Throttle
	for range 3 {
		nodes = append(nodes, node(t, s, c.now, throttle.Options{PerSecond: 60})) // of them 15 are for known devices
	}
	allowed := func(guess func(n int) throttle.Guess) (n int) {
		for attempt := range 120 {
			if _, err := nodes[attempt%3].Take(t.Context(), guess(attempt)); waitOf(t, err) == 0 {
				n++
			}
		}
		return n
	}
	if n := allowed(func(n int) throttle.Guess {
		return throttle.Guess{Address: netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", n))}
	}); n != 20 {
		t.Errorf("%d attempts from one /64, want 20", n)
	}
	c.later(time.Minute)
	if n := allowed(func(n int) throttle.Guess { return at(fmt.Sprint("name", n)) }); n != 45 {
		t.Errorf("%d attempts in all, want 45", n)
	}
	if n := allowed(func(n int) throttle.Guess { return throttle.Guess{Account: fmt.Sprint("change", n), Local: true} }); n != 120 {
		t.Errorf("%d attempts by no network, want 120", n)
	}
	c.later(time.Second)
	if n := allowed(func(int) throttle.Guess { return at("") }); n != 45 {
		t.Errorf("%d attempts in the next second, want 45", n)
	}
}

// A flood from one address, or on one account, is a flood of neither reads nor commits.
func TestFloodCostsLittle(t *testing.T) {
	var c clock
	s := storetest.Faulty(memory.New())
	n := node(t, s, c.now, throttle.Options{})
	address := at("").Address
	for attempt := range 1000 {
		_, err := n.Take(t.Context(), throttle.Guess{Account: fmt.Sprint(attempt), Address: address})
		waitOf(t, err)
	}
	if reads, commits := s.Calls(storetest.OpGet), s.Calls(storetest.OpCommit); reads > 60 || commits != 20 {
		t.Errorf("1000 attempts from one address: %d reads and %d commits, want 20 commits", reads, commits)
	}
	for range 5 {
		c.later(time.Minute)
		if _, err := n.Take(t.Context(), at("a")); err != nil {
			t.Fatal(err)
		}
	}
	reads, commits := s.Calls(storetest.OpGet), s.Calls(storetest.OpCommit)
	for range 1000 {
		if _, err := n.Take(t.Context(), at("a")); waitOf(t, err) == 0 {
			t.Fatal("an account that waits was let in")
		}
	}
	if reads, commits = s.Calls(storetest.OpGet)-reads, s.Calls(storetest.OpCommit)-commits; reads > 3 || commits != 0 {
		t.Errorf("1000 attempts on an account that waits: %d reads, %d commits, want one look", reads, commits)
	}
}

// A login that succeeds ends the wait on its node at once.
func TestSuccessHere(t *testing.T) {
	var c clock
	n := node(t, memory.New(), c.now, throttle.Options{})
	var ticket throttle.Ticket
	for range 8 {
		c.later(time.Minute)
		var err error
		if ticket, err = n.Take(t.Context(), at("a")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Take(t.Context(), at("a")); waitOf(t, err) == 0 {
		t.Error("nobody waits after eight failures")
	}
	if err := ticket.Succeeded(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Take(t.Context(), at("a")); err != nil {
		t.Errorf("after it = %v", err)
	}
}

// A login that succeeds on one node ends the wait on another, at the latest a second
// later.
func TestSuccessElsewhere(t *testing.T) {
	var c clock
	s := memory.New()
	a, b := node(t, s, c.now, throttle.Options{}), node(t, s, c.now, throttle.Options{})
	for range 8 {
		c.later(time.Minute)
		if _, err := a.Take(t.Context(), at("a")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Take(t.Context(), at("a")); waitOf(t, err) == 0 {
		t.Error("b does not know of a's failures")
	}
	c.later(8 * time.Second)
	ticket, err := a.Take(t.Context(), at("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Take(t.Context(), at("a")); waitOf(t, err) == 0 {
		t.Error("b does not know of a's attempt")
	}
	if err := ticket.Succeeded(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.later(time.Second)
	if _, err := b.Take(t.Context(), at("a")); err != nil {
		t.Errorf("b = %v", err)
	}
}

// Without the store nothing may be checked, and that is an outage. Whatever became of
// the commit, the attempt is not free.
func TestOutage(t *testing.T) {
	var c clock
	for _, fault := range []storetest.Fault{{}, {Op: storetest.OpCommit}, {Op: storetest.OpCommit, Lost: true}, {Op: storetest.OpCommit, Err: store.ErrLost}} {
		s := storetest.Faulty(memory.New())
		n := node(t, s, c.now, throttle.Options{})
		s.Inject(fault)
		if _, err := n.Take(t.Context(), at("a")); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, login.ErrRefused) {
			t.Errorf("%+v: %v, want ErrUnavailable", fault, err)
		}
		s.Heal()
		if taken := len(values(t, s)) > 0; taken != fault.Lost {
			t.Errorf("%+v: counted %v", fault, taken)
		}
	}
}

// Nodes that run into each other for ever answer that they are busy.
func TestConflictsEnd(t *testing.T) {
	var c clock
	s := storetest.Faulty(memory.New())
	n := node(t, s, c.now, throttle.Options{})
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Err: store.ErrConflict})
	if _, err := n.Take(t.Context(), at("a")); !errors.Is(err, login.ErrBusy) || s.Calls(storetest.OpCommit) > 20 {
		t.Errorf("Take = %v after %d commits", err, s.Calls(storetest.OpCommit))
	}
	s.Heal()
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Err: store.ErrConflict, Times: 3})
	if _, err := n.Take(t.Context(), at("a")); err != nil {
		t.Errorf("Take after three conflicts = %v", err)
	}
}

// Nodes whose clocks differ by half a minute neither lock anybody out nor let more
// through; a clock that is an hour ahead is not waited for.
func TestClocksDiffer(t *testing.T) {
	for _, ahead := range []time.Duration{30 * time.Second, time.Hour} {
		var c clock
		s := memory.New()
		fast := node(t, s, func() time.Time { return c.now().Add(ahead) }, throttle.Options{})
		slow := node(t, s, c.now, throttle.Options{})
		taken := 0
		for range 300 { // one every tenth of a second, of everybody
			c.later(100 * time.Millisecond)
			for _, n := range []*throttle.Throttle{fast, slow} {
				if _, err := n.Take(t.Context(), at("")); err != nil {
					t.Fatalf("%v ahead: %v", ahead, err)
				}
			}
		}
		for range 300 { // as fast as it goes
			for _, n := range []*throttle.Throttle{fast, slow} {
				if _, err := n.Take(t.Context(), at("")); err == nil {
					taken++
				}
			}
		}
		if taken > 60 && ahead < time.Minute {
			t.Errorf("%v ahead: %d at once, want about 50", ahead, taken)
		}
		for range 5 {
			c.later(time.Second)
			if _, err := fast.Take(t.Context(), at("a")); err != nil {
				t.Fatalf("%v ahead: %v", ahead, err)
			}
		}
		c.later(time.Second)
		if _, err := slow.Take(t.Context(), at("a")); waitOf(t, err) > ahead+time.Second || waitOf(t, err) > time.Minute+time.Second {
			t.Errorf("%v ahead: %v", ahead, err)
		}
	}
}

// Few failures are forgotten after an hour, many after a day.
func TestForgotten(t *testing.T) {
	var c clock
	s := memory.New()
	n := node(t, s, c.now, throttle.Options{})
	for _, step := range []struct {
		failures int
		after    time.Duration
		left     int // records after sweeping
	}{{4, 59 * time.Minute, 1}, {4, 62 * time.Minute, 0}, {5, 23 * time.Hour, 1}, {5, 25 * time.Hour, 0}} {
		for range step.failures {
			if _, err := n.Take(t.Context(), throttle.Guess{Account: "a", Local: true}); err != nil {
				t.Fatal(err)
			}
		}
		c.later(step.after)
		if _, err := s.Sweep(t.Context(), c.now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		if left := len(records(t, s)); left != step.left {
			t.Errorf("%v after %d failures: %d records, want %d", step.after, step.failures, left, step.left)
		}
		c.later(48 * time.Hour)
	}
}

// The counters of a flood of made-up names stay below what tally.go says, at a
// two-hundredth of the rate: 900 in an hour, each fifth of them kept for 23 hours more.
// Nothing in them is a name.
func TestWorstSize(t *testing.T) {
	const perHour = 900
	var c clock
	s := memory.New()
	one := node(t, s, c.now, throttle.Options{})
	most := 0
	for hour := range 26 {
		for n := range perHour {
			name := fmt.Sprintf("made up %d %d", hour, n/5)
			if hour == 25 {
				name = fmt.Sprintf("made up %d %d", hour, n)
			}
			c.later(time.Hour / perHour)
			if _, err := one.Take(t.Context(), at(name)); err != nil {
				t.Fatal(err)
			}
			if n%20 == 0 {
				if _, err := s.Sweep(t.Context(), c.now().Add(-time.Minute)); err != nil {
					t.Fatal(err)
				}
			}
		}
		most = max(most, len(records(t, s)))
	}
	const limit = perHour + 23*perHour/5 + perHour/20 // and those that wait for the next sweep
	if most > limit || most < perHour*5 {
		t.Errorf("%d records, want at most %d", most, limit)
	}
	size := 0
	for _, r := range records(t, s) {
		if size += len(r.ID) + len(r.Value); strings.Contains(r.ID+string(r.Value), "made up") || strings.Contains(r.ID, "10.") {
			t.Fatalf("%s holds a name: %s", r.ID, r.Value)
		}
	}
	if size /= len(records(t, s)); size > 150 {
		t.Errorf("%d bytes a record", size)
	}
}

package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// stranger is a guess from a /64 that nobody else has, in a /48 that nobody else has.
func stranger(account string) throttle.Guess {
	n := addresses.Add(1)
	return throttle.Guess{Account: account, Address: netip.MustParseAddr(fmt.Sprintf("2001:%x:%x::1", n>>16&0xffff, n&0xffff))}
}

// LOGIN-09: strangers who have as many networks as they like use up their own part. An owner
// with a known device signs in 20 of 20 times, on any node.
func TestReserve(t *testing.T) {
	var c clock
	s := memory.New()
	nodes := []*throttle.Throttle{node(t, s, c.now, throttle.Options{}), node(t, s, c.now, throttle.Options{})}
	owner := stranger("owner")
	owner.Device = nodes[0].Device("owner", secret.String{})
	signedIn, taken := 0, 0
	for n := range 20 {
		for range 3 * 24 {
			if _, err := nodes[n%2].Take(t.Context(), stranger(fmt.Sprint("name", addresses.Load()))); waitOf(t, err) == 0 {
				taken++
			}
		}
		ticket, err := nodes[n%2].Take(t.Context(), owner)
		if waitOf(t, err) == 0 && ticket.Known() {
			if signedIn++; ticket.Succeeded(t.Context()) != nil {
				t.Fatal("Succeeded fails")
			}
		}
		c.later(250 * time.Millisecond)
	}
	if signedIn != 20 {
		t.Errorf("the owner signed in %d of 20 times", signedIn)
	}
	if taken < 38 || taken > 38+5*38 { // a second's worth at once, and then for five seconds
		t.Errorf("%d attempts of strangers were let through in five seconds, want about 228 at most", taken)
	}
}

// LOGIN-09: known devices have what strangers leave, too; those of one account together have
// no more than one address.
func TestKnownDevicesOfOneAccount(t *testing.T) {
	var c clock
	n := node(t, memory.New(), c.now, throttle.Options{PerSecond: 1000})
	taken := 0
	for range 40 {
		g := stranger("owner")
		g.Device = n.Device("owner", secret.String{})
		if _, err := n.Take(t.Context(), g); waitOf(t, err) == 0 {
			taken++
		}
	}
	if taken != 20 {
		t.Errorf("%d attempts by devices of one account, want 20", taken)
	}
	few := node(t, memory.New(), c.now, throttle.Options{PerSecond: 8}) // 2 of them for known devices
	taken = 0
	for name := range 20 {
		g := stranger(fmt.Sprint("name", name))
		g.Device = few.Device(g.Account, secret.String{})
		if _, err := few.Take(t.Context(), g); waitOf(t, err) == 0 {
			taken++
		}
	}
	if taken != 8 {
		t.Errorf("%d attempts of known devices, want all 8", taken)
	}
}

// LOGIN-09: who has stolen one device credential of an account, and never stops, does not keep the
// owner's other devices out.
func TestStolenDevice(t *testing.T) {
	var c clock
	n := node(t, memory.New(), c.now, throttle.Options{PerSecond: 1000})
	thief, owner := stranger("owner"), stranger("owner")
	thief.Device, owner.Device = n.Device("owner", secret.String{}), n.Device("owner", secret.String{})
	for second := range 600 {
		for range 5 {
			_, _ = n.Take(t.Context(), thief)
		}
		if second%60 == 59 {
			ticket, err := n.Take(t.Context(), owner)
			if err != nil {
				t.Fatalf("after %d s the owner was told %v", second, err)
			}
			if err := ticket.Succeeded(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.later(time.Second)
	}
}

// LOGIN-09: one /48 has half of what strangers have, whatever the number of its /64s.
func TestOneNetwork(t *testing.T) {
	var c clock
	s := memory.New()
	n := node(t, s, c.now, throttle.Options{})
	fromNetwork, fromElsewhere := 0, 0
	for second := range 10 {
		for k := range 100 {
			g := throttle.Guess{Address: netip.MustParseAddr(fmt.Sprintf("2001:db8:7:%x::1", second*100+k))}
			if _, err := n.Take(t.Context(), g); waitOf(t, err) == 0 {
				fromNetwork++
			}
		}
		for range 10 {
			if _, err := n.Take(t.Context(), stranger("")); waitOf(t, err) == 0 {
				fromElsewhere++
			}
		}
		c.later(time.Second)
	}
	if fromNetwork > 190 || fromNetwork < 180 || fromElsewhere != 100 {
		t.Errorf("%d of one /48 and %d of 100 from elsewhere were let through in ten seconds, want 190 and 100", fromNetwork, fromElsewhere)
	}
}

// LOGIN-09: an attempt that nobody checked leaves no trace, in the store or on this node: who
// was told that the server is busy does not wait for it, and strangers who make it busy keep
// nobody waiting longer.
func TestUndoRestoresEverything(t *testing.T) {
	var c clock
	s := memory.New()
	n := node(t, s, c.now, throttle.Options{PerSecond: 10})
	for range 6 {
		c.later(time.Minute)
		if _, err := n.Take(t.Context(), at("a")); err != nil {
			t.Fatal(err)
		}
	}
	before := values(t, s)
	c.later(10 * time.Second)
	guess := at("a")
	for attempt := range 100 { // more than the address and all have room for
		ticket, err := n.Take(t.Context(), guess)
		if err != nil {
			t.Fatalf("attempt %d = %v", attempt, err)
		}
		if _, err := n.Take(t.Context(), at("a")); waitOf(t, err) == 0 { // and this node knows it
			t.Fatal("two attempts at once")
		}
		if err := ticket.Undo(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := values(t, s); after != before {
			t.Fatalf("after %d attempts that nobody checked %s, before %s", attempt+1, after, before)
		}
	}
}

// LOGIN-04, LOGIN-09: who breaks an attempt off has guessed nothing, and has no more attempts
// than others: it had a place in the queue.
func TestWhoGoesAway(t *testing.T) {
	var c clock
	n := node(t, memory.New(), c.now, throttle.Options{PerSecond: 1000})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	taken := 0
	here := throttle.Guess{Account: "a", Address: netip.MustParseAddr("192.0.2.7")}
	for range 100 {
		ticket, err := n.Take(t.Context(), here)
		if waitOf(t, err) > 0 {
			continue
		}
		taken++
		if err := ticket.Undo(gone); err != nil {
			t.Fatal(err)
		}
	}
	if taken != 20 {
		t.Errorf("one address had %d attempts that it broke off, want 20", taken)
	}
	elsewhere := stranger("a")
	if _, err := n.Take(t.Context(), elsewhere); err != nil {
		t.Errorf("after attempts that were broken off the account answers another address %v", err)
	}
}

// Two attempts that overlap and are both taken back leave the time of neither.
func TestUndoOfTwo(t *testing.T) {
	var c clock
	s := memory.New()
	n := node(t, s, c.now, throttle.Options{})
	if _, err := n.Take(t.Context(), at("a")); err != nil {
		t.Fatal(err)
	}
	before := values(t, s)
	var tickets []throttle.Ticket
	for range 2 {
		c.later(time.Minute)
		ticket, err := n.Take(t.Context(), at("a"))
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for _, n := range []int{1, 0} {
		if err := tickets[n].Undo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := values(t, s); after != before {
		t.Errorf("after both %s, before %s", after, before)
	}
}

// LOGIN-09: two attempts that overlap and are both taken back, the earlier or the later one
// first, keep nobody waiting.
func TestUndoInEitherOrder(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		var c clock
		n := node(t, memory.New(), c.now, throttle.Options{})
		var tickets []throttle.Ticket
		for range 8 {
			c.later(time.Minute)
			ticket, err := n.Take(t.Context(), at("a"))
			if err != nil {
				t.Fatal(err)
			}
			tickets = append(tickets, ticket)
		}
		for _, last := range order {
			if err := tickets[6+last].Undo(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.Take(t.Context(), at("a")); err != nil {
			t.Errorf("in the order %v: the next attempt = %v", order, err)
		}
	}
}

// hanging is a store that answers when it is told to.
type hanging struct {
	store.Store
	answer chan struct{}
}

func (h hanging) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	select {
	case <-h.answer:
		return h.Store.Get(ctx, keys...)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// LOGIN-04: while the store hangs, nobody waits longer than its caller wants, the queue has an
// end, and what was left is not counted.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memory.New()
		s := hanging{inner, make(chan struct{})}
		n := node(t, s, time.Now, throttle.Options{PerSecond: 10_000})
		var wg sync.WaitGroup
		var mu sync.Mutex
		busy, ended := 0, 0
		began := time.Now()
		for range 2000 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := n.Take(ctx, at("a"))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, login.ErrBusy):
					busy++
				case errors.Is(err, counterfoil.ErrUnavailable):
					ended++
				default:
					t.Errorf("Take = %v", err)
				}
			})
		}
		wg.Wait()
		if waited := time.Since(began); waited != time.Second || ended > 600 || busy+ended != 2000 {
			t.Errorf("after %v %d were told that the server is busy and %d of an outage", waited, busy, ended)
		}
		close(s.answer)
		synctest.Wait()
		if left := values(t, inner); left != "" {
			t.Errorf("attempts whose callers had gone are counted: %s", left)
		}
		if _, err := n.Take(t.Context(), at("a")); err != nil {
			t.Errorf("Take afterwards = %v", err)
		}
	})
}

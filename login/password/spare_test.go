package password_test

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store/memory"
)

// gated starts processes that hash nothing until their gate is closed: like one to which the system gives no
// processor time.
type gated struct {
	gates map[int]*os.File // the write ends, by slot
	begun chan int         // the slots of processes that are about to start
}

func newGated(t *testing.T, slots int) (g *gated, worker func(int) *exec.Cmd) {
	t.Helper()
	g = &gated{map[int]*os.File{}, make(chan int, slots)}
	reads := map[int]*os.File{}
	for n := range slots {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		reads[n], g.gates[n] = r, w
	}
	return g, func(slot int) *exec.Cmd {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), "PASSWORD_TEST_WORKER=gated")
		c.ExtraFiles = []*os.File{reads[slot]}
		g.begun <- slot
		return c
	}
}

// waitAtGate waits until the gate is open, in a process that newGated starts.
func waitAtGate() error {
	_, err := io.Copy(io.Discard, os.NewFile(3, "gate"))
	return err
}

// LOGIN-04: of logins at once, the one whose process gets no processor time has its answer from slot 0, which does it
// again once it has done its own. So do all that come after it. What the other process says in the end is an answer to nothing, and
// the process goes on.
func TestSlotZeroDoesWhatIsLateAgain(t *testing.T) {
	const others = 2
	g, worker := newGated(t, 1+others)
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	p := newProver(t, db, users, newThrottle(t, db, nil), password.Options{Slots: 1 + others, Worker: worker})
	choose := func() {
		if hash, err := p.Choose(t.Context(), netip.MustParseAddr("192.0.2.1"), "carol", "", secret.New(good)); err != nil || hash == "" {
			t.Errorf("Choose = %q, %v", hash, err)
		}
	}
	var all sync.WaitGroup
	for range 1 + others {
		all.Go(choose)
	}
	for range 1 + others {
		<-g.begun
	}
	open := func(slot int) {
		if err := g.gates[slot].Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
	open(0)
	all.Wait() // slots 1 and 2 have done nothing
	choose()
	if load := p.Load(); load.Running != 0 || load.Waiting != 0 {
		t.Errorf("after all answers the load is %+v", load)
	}
	if n := p.Doubled(); n != others {
		t.Errorf("%d jobs were done again, want %d", n, others)
	}
	for n := range others {
		open(1 + n)
	}
	for range 1 + others {
		all.Go(choose)
	}
	all.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Where each slot gets its time, nothing is done again, also in a flood. A job that gets none is done again when it has
// run for twice as long as slot 0 needs: it takes three times as long at most, and no other waits for it.
func TestJobsThatAreLate(t *testing.T) {
	const each = 100 * time.Millisecond
	for name, c := range map[string]struct {
		slots    []time.Duration
		units    []int // of the jobs of each attempt
		attempts int
		doubled  int
		all      time.Duration
	}{
		"each gets its time":      {[]time.Duration{each, each, each}, []int{1}, 30, 0, 10 * each},
		"one is slower":           {[]time.Duration{each, 3 * each / 2}, []int{1}, 30, 0, 18 * each},
		"one gets none":           {[]time.Duration{each, time.Hour}, []int{1}, 2, 1, 3 * each},
		"two get none":            {[]time.Duration{each, time.Hour, time.Hour}, []int{1}, 3, 2, 4 * each},
		"of one kind and another": {[]time.Duration{each, 3 * each / 2}, []int{10, 1}, 30, 0, 18 * 11 * each},
		"a flood":                 {[]time.Duration{each, time.Hour}, []int{1}, 30, 1, 30 * each},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempt, doubled := password.Sleepers(c.slots...)
				began := time.Now()
				var all sync.WaitGroup
				for range c.attempts {
					all.Go(func() { attempt(c.units...) })
				}
				all.Wait()
				if took := time.Since(began); took != c.all || doubled() != c.doubled {
					t.Errorf("%d attempts took %v, and %d were done again, want %v and %d", c.attempts, took, doubled(), c.all, c.doubled)
				}
				time.Sleep(time.Hour) // the others end, too
			})
		})
	}
}

// What has had its answer is kept by nothing: a password does not stay in memory until the next one comes.
func TestAnsweredPasswordsAreForgotten(t *testing.T) {
	forgotten, stay := password.Forgotten()
	defer stay()
	for {
		runtime.GC()
		select {
		case <-forgotten:
			return
		default:
		}
	}
}

package password_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store/memory"
)

// TestMain lets this program be its own worker.
func TestMain(m *testing.M) {
	if how := os.Getenv("PASSWORD_TEST_WORKER"); how != "" {
		if how == "gated" {
			if err := waitAtGate(); err != nil {
				os.Exit(1)
			}
		}
		if err := password.Work(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	testsvc.Main(m)
}

// workers makes passwords that are hashed in another process, whose id is in pid.
func workers(t *testing.T, start func(int) *exec.Cmd) (prover, *directory.Directory) {
	t.Helper()
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	return newProver(t, db, users, newThrottle(t, db, nil), password.Options{Slots: 1, Worker: start}), users
}

// A password means the same whichever process hashes it, bytes that are no text
// included; a process that was killed is replaced, and Close leaves none.
func TestWorker(t *testing.T) {
	var started []*exec.Cmd
	p, users := workers(t, self(&started))
	if _, err := register(t.Context(), p, users, nowhere, "carol", "", good); err != nil {
		t.Fatal(err)
	}
	try := func(pass string, want error) {
		t.Helper()
		if _, err := p.Prove(t.Context(), attempt("carol", pass)); !errors.Is(err, want) {
			t.Fatalf("Prove(%q) = %v, want %v", pass, err, want)
		}
	}
	try(good, nil)
	try(good+"\xff", login.ErrRefused)
	if len(started) != 1 {
		t.Fatalf("%d processes were started, want 1", len(started))
	}
	if err := started[0].Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	try(good, nil)
	if len(started) != 2 {
		t.Fatalf("%d processes were started, want 2", len(started))
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if state := started[1].ProcessState; state == nil || !state.Success() {
		t.Errorf("after Close the process is %v, want a clean exit", state)
	}
}

// self is a command that hashes. It is appended to started.
func self(started *[]*exec.Cmd) func(int) *exec.Cmd {
	return func(int) *exec.Cmd {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), "PASSWORD_TEST_WORKER=1")
		*started = append(*started, c)
		return c
	}
}

func ended(c *exec.Cmd) bool {
	return errors.Is(c.Process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// A process ends after 30 seconds without a job. A job that comes in the same moment is done, by
// that process or by another; none is lost, and none is refused. At the end no process is left.
func TestWorkerEndsAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started []*exec.Cmd
		p, users := workers(t, self(&started))
		if _, err := register(t.Context(), p, users, nowhere, "carol", "", good); err != nil {
			t.Fatal(err)
		}
		try := func(pass string, want error) {
			t.Helper()
			if _, err := p.Prove(t.Context(), attempt("carol", pass)); !errors.Is(err, want) {
				t.Fatalf("Prove(%q) = %v, want %v", pass, err, want)
			}
		}
		time.Sleep(29 * time.Second)
		try(good, nil) // the time begins anew
		time.Sleep(29 * time.Second)
		if synctest.Wait(); len(started) != 1 || ended(started[0]) {
			t.Fatalf("%d processes were started, want one that runs", len(started))
		}
		time.Sleep(time.Second)
		if synctest.Wait(); !ended(started[0]) {
			t.Fatal("after 30 s without a job the process runs")
		}
		for range 4 { // no Wait: the job and the end begin together
			try(good, nil)
			try(good+"!", login.ErrRefused)
			time.Sleep(30 * time.Second)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		for n, c := range started {
			if c.ProcessState == nil || !c.ProcessState.Success() {
				t.Errorf("after Close process %d is %v, want a clean exit", n, c.ProcessState)
			}
		}
	})
}

// While hashes are wanted one after another, one process hashes, however many may: the one of slot 0,
// which gets its share of a busy machine.
func TestLittleWorkTakesOneProcess(t *testing.T) {
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	var started []*exec.Cmd
	var slots []int
	start := self(&started)
	p := newProver(t, db, users, newThrottle(t, db, nil), password.Options{Slots: 4, Worker: func(slot int) *exec.Cmd {
		slots = append(slots, slot)
		return start(slot)
	}})
	for range 8 {
		if _, err := p.Choose(t.Context(), nowhere, "carol", "", secret.New(good)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(slots, []int{0}) {
		t.Errorf("processes were started for slots %v, want one for slot 0", slots)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// held is the memory of this process that Go does not return to the system.
func held() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapSys - m.HeapReleased)
}

// After a second without a job a process that hashes has given the memory of the hash back.
func TestWorkReturnsMemory(t *testing.T) {
	const block = 64 << 20
	synctest.Test(t, func(t *testing.T) {
		debug.FreeOSMemory()
		before := held()
		in, write := io.Pipe()
		read, out := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- password.Work(in, out) }()
		answers := json.NewDecoder(read)
		for range 3 {
			if _, err := io.WriteString(write, `{"Password":"eA==","Policy":"m=65536,t=1,p=1"}`); err != nil {
				t.Fatal(err)
			}
			var answer struct{ Hash string }
			if err := answers.Decode(&answer); err != nil || answer.Hash == "" {
				t.Fatalf("Work answers %+v, %v", answer, err)
			}
		}
		synctest.Wait()
		if grown := held() - before; grown > block*3/2 {
			t.Errorf("after three hashes of %d bytes the process holds %d, want one block", block, grown)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if grown := held() - before; grown > block/2 {
			t.Errorf("a second after the last hash the process holds %d bytes more than before, want less than a block of %d", grown, block)
		}
		_ = write.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A program that cannot hash is an outage, not a wrong password, and is not tried for ever.
func TestWorkerThatFails(t *testing.T) {
	var started atomic.Int32
	p, _ := workers(t, func(int) *exec.Cmd { started.Add(1); return exec.Command("true") })
	_, err := p.Prove(t.Context(), attempt("carol", good))
	if !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, login.ErrRefused) || started.Load() != 1 {
		t.Errorf("Prove = %v after %d starts, want ErrUnavailable after 1", err, started.Load())
	}
	p, _ = workers(t, func(int) *exec.Cmd { return exec.Command("/nonexistent") })
	if _, err = p.Prove(t.Context(), attempt("carol", good)); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, login.ErrRefused) {
		t.Errorf("Prove = %v, want ErrUnavailable", err)
	}
}

// LOGIN-05 holds on the other side of the pipe too.
func TestWorkRefusesHostileHash(t *testing.T) {
	in, write := io.Pipe()
	read, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- password.Work(in, out) }()
	if _, err := io.WriteString(write, `{"Password":"eA==","Stored":"$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Match bool
		Error string
	}
	if err := json.NewDecoder(read).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Match || answer.Error == "" {
		t.Errorf("Work answers %+v, want an error", answer)
	}
	_ = write.Close()
	if err := <-done; err != nil {
		t.Errorf("Work = %v at the end of its input, want nil", err)
	}
}

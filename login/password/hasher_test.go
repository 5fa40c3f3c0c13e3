package password_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store/memory"
)

// TestMain lets this program be its own worker.
func TestMain(m *testing.M) {
	if os.Getenv("PASSWORD_TEST_WORKER") != "" {
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
	p, users := workers(t, func(int) *exec.Cmd {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), "PASSWORD_TEST_WORKER=1")
		started = append(started, c)
		return c
	})
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

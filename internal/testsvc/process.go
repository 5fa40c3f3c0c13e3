package testsvc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is one server that may be ended and started again on its data.
type process struct {
	path  string
	args  []string
	dir   string
	owner *syscall.Credential // nil: ours
	stop  syscall.Signal      // asks it to end in order
	ready func() error        // nil once the server answers

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs the server and returns when it answers.
func (p *process) start() error { return p.startIn(startWithin) }

func (p *process) startIn(within time.Duration) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Dir, p.cmd.Env = "/", []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = attributes(p.owner)
	p.done = make(chan struct{})
	started := make(chan error)
	go func(cmd *exec.Cmd, done chan struct{}) {
		// The kernel ends the server when the thread that forked it ends, so this
		// goroutine keeps its thread for as long as the server runs.
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}(p.cmd, p.done)
	if err := <-started; err != nil {
		return err
	}
	return p.await(within)
}

func (p *process) await(within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		err := p.ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.failed("ended at once", err)
		case <-time.After(pollEvery):
		}
		if time.Now().After(deadline) {
			p.signal(syscall.SIGKILL)
			<-p.done
			return p.failed("does not answer", err)
		}
	}
}

func (p *process) failed(how string, err error) error {
	log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return fmt.Errorf("%s %s: %w\n%s", filepath.Base(p.path), how, err, log[max(0, len(log)-2000):])
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(fmt.Sprintf("testsvc: signal %s: %v", filepath.Base(p.path), err))
	}
}

// kill is kill -9: what was not flushed by the server is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// end asks the server to stop, and waits.
func (p *process) end() {
	p.signal(p.stop)
	select {
	case <-p.done:
	case <-time.After(startWithin):
		p.kill()
	}
}

// again starts the ended server on its data and its port. Its last children may
// still be dying, so one refusal is no failure. One that was killed first reads what it had
// written, which takes as long as there is of it.
func (p *process) again() error {
	deadline := time.Now().Add(startWithin)
	for {
		err := p.startIn(recoverWithin)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollEvery)
	}
}

func (p *process) remove() { _ = os.RemoveAll(p.dir) }

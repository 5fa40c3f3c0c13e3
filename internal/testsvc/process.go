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

// process is a server that a test can end and start again on the same data.
type process struct {
	path  string
	args  []string
	dir   string
	owner *syscall.Credential // nil: the current user
	stop  syscall.Signal      // asks the server to shut down
	ready func() error        // returns nil once the server answers

	cmd  *exec.Cmd
	done chan struct{} // closed when the server has ended
}

// start runs the server and returns when it answers.
func (p *process) start() error { return p.startIn(startWithin) }

func (p *process) startIn(within time.Duration) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own descriptor
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Dir, p.cmd.Env = "/", []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = attributes(p.owner)
	p.done = make(chan struct{})
	started := make(chan error)
	go func(cmd *exec.Cmd, done chan struct{}) {
		// The kernel ends the server when the thread that forked it ends. So this goroutine
		// keeps its thread while the server runs.
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
	err := await(p.done, within, p.ready)
	if errors.Is(err, errEnded) {
		return p.failed(err)
	}
	if err != nil {
		p.signal(syscall.SIGKILL)
		<-p.done
		return p.failed(err)
	}
	return nil
}

var errEnded = errors.New("ended at once")

// await returns when a server is ready, or has ended, or is not ready in time. No server of
// another project says when it is, so await tries.
func await(ended <-chan struct{}, within time.Duration, ready func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%w: %w", errEnded, err)
		case <-time.After(pollEvery):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("does not answer: %w", err)
		}
	}
}

func (p *process) failed(err error) error {
	log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return fmt.Errorf("%s %w\n%s", filepath.Base(p.path), err, log[max(0, len(log)-2000):])
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(fmt.Sprintf("testsvc: signal %s: %v", filepath.Base(p.path), err))
	}
}

// kill kills the server with SIGKILL, and waits until it has ended.
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

// again starts the ended server on the same data and port. The last children of the old
// process may still be ending, so again retries. A server that was killed reads its log first,
// which takes long if the log is long.
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

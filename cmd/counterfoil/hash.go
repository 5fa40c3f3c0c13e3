package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/counterfoil/counterfoil/login/password"
)

// hashCommand is the process that hashes passwords for a server (password.Work).
type hashCommand struct {
	Spare bool `help:"Run only while the machine is idle."`
}

// niceness of a process that hashes: checks of sessions are served first.
const niceness = 5

// Run serves until the server ends, which closes standard input. A signal that
// reaches the whole process group does not end it: the server may be draining.
func (h hashCommand) Run() error {
	signal.Ignore(syscall.SIGHUP) // of a terminal that is closed
	runtime.GOMAXPROCS(1)
	yield := beNice
	if h.Spare {
		yield = beIdle
	}
	if err := eachThread(yield); err != nil {
		return err
	}
	return password.Work(os.Stdin, os.Stdout)
}

// eachThread calls f for each thread of this process. On Linux each thread has its own priority,
// and a new thread gets the priority of the thread that starts it.
func eachThread(f func(id int) error) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return f(0) // not Linux: the whole process
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := f(id); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func beNice(id int) error { return syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness) }

// hashWorker returns a command that runs this program as hashCommand. On a busy machine only
// slot 0 gets processor time, so that logins go on. The other slots are idle processes, which
// give way to a check of a session at once. A nice process would first finish its time slice of
// a few milliseconds.
func hashWorker() (func(slot int) *exec.Cmd, error) {
	self := "/proc/self/exe" // the running program, also when an upgrade has replaced the file
	if _, err := os.Stat(self); err != nil {
		if self, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	return func(slot int) *exec.Cmd {
		c := exec.Command(self, "hash")
		if slot > 0 {
			c.Args = append(c.Args, "--spare")
		}
		c.Args[0] = os.Args[0]
		c.Env = []string{} // the process needs no secret from our environment
		c.Stderr = os.Stderr
		return c
	}, nil
}

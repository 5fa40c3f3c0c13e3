package main

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"github.com/counterfoil/counterfoil/login/password"
)

// hashCommand is the process that hashes passwords for a server (password.Work).
type hashCommand struct {
	Spare bool `help:"Take only processor time that nobody wants."`
}

// niceness of a process that hashes: whoever checks a session goes first.
const niceness = 5

// Run serves until the server ends, which closes standard input. A signal that
// reaches the whole process group does not end it: the server may be draining.
func (h hashCommand) Run() error {
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

// eachThread calls f for each thread of this process: on Linux each has a priority of
// its own, and gives it to those that it starts.
func eachThread(f func(id int) error) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return f(0) // another system: the process
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

// hashWorker returns a command that runs this program, the very one that runs now,
// as hashCommand. Only slot 0 has a share of a busy machine, so that logins go on
// there: a process of the others gives way to a check at once, which one that is
// merely nice does when its slice of a few milliseconds is over.
func hashWorker() (func(slot int) *exec.Cmd, error) {
	self := "/proc/self/exe" // also when the file was replaced by a newer one
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
		c.Env = []string{} // it needs no secret of ours
		c.Stderr = os.Stderr
		return c
	}, nil
}

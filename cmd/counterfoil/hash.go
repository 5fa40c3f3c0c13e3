package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"github.com/counterfoil/counterfoil/login/password"
)

// hashCommand is the process that hashes passwords for a server (password.Work).
type hashCommand struct{}

// niceness of a process that hashes: whoever checks a session goes first.
const niceness = 5

// Run serves until the server ends, which closes standard input. A signal that
// reaches the whole process group does not end it: the server may be draining.
func (hashCommand) Run() error {
	runtime.GOMAXPROCS(1)
	if err := yield(); err != nil {
		return err
	}
	return password.Work(os.Stdin, os.Stdout)
}

// yield lowers the priority of this process. On Linux each thread has one of its
// own, and gives it to those that it starts.
func yield() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// hashWorker returns a command that runs this program, the very one that runs now,
// as hashCommand.
func hashWorker() (func() *exec.Cmd, error) {
	self := "/proc/self/exe" // also when the file was replaced by a newer one
	if _, err := os.Stat(self); err != nil {
		if self, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	return func() *exec.Cmd {
		c := exec.Command(self, "hash")
		c.Args[0] = os.Args[0]
		c.Env = []string{} // it needs no secret of ours
		c.Stderr = os.Stderr
		return c
	}, nil
}

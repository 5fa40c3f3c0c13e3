package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// person is a person at a terminal, in which the program runs.
type person struct {
	*testing.T
	program  *exec.Cmd
	terminal *os.File // the side of the person
	shown    bytes.Buffer
}

// atTerminal runs the program in a new terminal.
func (s *shell) atTerminal(args ...string) *person {
	s.Helper()
	return s.terminal(s.command(args...))
}

// terminal runs c in a new terminal.
func (s *shell) terminal(c *exec.Cmd) *person {
	s.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = terminal.Close() })
	fd := int(terminal.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		s.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		s.Fatal(err)
	}
	inside, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		s.Fatal(err)
	}
	defer inside.Close()
	c.Stdin, c.Stdout, c.Stderr = inside, inside, inside
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = c.Process.Kill() })
	return &person{T: s.T, program: c, terminal: terminal}
}

// sees waits until the terminal shows text.
func (p *person) sees(text string) {
	p.Helper()
	for !strings.Contains(p.shown.String(), text) {
		if !p.read() {
			p.Fatalf("the program ended without %q:\n%s", text, &p.shown)
		}
	}
}

// read reads what the program writes next. It reports false when the program has ended.
func (p *person) read() bool {
	chunk := make([]byte, 4096)
	n, err := p.terminal.Read(chunk)
	p.shown.Write(chunk[:n])
	return err == nil // EIO: nobody has the other side open any more
}

func (p *person) types(text string) {
	p.Helper()
	if _, err := p.terminal.WriteString(text); err != nil {
		p.Fatal(err)
	}
}

// typesHidden types a secret when the terminal shows prompt and hides what is typed.
func (p *person) typesHidden(prompt, text string) {
	p.Helper()
	p.sees(prompt)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for p.echoes() {
		select {
		case <-p.Context().Done():
			p.Fatal("the terminal still shows what is typed")
		case <-look.C:
		}
	}
	p.types(text)
}

// echoes reports whether the terminal shows what is typed.
func (p *person) echoes() bool {
	p.Helper()
	state, err := unix.IoctlGetTermios(int(p.terminal.Fd()), unix.TCGETS)
	if err != nil {
		p.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// exits waits for the end of the program, and fails if it has another exit code.
func (p *person) exits(want int) {
	p.Helper()
	for p.read() {
	}
	_ = p.program.Wait()
	if got := p.program.ProcessState.ExitCode(); got != want {
		p.Fatalf("exit code %d, want %d:\n%s", got, want, &p.shown)
	}
}

// shell runs the program on a data folder of its own.
type shell struct {
	*testing.T
	data string
}

func newShell(t *testing.T) *shell {
	return &shell{t, t.TempDir()}
}

func (s *shell) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(s.Context(), "counterfoil", args...)
	c.Env = append(os.Environ(), "COUNTERFOIL_DATA="+s.data)
	return c
}

// run runs the program without a terminal, and returns what it prints.
func (s *shell) run(stdin string, want int, args ...string) (stdout, stderr string) {
	s.Helper()
	c := s.command(args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	_ = c.Run()
	if got := c.ProcessState.ExitCode(); got != want {
		s.Fatalf("counterfoil %s: exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, want, &out, &errs)
	}
	return out.String(), errs.String()
}

// serve runs a server until stop is called, or the test ends.
func (s *shell) serve() (address string, stop func()) {
	s.Helper()
	c := s.command("serve", "--listen", "127.0.0.1:0", "--ops-listen", "off")
	log, err := c.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	for address == "" {
		if !lines.Scan() {
			s.Fatal("the server does not start")
		}
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			address = line.Address
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, log)
	}()
	stop = sync.OnceFunc(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		<-drained
		_ = c.Wait()
	})
	s.Cleanup(stop)
	return address, stop
}

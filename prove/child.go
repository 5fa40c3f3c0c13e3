package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// childPlan tells a child what to run: a server or a verifier.
type childPlan struct {
	Place  string      `json:"place,omitempty"`
	Server *serverPlan `json:"server,omitempty"`

	URL      string        `json:"url,omitempty"`
	Audience string        `json:"audience,omitempty"`
	Dial     string        `json:"dial,omitempty"` // the address to connect to, instead of the host of URL
	Key      string        `json:"key,omitempty"`
	Bound    time.Duration `json:"bound,omitempty"`

	Clocks *clocksPlan `json:"clocks,omitempty"`
}

// childAsk is a command to a child. A server gets the step at which it kills itself. A
// verifier gets a request to verify.
type childAsk struct {
	KillAt int         `json:"kill_at,omitempty"`
	Header http.Header `json:"header,omitempty"`
}

type childAnswer struct {
	Key     string  `json:"key,omitempty"`
	Outcome outcome `json:"outcome,omitempty"`
}

// openFunc opens the store at a [Place] by its name.
type openFunc = func(ctx context.Context, place string) (store.Store, error)

// Child is the main function of the process that some scenarios stop or kill, and in which
// [Clocks] simulates time. It runs a verifier, or a server over a store that open opens by the
// name of a [Place]. It reads JSON from in and writes JSON to out. It returns when in ends.
func Child(ctx context.Context, in io.Reader, out io.Writer, open openFunc) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	var plan childPlan
	if err := questions.Decode(&plan); err != nil {
		return err
	}
	var answer func(childAsk) childAnswer
	var first childAnswer
	if plan.Clocks != nil {
		if err := answers.Encode(first); err != nil {
			return err
		}
		simulate(*plan.Clocks, out, open) // ends the process
	}
	if plan.Server != nil {
		s, err := open(ctx, plan.Place)
		if err != nil {
			return err
		}
		killer := &killer{Store: s}
		server, err := startServer(ctx, killer, *plan.Server)
		if err != nil {
			return errors.Join(err, s.Close())
		}
		defer s.Close()
		defer server.stop()
		first.Key = server.key
		answer = func(a childAsk) childAnswer { killer.arm(a.KillAt); return childAnswer{} }
	} else {
		v, err := childVerify(ctx, plan)
		if err != nil {
			return err
		}
		defer v.Close()
		answer = func(a childAsk) childAnswer {
			_, err := v.VerifyRequest(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: a.Header})
			return childAnswer{Outcome: outcomeOf(err)}
		}
	}
	if err := answers.Encode(first); err != nil {
		return err
	}
	for {
		var a childAsk
		if err := questions.Decode(&a); err != nil {
			return nil // the parent has ended, or closed the pipe
		}
		if err := answers.Encode(answer(a)); err != nil {
			return err
		}
	}
}

func childVerify(ctx context.Context, plan childPlan) (*counterfoil.Verifier, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", plan.Dial)
	}
	source, err := counterfoil.Remote(plan.URL, counterfoil.RemoteOptions{Credential: plan.Key, Transport: transport})
	if err != nil {
		return nil, err
	}
	return counterfoil.NewVerifier(ctx, source, counterfoil.Options{
		Issuer: plan.URL, Audience: plan.Audience, Bound: plan.Bound, InsecureCookies: true, Logger: quiet,
	})
}

// killer is a store that kills its process, as kill -9 does, at a chosen step. There is a
// step before and after each commit, and before and after each read, except reads of API keys:
// requests that have nothing to do with the revocation read them at any time.
type killer struct {
	store.Store
	mu   sync.Mutex // guards left
	left int        // steps until the kill; 0: not armed
}

func (f *killer) arm(at int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = at
}

func (f *killer) step() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return
	}
	if f.left--; f.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more of this call may run before the process ends
	}
}

// Get implements [store.Store].
func (f *killer) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	if keys[0].Kind == "apikey" {
		return f.Store.Get(ctx, keys...)
	}
	f.step()
	defer f.step()
	return f.Store.Get(ctx, keys...)
}

// Commit implements [store.Store].
func (f *killer) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	f.step()
	defer f.step()
	return f.Store.Commit(ctx, b)
}

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	ended  chan struct{} // closed when the process has ended

	mu  sync.Mutex // one command at a time
	in  *json.Encoder
	out *json.Decoder
}

func startChild(command []string, plan childPlan) (*process, childAnswer, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, childAnswer{}, err
	}
	// Not StdoutPipe: Wait would close it while ask reads from it.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, childAnswer{}, err
	}
	p.cmd.Stdout = write
	if err := p.cmd.Start(); err != nil {
		return nil, childAnswer{}, errors.Join(err, read.Close(), write.Close())
	}
	_ = write.Close()
	p.in, p.out = json.NewEncoder(p.stdin), json.NewDecoder(read)
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	var first childAnswer
	err = p.in.Encode(plan)
	if err == nil {
		err = p.out.Decode(&first)
	}
	if err != nil {
		p.kill()
		return nil, first, fmt.Errorf("child: %w: %s", err, p.stderr.String())
	}
	return p, first, nil
}

func (p *process) ask(a childAsk) (childAnswer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var got childAnswer
	err := p.in.Encode(a)
	if err == nil {
		err = p.out.Decode(&got)
	}
	return got, err
}

// kill kills the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.stdin.Close()
}

// childVerifier is a verifier in another process.
type childVerifier struct{ *process }

// VerifyRequest sends the request to the process. While the process is stopped, it waits.
func (c childVerifier) VerifyRequest(r *http.Request) (*counterfoil.Session, error) {
	got, err := c.ask(childAsk{Header: r.Header})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err)
	}
	switch got.Outcome {
	case accepted:
		return &counterfoil.Session{}, nil
	case refused:
		return nil, counterfoil.ErrInvalidToken
	}
	return nil, counterfoil.ErrStale
}

func (c childVerifier) Close() { c.kill() }

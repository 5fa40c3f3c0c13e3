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

// childPlan is what a child is: a server or a verifier.
type childPlan struct {
	Place  string      `json:"place,omitempty"`
	Server *serverPlan `json:"server,omitempty"`

	URL      string        `json:"url,omitempty"`
	Audience string        `json:"audience,omitempty"`
	Dial     string        `json:"dial,omitempty"` // where URL is reached
	Key      string        `json:"key,omitempty"`
	Bound    time.Duration `json:"bound,omitempty"`
}

// childAsk is a question to a child: to a server when to die, to a verifier what it
// thinks of a request.
type childAsk struct {
	KillAt int         `json:"kill_at,omitempty"`
	Header http.Header `json:"header,omitempty"`
}

type childAnswer struct {
	Key  string  `json:"key,omitempty"`
	Said outcome `json:"said,omitempty"`
}

// Child is the other process of scenarios that stop and kill one: a server over the
// store that open opens by the name of a Place, or a verifier. It speaks JSON on in
// and out, and ends with in.
func Child(ctx context.Context, in io.Reader, out io.Writer, open func(ctx context.Context, place string) (store.Store, error)) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	var plan childPlan
	if err := questions.Decode(&plan); err != nil {
		return err
	}
	var answer func(childAsk) childAnswer
	var first childAnswer
	if plan.Server != nil {
		s, err := open(ctx, plan.Place)
		if err != nil {
			return err
		}
		fused := &fuse{Store: s}
		server, err := startServer(ctx, fused, *plan.Server)
		if err != nil {
			return errors.Join(err, s.Close())
		}
		defer s.Close()
		defer server.stop()
		first.Key = server.key
		answer = func(a childAsk) childAnswer { fused.arm(a.KillAt); return childAnswer{} }
	} else {
		v, err := childVerify(ctx, plan)
		if err != nil {
			return err
		}
		defer v.Close()
		answer = func(a childAsk) childAnswer {
			_, err := v.VerifyRequest(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: a.Header})
			return childAnswer{Said: said(err)}
		}
	}
	if err := answers.Encode(first); err != nil {
		return err
	}
	for {
		var a childAsk
		if err := questions.Decode(&a); err != nil {
			return nil // whoever asked is gone
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

// fuse is a store that kills its process, as kill -9 does, at a chosen step. Steps
// are before and after each commit and each read of anything but an API key: those
// belong to requests that come at any time.
type fuse struct {
	store.Store
	mu   sync.Mutex // guards left
	left int        // steps until the end; 0: not armed
}

func (f *fuse) arm(at int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = at
}

func (f *fuse) step() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return
	}
	if f.left--; f.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // not one instruction more
	}
}

// Get implements store.Store.
func (f *fuse) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	if keys[0].Kind == "apikey" {
		return f.Store.Get(ctx, keys...)
	}
	f.step()
	defer f.step()
	return f.Store.Get(ctx, keys...)
}

// Commit implements store.Store.
func (f *fuse) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	f.step()
	defer f.step()
	return f.Store.Commit(ctx, b)
}

// process is a child that runs.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	ended  chan struct{} // closed when it is gone

	mu  sync.Mutex // one question at a time
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
	// Not StdoutPipe: Wait would close it under a question.
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

// kill ends the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.stdin.Close()
}

// childVerifier is a verifier in another process.
type childVerifier struct{ *process }

// VerifyRequest asks the process. It waits for as long as the process is stopped.
func (c childVerifier) VerifyRequest(r *http.Request) (*counterfoil.Session, error) {
	got, err := c.ask(childAsk{Header: r.Header})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err)
	}
	switch got.Said {
	case accepted:
		return &counterfoil.Session{}, nil
	case refused:
		return nil, counterfoil.ErrInvalidToken
	}
	return nil, counterfoil.ErrStale
}

func (c childVerifier) Close() { c.kill() }

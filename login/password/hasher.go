package password

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// hasher computes one hash at a time. The holder of a slot has one alone.
type hasher interface {
	hash(password string, q params) (phc string, err error)
	verify(stored, password string, policy params) (match, outdated bool, err error)
	spend(e effort) error // does that work, for nothing
	close() error
}

// here hashes in this process.
type here struct{}

func (here) hash(password string, q params) (string, error) { return hash(password, q), nil }
func (here) spend(e effort) error                           { return e.spend() }
func (here) close() error                                   { return nil }

func (here) verify(stored, password string, policy params) (match, outdated bool, err error) {
	return verify(stored, password, policy)
}

// worker hashes in a process of its own. A hash takes 64 MiB and a tenth of a second
// of a CPU, and in this process it would take them from every check: by the garbage
// collector, which runs for each, and by the scheduler, which knows no priorities.
// The process is started when there is something to do, and again after it died. After
// restAfter without a job it ends.
type worker struct {
	command func() *exec.Cmd // runs Work on its standard input and output

	mu      sync.Mutex // is held while the process does a job: it never ends over one
	process *exec.Cmd  // nil: none runs
	in      io.WriteCloser
	out     *json.Decoder
	last    time.Time   // end of the last job
	idle    *time.Timer // calls rest; nil: there was no job
	ending  sync.WaitGroup
}

// How long a process that hashes keeps what it has while it has no job: the memory of the
// last hash, and itself. Starting it again costs less than a hash.
const (
	freeAfter = time.Second
	restAfter = 30 * time.Second
)

// job asks for a hash of Password, for a comparison with Stored, or for work. It travels over a
// pipe: arguments and environment of a process are for others to see (OPS-11).
type job struct {
	Password []byte
	Policy   params
	Stored   string // empty: make a hash
	Spend    effort // not zero: do nothing but that work
}

type result struct {
	Hash     string
	Match    bool
	Outdated bool
	Error    string
}

// Work serves a worker over its standard input and output, until the input ends. The process
// holds the memory of one hash at most, and of none once it has waited for a second.
func Work(in io.Reader, out io.Writer) error {
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	free := time.AfterFunc(freeAfter, debug.FreeOSMemory)
	defer free.Stop()
	for {
		var j job
		if err := from.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		free.Stop()
		if err := to.Encode(j.do()); err != nil {
			return err
		}
		runtime.GC() // the next hash takes the memory of this one, not as much again
		free.Reset(freeAfter)
	}
}

func (j job) do() (r result) {
	var err error
	if j.Spend != (effort{}) {
		err = j.Spend.spend()
	} else if j.Stored == "" {
		r.Hash = hash(string(j.Password), j.Policy)
	} else {
		r.Match, r.Outdated, err = verify(j.Stored, string(j.Password), j.Policy)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (w *worker) hash(password string, q params) (string, error) {
	r, err := w.do(job{Password: []byte(password), Policy: q})
	return r.Hash, err
}

func (w *worker) verify(stored, password string, policy params) (match, outdated bool, err error) {
	if stored == "" {
		return false, false, ErrHash // an empty Stored would be a wish for a hash
	}
	r, err := w.do(job{Password: []byte(password), Policy: policy, Stored: stored})
	return r.Match, r.Outdated, err
}

func (w *worker) spend(e effort) error {
	_, err := w.do(job{Spend: e})
	return err
}

// do has the process do j. One that died since the last job, or over this one, gives
// way to another, once. If that is of no use either it is an outage: nothing was learnt
// about the password, so nothing is said about it.
func (w *worker) do(j job) (r result, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.done()
	for ran := true; ran; {
		ran = w.process != nil
		if !ran {
			if err := w.start(); err != nil {
				return r, fmt.Errorf("%w: start the process that hashes: %w", counterfoil.ErrUnavailable, err)
			}
		}
		r = result{}
		if err = json.NewEncoder(w.in).Encode(j); err == nil {
			err = w.out.Decode(&r)
		}
		if err == nil {
			break
		}
		err = fmt.Errorf("%w: the process that hashes: %w", counterfoil.ErrUnavailable, errors.Join(err, w.end()))
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	return r, err
}

// done begins the time without a job. w.mu is held.
func (w *worker) done() {
	w.last = time.Now()
	if w.idle == nil {
		w.idle = time.AfterFunc(restAfter, w.rest)
	} else {
		w.idle.Reset(restAfter)
	}
}

// rest ends a process that has had no job for restAfter. A job that comes meanwhile does not wait
// for the end, which takes long for a process that runs only while the machine is idle: it
// starts another process.
func (w *worker) rest() {
	w.mu.Lock()
	idle := worker{process: w.process, in: w.in}
	if w.process == nil || time.Since(w.last) < restAfter { // a job came first
		w.mu.Unlock()
		return
	}
	w.process = nil
	w.ending.Add(1)
	w.mu.Unlock()
	defer w.ending.Done()
	_ = idle.end() // how it ended is of no matter: it had no job
}

func (w *worker) start() error {
	c := w.command()
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	w.process, w.in, w.out = c, in, json.NewDecoder(out)
	return nil
}

// close ends the process, and waits for it.
func (w *worker) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle != nil {
		w.idle.Stop()
	}
	err := w.end()
	w.ending.Wait()
	return err
}

// end ends the process, and waits for it. w.mu is held.
func (w *worker) end() error {
	if w.process == nil {
		return nil
	}
	_ = w.in.Close() // it ends when its input does; an error says that it has ended
	err := w.process.Wait()
	w.process = nil
	return err
}

var _ encoding.TextMarshaler = params{}
var _ encoding.TextUnmarshaler = (*params)(nil)

// MarshalText writes q as in a PHC string.
func (q params) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (q *params) UnmarshalText(text []byte) error {
	if _, err := fmt.Sscanf(string(text), "m=%d,t=%d,p=%d", &q.m, &q.t, &q.p); err != nil || q.String() != string(text) {
		return ErrHash
	}
	return nil
}

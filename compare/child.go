package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// openFunc opens the store at a place by its name.
type openFunc = func(ctx context.Context, place string) (store.Store, error)

// Child is the main function of the processes that a run starts: the auth server and the nodes.
// They are asked over in and out, so that nobody else can ask them. It returns when in ends.
func Child(ctx context.Context, in io.Reader, out io.Writer, open openFunc) error {
	ctx = context.WithoutCancel(ctx) // Ctrl-C ends the parent, which ends the children
	s := rpc.NewServer()
	auth, node := &authChild{ctx: ctx, open: open}, &nodeChild{ctx: ctx}
	if err := errors.Join(s.RegisterName("Auth", auth), s.RegisterName("Node", node)); err != nil {
		return err
	}
	s.ServeConn(pipe{in, out})
	return errors.Join(auth.close(), node.close())
}

// pipe is the two ends of the pipes between parent and child.
type pipe struct {
	io.Reader
	io.Writer
}

func (p pipe) Close() error {
	var err error
	for _, end := range []any{p.Reader, p.Writer} {
		if c, ok := end.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

// process is a child, as the parent sees it.
type process struct {
	cmd    *exec.Cmd
	client *rpc.Client
	once   sync.Once
}

func startProcess(command []string) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, client: rpc.NewClient(pipe{out, in})}, nil
}

// call asks the child. It returns when ctx ends, whether there is an answer or not. A nil reply is not read.
func (p *process) call(ctx context.Context, method string, args, reply any) error {
	call := p.client.Go(method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("%s: %w", method, call.Error)
		}
		return nil
	}
}

// stop ends the child in good order, and kills it if it does not end.
func (p *process) stop() {
	p.once.Do(func() {
		late := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
		_ = p.client.Close()
		_ = p.cmd.Wait()
		late.Stop()
	})
}

// kill ends the child as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.stop()
}

// Usage is what a process has used since its start.
type Usage struct {
	CPU       time.Duration
	Allocated uint64        // bytes
	Cycles    uint64        // of the garbage collector
	GC        time.Duration // of the processors, for the garbage collector
	Heap      uint64        // bytes that are in use; after a collection if one was asked for
}

// usage reads what this process has used.
func usage(collect bool) (u Usage) {
	if collect {
		runtime.GC()
		debug.FreeOSMemory()
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	u.Allocated, u.Cycles, u.Heap = samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[3].Value.Uint64()
	if s := samples[2].Value.Float64(); !math.IsNaN(s) {
		u.GC = time.Duration(s * float64(time.Second))
	}
	u.CPU = processorTime()
	return u
}

// processorTime is the processor time that this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (u Usage) minus(v Usage) Usage {
	u.CPU, u.Allocated, u.Cycles, u.GC = u.CPU-v.CPU, u.Allocated-v.Allocated, u.Cycles-v.Cycles, u.GC-v.GC
	return u
}

// listening is a server on loopback.
type listening struct {
	listener net.Listener
	http     *http.Server
}

func listen() (*listening, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &listening{listener: l}, nil
}

func (l *listening) address() string { return l.listener.Addr().String() }

func (l *listening) serve(h http.Handler) {
	l.http = &http.Server{Handler: h} // no timeout: a connection of the load may wait for its first turn
	go func() { _ = l.http.Serve(l.listener) }()
}

func (l *listening) close() {
	if l.http != nil {
		_ = l.http.Close()
	}
	_ = l.listener.Close()
}

// Counts are how often a store was asked.
type Counts struct{ Reads, Writes int64 }

func (c Counts) minus(d Counts) Counts { return Counts{c.Reads - d.Reads, c.Writes - d.Writes} }

// Impairment is what is wrong with the way to a store.
type Impairment struct {
	Delay time.Duration // before each answer
	Down  bool
}

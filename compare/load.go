package compare

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// prepared is the bytes that a caller sends. target is a path.
func prepared(method, target, field string, more ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n%s\r\n", method, target, field)
	for _, line := range more {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// load has kept-alive connections to one or more nodes, and the requests to send over them. It writes
// prepared bytes and counts the bytes that it reads, so that the load itself costs little.
type load struct {
	conns    []net.Conn // by turns to each node
	requests [][][]byte // by node
	answer   int        // bytes of each answer
}

// newLoad opens the connections, by turns to each address.
func newLoad(ctx context.Context, connections int, addresses []string, requests [][][]byte) (*load, error) {
	l := &load{requests: requests}
	for n := range max(connections, len(addresses)) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addresses[n%len(addresses)])
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns = append(l.conns, conn)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// unblock ends reads and writes of the load when ctx ends.
func (l *load) unblock(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, l.close)
}

// warm sends every request once, to its node, all nodes at once, and learns the size of an answer.
func (l *load) warm(ctx context.Context) error {
	defer l.unblock(ctx)()
	sizes, errs := make([]int, len(l.requests)), make([]error, len(l.requests))
	var wg sync.WaitGroup
	for node, requests := range l.requests {
		wg.Go(func() {
			for _, request := range requests {
				if sizes[node], errs[node] = exchange(l.conns[node], request); errs[node] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	l.answer = slices.Max(sizes)
	return cmp.Or(errs...)
}

// requestsOf are the requests for the node of a connection.
func (l *load) requestsOf(conn int) [][]byte { return l.requests[conn%len(l.requests)] }

// exchange sends a request, reads the answer as HTTP, and returns the size of the answer.
func exchange(conn net.Conn, request []byte) (size int, err error) {
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	var raw bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != "ok") {
		err = fmt.Errorf("%s %q", resp.Status, body)
	}
	return raw.Len(), err
}

// one sends a request over conn, and reads the answer into buffer.
func one(conn net.Conn, request, buffer []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, buffer); err != nil {
		return err
	}
	if !bytes.HasPrefix(buffer, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answer %q", buffer)
	}
	return nil
}

// closed sends requests over every connection, the next one when the answer has come: as many as the
// nodes can answer. It returns how many were answered, and how long that took.
func (l *load) closed(ctx context.Context, long time.Duration) (answered int, took time.Duration, err error) {
	defer l.unblock(ctx)()
	var next, done atomic.Int64
	errs := make([]error, len(l.conns))
	var wg sync.WaitGroup
	begun := time.Now()
	for c, conn := range l.conns {
		wg.Go(func() {
			buffer, requests := make([]byte, l.answer), l.requestsOf(c)
			for time.Since(begun) < long {
				if errs[c] = one(conn, requests[int(next.Add(1))%len(requests)], buffer); errs[c] != nil {
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	return int(done.Load()), time.Since(begun), cmp.Or(errs...)
}

// opened sends requests at random times, rate of them in a second on average (a Poisson process),
// whether answers have come or not. A latency is from the time at which the request was to be
// sent: a request that waits for a connection or for the sender counts its waiting too (no coordinated
// omission).
func (l *load) opened(ctx context.Context, rate float64, long time.Duration, random *rand.Rand) (latencies []time.Duration, err error) {
	defer l.unblock(ctx)()
	type work struct {
		conn   int
		number int
		meant  time.Time
	}
	idle := make(chan int, len(l.conns))
	jobs := make([]chan work, len(l.conns))
	errs := make([]error, len(l.conns))
	took := make([][]time.Duration, len(l.conns))
	var wg sync.WaitGroup
	for c, conn := range l.conns {
		jobs[c] = make(chan work, 1)
		idle <- c
		wg.Go(func() {
			buffer, requests := make([]byte, l.answer), l.requestsOf(c)
			for w := range jobs[c] {
				if errs[c] == nil {
					errs[c] = one(conn, requests[w.number%len(requests)], buffer)
					took[c] = append(took[c], time.Since(w.meant))
				}
				idle <- c
			}
		})
	}
	runtime.LockOSThread() // for the sleep
	begun := time.Now()
	for number, at := 0, time.Duration(0); at < long && ctx.Err() == nil; number++ {
		at += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		meant := begun.Add(at)
		if d := time.Until(meant); d > 0 {
			sleep(d)
		}
		c := <-idle
		jobs[c] <- work{c, number, meant}
	}
	runtime.UnlockOSThread()
	for _, j := range jobs {
		close(j)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	latencies = slices.Concat(took...)
	slices.Sort(latencies)
	return latencies, cmp.Or(errs...)
}

// visitor is a connection that asks one request after the other, whatever the answers are.
type visitor struct {
	conn    net.Conn
	in      *bufio.Reader
	address string
}

func visit(address string) *visitor { return &visitor{address: address} }

// ask sends a request and returns the status of the answer, or an error if none came. It connects
// again after an error, and after an answer that closes the connection.
func (v *visitor) ask(ctx context.Context, request []byte) (status int, header http.Header, err error) {
	if v.conn == nil {
		var d net.Dialer
		if v.conn, err = d.DialContext(ctx, "tcp", v.address); err != nil {
			v.conn = nil
			return 0, nil, err
		}
		v.in = bufio.NewReader(v.conn)
	}
	conn := v.conn
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	resp, err := v.exchange(request)
	if err != nil {
		v.close()
		return 0, nil, err
	}
	if resp.Close {
		v.close()
	}
	return resp.StatusCode, resp.Header, nil
}

func (v *visitor) exchange(request []byte) (*http.Response, error) {
	if err := v.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := v.conn.Write(request); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, errors.Join(err, resp.Body.Close())
}

func (v *visitor) close() {
	if v.conn != nil {
		_ = v.conn.Close()
		v.conn = nil
	}
}

// credentialOf is the part of a header field that is the credential.
func credentialOf(field string) string {
	_, value, _ := strings.Cut(field, ": ")
	value = strings.TrimPrefix(value, "Bearer ")
	return strings.TrimPrefix(value, cookieName+"=")
}

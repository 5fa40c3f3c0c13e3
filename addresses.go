package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// tryNext is how long one address of several has before the next is tried beside it
// (RFC 8305 section 5).
const tryNext = 250 * time.Millisecond

// addresses are those that the issuer's name resolves to: nodes, of which some may be dead,
// cut off, or hang. A new connection goes to one that answers: they are tried in the name
// server's order, but for those that failed, which come last, the latest of all at
// the end. The name stays one, so certificate and issuer are those of every node
// (docs/decisions/0025-one-name-many-nodes.md).
type addresses struct {
	resolver *net.Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex // guards failed
	failed map[netip.Addr]time.Time
}

// mostFailed bounds what is remembered: names resolve to what they like.
const mostFailed = 64

func newAddresses(resolver *net.Resolver) *addresses {
	r := new(reach)
	dialer := &net.Dialer{
		Timeout: 30 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error { return r.allow(address) },
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return &addresses{resolver: resolver, dial: dialer.DialContext, failed: make(map[netip.Addr]time.Time)}
}

// DialContext is that of an http.Transport.
func (a *addresses) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := a.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	a.order(found)
	conn, err := a.first(ctx, found, func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
		return a.dial(ctx, network, net.JoinHostPort(ip.String(), port))
	})
	if err != nil {
		return nil, err
	}
	return &heard{Conn: conn, addresses: a}, nil
}

// order puts those that failed behind the others.
func (a *addresses) order(found []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, ip := range found {
		found[i] = ip.Unmap()
	}
	slices.SortStableFunc(found, func(x, y netip.Addr) int { return a.failed[x].Compare(a.failed[y]) })
}

func (a *addresses) fail(ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.failed) >= mostFailed {
		clear(a.failed)
	}
	a.failed[ip] = time.Now()
}

// failAt is fail for the other end of a connection.
func (a *addresses) failAt(conn net.Conn) {
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		a.fail(at.Addr().Unmap())
	}
}

// first returns the first connection that there is. The next address is tried when one
// fails, or has not answered within tryNext; what comes later is closed.
func (a *addresses) first(ctx context.Context, all []netip.Addr, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	type end struct {
		n    int
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan end, len(all))
	errs := make([]error, len(all))
	begun, ended := 0, 0
	next := time.NewTimer(0)
	defer next.Stop()
	for ended < len(all) {
		select {
		case <-next.C:
			if begun == len(all) {
				continue
			}
			n := begun
			begun++
			next.Reset(tryNext)
			go func() {
				conn, err := dial(ctx, all[n])
				ends <- end{n, conn, err}
			}()
		case e := <-ends:
			ended++
			if e.err != nil {
				errs[e.n] = e.err
				next.Reset(0)
				continue
			}
			for _, slower := range all[:e.n] {
				a.fail(slower)
			}
			go func(left int) {
				for range left {
					if late := <-ends; late.conn != nil {
						_ = late.conn.Close()
					}
				}
			}(begun - ended)
			return e.conn, nil
		}
	}
	return nil, fmt.Errorf("connect: %w", errors.Join(errs...))
}

// heard is a connection that knows whether anything ever came: one that ends before has
// led to a node that hangs, and took longer than a TLS handshake may.
type heard struct {
	net.Conn
	*addresses
	anything atomic.Bool
}

// Read implements net.Conn.
func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 && !h.anything.Load() {
		h.anything.Store(true)
	}
	return n, err
}

// Close implements net.Conn.
func (h *heard) Close() error {
	if !h.anything.Load() {
		h.failAt(h.Conn)
	}
	return h.Conn.Close()
}

// transport is an http.Transport that remembers which addresses gave no answer: an error
// says so, and a time-out. That the caller lost interest does not.
type transport struct {
	*http.Transport
	at *addresses // nil: there is but one
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.at == nil {
		return t.Transport.RoundTrip(r)
	}
	a := &asking{at: t.at, ctx: r.Context()}
	trace := httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { a.conn.Store(&c.Conn) }}
	res, err := t.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &trace)))
	if err != nil {
		a.failed()
		return nil, err
	}
	a.ReadCloser, res.Body = res.Body, a
	return res, nil
}

// asking is the body of an answer.
type asking struct {
	io.ReadCloser
	at   *addresses
	ctx  context.Context // of the request: it lives no longer
	conn atomic.Pointer[net.Conn]
}

// Read implements io.Reader.
func (a *asking) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		a.failed()
	}
	return n, err
}

func (a *asking) failed() {
	if conn := a.conn.Load(); conn != nil && !errors.Is(a.ctx.Err(), context.Canceled) {
		a.at.failAt(*conn)
	}
}

package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// tryNext is how long one address of several has before the next one is tried as well
// (RFC 8305 section 5).
const tryNext = 250 * time.Millisecond

// addresses are the nodes that the issuer's name resolves to. A node may be dead, cut off,
// or hang. A new connection goes to a node that answers: the addresses are tried in the
// name server's order, except those that failed, which come last, the latest failure at the
// end. All nodes have one name, so they have one certificate and are one issuer
// (docs/decisions/0025-one-name-many-nodes.md).
type addresses struct {
	resolver *net.Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex // guards failed
	failed map[netip.Addr]time.Time
}

// mostFailed bounds what is remembered: a name server may make up any number of addresses.
const mostFailed = 64

func newAddresses(resolver *net.Resolver, allowed []netip.Prefix) *addresses {
	r := &reach{allowed: allowed}
	dialer := &net.Dialer{
		Timeout: 30 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error { return r.allow(address) },
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return &addresses{resolver: resolver, dial: dialer.DialContext, failed: make(map[netip.Addr]time.Time)}
}

// dialContext is the DialContext of an http.Transport.
func (a *addresses) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
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
	return &connection{Conn: conn, addresses: a}, nil
}

// order puts the addresses that failed behind the others.
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

// failConn is fail for the address at the other end of a connection.
func (a *addresses) failConn(conn net.Conn) {
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		a.fail(at.Addr().Unmap())
	}
}

// first returns the first connection that is made. The next address is tried when one
// fails, or has not answered within tryNext. Connections that are made later are closed.
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

// connection knows whether the other end ever sent a byte. One that is closed without has
// led to a node that hangs: TLS was given shakeWithin.
type connection struct {
	net.Conn
	*addresses
	received atomic.Bool
}

// Read implements net.Conn.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.received.Load() {
		c.received.Store(true)
	}
	return n, err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	if !c.received.Load() {
		c.failConn(c.Conn)
	}
	return c.Conn.Close()
}

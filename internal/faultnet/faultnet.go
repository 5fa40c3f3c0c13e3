// Package faultnet has a TCP proxy that fails on purpose. It delays, holds, loses, trickles,
// cuts and resets connections. A test can change the fault of each direction while the proxy
// runs. A seed determines all random values.
//
// Call [Listen] and give [Proxy.Dial] to the transport of a client. Then break the network
// with [Proxy.Set], [Proxy.Refuse], [Proxy.Cut] and [Proxy.Reset], until [Proxy.Heal].
// [Balance] starts a load balancer for several servers.
package faultnet

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Mode says what happens to the bytes of one direction.
type Mode uint8

// The modes.
const (
	Pass    Mode = iota
	Hold         // bytes wait until the mode changes, and arrive then: a stalled link, a buffering middlebox
	Lose         // bytes vanish; a connection that has lost bytes never delivers any again: a black hole
	Trickle      // bytes arrive one by one, Rate in a second
)

// Fault is the behaviour of one direction of all connections. The zero Fault passes all bytes
// at once.
type Fault struct {
	Mode   Mode
	Rate   int           // bytes in a second, for Trickle; zero: 1
	Delay  time.Duration // before each piece is delivered, for Pass
	Jitter time.Duration // a random time up to this is added to Delay
}

// Proxy forwards connections to a target. Its methods are safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex // guards the fields below; never held during I/O
	faults  [2]Fault
	refuse  bool
	changed chan struct{} // closed when faults changes
	links   map[*link]struct{}
	random  *rand.Rand
	closed  bool
}

// direction of a stream.
type direction uint8

const (
	up   direction = iota // from client to server
	down                  // from server to client
)

// Listen starts a proxy on loopback that forwards to target ("host:port").
func Listen(target string, seed uint64) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := newProxy(seed)
	p.target, p.listener = target, listener
	p.done.Go(p.accept)
	return p, nil
}

func newProxy(seed uint64) *Proxy {
	return &Proxy{changed: make(chan struct{}), links: make(map[*link]struct{}), random: rand.New(rand.NewPCG(seed, 0))}
}

// Addr returns the address on which the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Dial connects to the proxy and ignores the address. It is the DialContext of a transport
// that keeps the server's own name in URL and certificate.
func (p *Proxy) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.Addr())
}

// Set sets the faults of both directions, for new and for open connections. Upward is from
// client to server.
func (p *Proxy) Set(upward, downward Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = [2]Fault{upward, downward}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Refuse sets whether the proxy resets new connections.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Heal ends all faults. Held bytes arrive. Lost bytes stay lost.
func (p *Proxy) Heal() {
	p.Refuse(false)
	p.Set(Fault{}, Fault{})
}

// Cut closes all connections with FIN, in the middle of their streams.
func (p *Proxy) Cut() { p.end(false) }

// Reset closes all connections with RST.
func (p *Proxy) Reset() { p.end(true) }

func (p *Proxy) end(reset bool) {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		l.end(reset)
	}
}

// Close stops listening, ends all connections and waits for them.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.end(true)
	p.done.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // only this connection failed
		}
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			closeConn(client, true)
			continue
		}
		p.done.Go(func() {
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				closeConn(client, true)
				return
			}
			p.join(client, server)
		})
	}
}

// join forwards between two connections until both streams have ended.
func (p *Proxy) join(client, server net.Conn) {
	l := &link{p: p, client: client, server: server, over: make(chan struct{})}
	p.mu.Lock()
	closed := p.closed
	p.links[l] = struct{}{}
	p.mu.Unlock()
	if closed { // Close ran before this link was added
		l.end(true)
	}
	var streams sync.WaitGroup
	streams.Go(func() { l.pump(up, client, server) })
	streams.Go(func() { l.pump(down, server, client) })
	streams.Wait()
	l.end(false)
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// fault returns the fault of direction d, a channel that is closed when the faults change, and
// the delay of the next piece.
func (p *Proxy) fault(d direction) (Fault, <-chan struct{}, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults[d]
	delay := f.Delay
	if f.Jitter > 0 {
		delay += time.Duration(p.random.Int64N(int64(f.Jitter)))
	}
	return f, p.changed, delay
}

// link is one forwarded connection.
type link struct {
	p              *Proxy
	client, server net.Conn
	once           sync.Once
	over           chan struct{} // closed by end
}

func (l *link) end(reset bool) {
	l.once.Do(func() {
		close(l.over)
		closeConn(l.client, reset)
		closeConn(l.server, reset)
	})
}

func closeConn(c net.Conn, reset bool) {
	if t, ok := c.(*net.TCPConn); ok && reset {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// pump forwards one direction. A fault applies to the end of the stream as it does to bytes:
// the end arrives late, or never.
func (l *link) pump(d direction, from, to net.Conn) {
	piece := make([]byte, 32<<10)
	lost := false
	for {
		n, err := from.Read(piece)
		if n > 0 && !lost {
			if lost, err = l.deliver(d, to, piece[:n]); err != nil {
				l.end(false)
				return
			}
		}
		if err == nil {
			continue
		}
		if !lost {
			lost = !l.passes(d)
		}
		switch half, ok := to.(interface{ CloseWrite() error }); {
		case lost:
			<-l.over // the sender has closed its side, and the receiver must not notice
		case errors.Is(err, io.EOF) && ok:
			_ = half.CloseWrite()
		default:
			l.end(true)
		}
		return
	}
}

// deliver writes b under the current fault, and reports whether b was lost.
func (l *link) deliver(d direction, to net.Conn, b []byte) (lost bool, err error) {
	for len(b) > 0 {
		f, changed, delay := l.p.fault(d)
		n := len(b)
		switch f.Mode {
		case Lose:
			return true, nil
		case Hold:
			if err := l.wait(changed, 0); err != nil {
				return false, err
			}
			continue
		case Trickle:
			delay, n = time.Second/time.Duration(max(f.Rate, 1)), 1
		}
		if delay > 0 {
			if err := l.wait(nil, delay); err != nil {
				return false, err
			}
		}
		if _, err := to.Write(b[:n]); err != nil {
			return false, err
		}
		b = b[n:]
	}
	return false, nil
}

// passes waits while direction d is held. It reports whether the direction delivers bytes
// then.
func (l *link) passes(d direction) bool {
	for {
		f, changed, _ := l.p.fault(d)
		if f.Mode != Hold {
			return f.Mode != Lose
		}
		if l.wait(changed, 0) != nil {
			return false
		}
	}
}

// wait waits for changed, or for d if d is not zero. It returns an error when the link ends.
func (l *link) wait(changed <-chan struct{}, d time.Duration) error {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-l.over:
		return net.ErrClosed
	case <-changed:
	case <-after:
	}
	return nil
}

// Package faultnet is a TCP proxy that fails on purpose: it delays, holds,
// loses, trickles, cuts and resets, in each direction on its own, and is told so
// while it runs. What is random comes from a seed.
//
// Begin with Listen, then give Dial to a client's transport and break things
// with Set, Refuse, Cut and Reset until Heal. Balance is a load balancer for several
// servers that come and go.
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

// Mode is what happens to the bytes of one direction.
type Mode uint8

// The modes.
const (
	Pass    Mode = iota
	Hold         // they wait, for as long as this lasts, and all arrive then: a stalled link, a buffering middlebox
	Lose         // they vanish; a connection that has lost some never delivers any again: a black hole
	Trickle      // they arrive one by one, Rate in a second
)

// Fault is how one direction of all connections behaves. The zero Fault is none.
type Fault struct {
	Mode   Mode
	Rate   int           // bytes in a second, for Trickle; zero: 1
	Delay  time.Duration // before each piece is delivered, for Pass
	Jitter time.Duration // up to so much is added to Delay, by the seed
}

// Proxy forwards connections to a target. Its methods are safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex // guards all below; held for no I/O
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

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Dial connects to the proxy, whatever the address says: it is the DialContext of
// a transport that keeps the server's own name in URL and certificate.
func (p *Proxy) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.Addr())
}

// Set changes how both directions behave, of new and of open connections: up is
// from client to server.
func (p *Proxy) Set(upward, downward Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = [2]Fault{upward, downward}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Refuse resets new connections, or takes them again.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Heal ends all faults. What was held arrives; what was lost stays lost.
func (p *Proxy) Heal() {
	p.Refuse(false)
	p.Set(Fault{}, Fault{})
}

// Cut ends all connections in good order, wherever their streams are.
func (p *Proxy) Cut() { p.end(false) }

// Reset ends all connections with RST.
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
			continue // this one connection
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

// join forwards between two connections until both streams are over.
func (p *Proxy) join(client, server net.Conn) {
	l := &link{p: p, client: client, server: server, over: make(chan struct{})}
	p.mu.Lock()
	closed := p.closed
	p.links[l] = struct{}{}
	p.mu.Unlock()
	if closed { // Close has not seen this one
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

// fault returns how direction d behaves, a channel that closes when that changes,
// and how long a piece takes.
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

// pump forwards one direction. The end of the stream is delivered as its bytes
// are: later, or never.
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
			<-l.over // whoever sends is gone, and nobody hears of it
		case errors.Is(err, io.EOF) && ok:
			_ = half.CloseWrite()
		default:
			l.end(true)
		}
		return
	}
}

// deliver writes b as the fault of the moment says, and reports whether it was lost.
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

// passes waits while direction d is held, and reports whether it delivers then.
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

// wait waits for changed, or for d if that is not zero. It fails when the link ends.
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

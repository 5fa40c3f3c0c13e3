package ops

import (
	"net"
	"net/netip"
	"sync"

	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/limit"
)

// limited is a listener that closes the connections of an address that has too many already
// (OPS-06). It does so before the TLS handshake, so refusing is cheap.
type limited struct {
	net.Listener
	most   int // per address; 0: any number
	exempt func(netip.Addr) bool
	count  func(open int, refused bool) // called after each change

	mu   sync.Mutex // guards held and open
	held map[netip.Addr]int
	open int
}

// Accept waits for the next connection within the limit.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.admit(conn); admitted != nil {
			return admitted, nil
		}
		_ = conn.Close()
	}
}

// admit counts a connection. It returns nil for one above the limit.
func (l *limited) admit(conn net.Conn) net.Conn {
	peer := forwarded.Peer(conn.RemoteAddr().String())
	addr := limit.Subscriber(peer)
	l.mu.Lock()
	refused := peer.IsValid() && l.most > 0 && l.held[addr] >= l.most && !l.exempt(peer)
	if !refused {
		l.held[addr]++
		l.open++
	}
	open := l.open
	l.mu.Unlock()
	l.count(open, refused)
	if refused {
		return nil
	}
	return &heldConn{Conn: conn, release: sync.OnceFunc(func() { l.release(addr) })}
}

func (l *limited) release(addr netip.Addr) {
	l.mu.Lock()
	if l.held[addr]--; l.held[addr] == 0 {
		delete(l.held, addr)
	}
	l.open--
	open := l.open
	l.mu.Unlock()
	l.count(open, false)
}

type heldConn struct {
	net.Conn
	release func()
}

// Close closes the connection and no longer counts it.
func (c *heldConn) Close() error {
	c.release()
	return c.Conn.Close()
}

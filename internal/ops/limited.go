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
	count  func(change int, refused bool) // of the connections that are open

	mu   sync.Mutex // guards held
	held map[netip.Addr]int
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
	}
	l.mu.Unlock()
	if refused {
		l.count(0, true)
		return nil
	}
	l.count(1, false)
	return &heldConn{halfConn{conn}, sync.OnceFunc(func() { l.release(addr) })}
}

func (l *limited) release(addr netip.Addr) {
	l.mu.Lock()
	if l.held[addr]--; l.held[addr] == 0 {
		delete(l.held, addr)
	}
	l.mu.Unlock()
	l.count(-1, false)
}

type heldConn struct {
	halfConn
	release func()
}

// Close closes the connection and no longer counts it.
func (c *heldConn) Close() error {
	c.release()
	return c.Conn.Close()
}

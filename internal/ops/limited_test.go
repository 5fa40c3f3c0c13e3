package ops

import (
	"net"
	"net/netip"
	"testing"

	"github.com/counterfoil/counterfoil/internal/forwarded"
)

// fakeConn is a connection that only has a peer.
type fakeConn struct {
	net.Conn
	addr netip.AddrPort
}

func (c fakeConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.addr) }
func (c fakeConn) Close() error         { return nil }

func TestConnectionsPerAddress(t *testing.T) { // OPS-06
	open, refused := 0, 0
	l := &limited{most: 2, held: map[netip.Addr]int{}, exempt: forwarded.Proxies{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("fe80::/10")}.Contain,
		count: func(change int, no bool) {
			open += change
			if no {
				refused++
			}
		}}
	from := func(addr string) *heldConn {
		c, _ := l.admit(fakeConn{addr: netip.MustParseAddrPort(addr)}).(*heldConn)
		return c
	}
	first := from("192.0.2.1:1")
	if first == nil || from("192.0.2.1:2") == nil || from("192.0.2.1:3") != nil || refused != 1 {
		t.Errorf("the third connection of an address was not refused (%d)", refused)
	}
	if from("192.0.2.2:1") == nil {
		t.Error("another address was refused")
	}
	for range 5 {
		if from("10.0.0.1:1") == nil || from("[::ffff:10.0.0.1]:1") == nil || from("[fe80::1%eth0]:1") == nil {
			t.Error("a trusted proxy was refused, or one by an address with a zone")
		}
	}
	if from("[2001:db8::1]:1") == nil || from("[2001:db8::2]:1") == nil || from("[2001:db8::3]:1") != nil {
		t.Error("one /64 is not one address")
	}
	_ = first.Close()
	_ = first.Close() // counts once
	if from("192.0.2.1:4") == nil || from("192.0.2.1:5") != nil {
		t.Error("closing did not give one place back")
	}
	if open != 20 {
		t.Errorf("open = %d, want 20", open)
	}
	_ = from("192.0.2.3:1").Close()
	if _, held := l.held[netip.MustParseAddr("192.0.2.3")]; held {
		t.Error("an address without connections is remembered")
	}
}

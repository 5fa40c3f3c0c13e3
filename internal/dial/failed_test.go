package dial

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

// endless is a connection to an address that sends zeros.
type endless struct {
	net.Conn
	to netip.Addr
}

func (c endless) RemoteAddr() net.Addr       { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.to, 443)) }
func (c endless) Read(b []byte) (int, error) { return len(b), nil }
func (c endless) Close() error               { return nil }

// A node whose connection ends without a byte is tried last. What is remembered is bounded.
func TestFailedAddresses(t *testing.T) {
	a := newAddresses(nil, nil)
	first, second := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	order := func(want ...netip.Addr) {
		t.Helper()
		got := []netip.Addr{first, second}
		if a.order(got); !slices.Equal(got, want) {
			t.Errorf("order = %v, want %v", got, want)
		}
	}
	answers := &connection{Conn: endless{to: first}, addresses: a}
	_, _ = answers.Read(make([]byte, 1))
	_ = answers.Close()
	order(first, second)
	silent := &connection{Conn: endless{to: first}, addresses: a}
	_ = silent.Close()
	order(second, first)
	for range 1000 {
		second = second.Next()
		a.fail(second)
	}
	if len(a.failed) > mostFailed {
		t.Errorf("%d addresses are remembered, want at most %d", len(a.failed), mostFailed)
	}
}

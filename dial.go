package counterfoil

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// reach decides, at each connection, whether an address may be the issuer's (KEY-10):
// a name is resolved anew each time, and whoever answers for it could point a verifier
// at a machine that only the verifier can reach. An address that the configuration
// itself gives is taken at its word.
//
// Link-local addresses, where clouds keep credentials, are never an issuer's. One of a
// private network is if the first connection was to one: a name that was public does
// not become private.
type reach struct {
	first atomic.Int32 // kind of the first address that was allowed; zero: none yet
}

const (
	public = iota + 1
	private
)

// shared is the range between carriers and their customers (RFC 6598), which
// netip.Addr.IsPrivate leaves out.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func (r *reach) allow(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return fmt.Errorf("the issuer's name resolves to %v, which no issuer has", ip)
	}
	kind := int32(public)
	if ip.IsPrivate() || ip.IsLoopback() || shared.Contains(ip) {
		kind = private
	}
	if r.first.CompareAndSwap(0, kind); kind == private && r.first.Load() == public {
		return fmt.Errorf("the issuer's name resolves to %v, of a private network, and was public before", ip)
	}
	return nil
}

// A connection whose node is cut off is given up when a ping of HTTP/2 is not answered:
// requests share it, and their own time-outs leave it in use, for as long as the kernel
// sends again (a quarter of an hour). One of HTTP/1.1 ends with its request.
const (
	pingAfter   = 1 * time.Second // without a byte
	pongWithin  = 3 * time.Second
	shakeWithin = 3 * time.Second // TLS
)

// transportTo is http.DefaultTransport for an issuer at host, at an address within its
// reach that answers.
func transportTo(host string, resolver *net.Resolver) *transport {
	t := &transport{Transport: &http.Transport{}}
	if std, ok := http.DefaultTransport.(*http.Transport); ok {
		t.Transport = std.Clone()
	}
	t.TLSHandshakeTimeout = shakeWithin
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pongWithin}
	if _, err := netip.ParseAddr(host); err != nil {
		t.at = newAddresses(resolver)
		t.DialContext = t.at.DialContext
	}
	return t
}

// Package dial connects a verifier to its issuer. [New] returns the transport of an
// http.Client: each connection goes to an address that may be an issuer's, and to one that
// answers, of all that the issuer's name resolves to.
//
// It resolves and connects; what the issuer says is checked by TLS and by the caller.
package dial

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// A connection whose node is cut off is given up when a ping of HTTP/2 is not answered.
// Requests share such a connection, and their own time-outs leave it in use for as long as
// the kernel sends again: a quarter of an hour. A connection of HTTP/1.1 ends with its
// request.
const (
	pingAfter   = 1 * time.Second // without a byte
	pongWithin  = 3 * time.Second
	shakeWithin = 3 * time.Second // TLS
)

// New returns http.DefaultTransport for the issuer at host, which is a name or an address.
// resolver resolves the name; nil is net.DefaultResolver. The configuration chose an
// address on purpose, so an address is not judged.
func New(host string, resolver *net.Resolver) *Transport {
	t := &Transport{Transport: &http.Transport{}}
	if std, ok := http.DefaultTransport.(*http.Transport); ok {
		t.Transport = std.Clone()
	}
	t.TLSHandshakeTimeout = shakeWithin
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pongWithin}
	if _, err := netip.ParseAddr(host); err != nil {
		t.addresses = newAddresses(resolver)
		t.DialContext = t.addresses.dialContext
	}
	return t
}

// reach decides for each connection whether an address may be the issuer's (KEY-10). The
// name is resolved anew each time. An attacker who answers for the name could otherwise
// point a verifier at a machine that only the verifier can reach.
//
// A link-local address, where clouds keep credentials, is never an issuer's. An address of
// a private network is allowed if the first connection went to one: a name that was public
// does not become private.
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

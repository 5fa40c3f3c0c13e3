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

	"github.com/counterfoil/counterfoil/internal/inside"
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
// address on purpose, so an address is not judged. Nor is one that the name resolves to and that
// allowed contains, except for those of metadata.
func New(host string, resolver *net.Resolver, allowed []netip.Prefix) *Transport {
	t := &Transport{Transport: &http.Transport{}}
	if std, ok := http.DefaultTransport.(*http.Transport); ok {
		t.Transport = std.Clone()
	}
	t.TLSHandshakeTimeout = shakeWithin
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pongWithin}
	if _, err := netip.ParseAddr(host); err != nil {
		t.addresses = newAddresses(resolver, allowed)
		t.DialContext = t.addresses.dialContext
	}
	return t
}

// reach decides for each connection whether an address may be the issuer's (KEY-10). The
// name is resolved anew each time. An attacker who answers for the name could otherwise
// point a verifier at a machine that only the verifier can reach.
//
//   - An address where a cloud keeps the credentials of its machines is never an issuer's.
//   - Another link-local address is an issuer's only if allowed has it: some networks of
//     containers give the host such an address, such as 169.254.1.2 (podman with pasta).
//   - An address of a private network is an issuer's if allowed has it, or if the first
//     connection went to one: a name that was public does not become private.
type reach struct {
	allowed []netip.Prefix
	first   atomic.Int32 // kind of the first address that was judged and may be the issuer's; zero: none yet
}

const (
	public = iota + 1
	private
)

func (r *reach) allow(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := inside.Behind(at.Addr())
	if inside.Never(ip) {
		return fmt.Errorf("the issuer's name resolves to %v, which no issuer has", at.Addr())
	}
	if inside.Within(r.allowed, ip) {
		return nil
	}
	const hint = "if the issuer is there, RemoteOptions.AllowAddresses must have it"
	if ip.IsLinkLocalUnicast() {
		return fmt.Errorf("the issuer's name resolves to the link-local address %v: %s", at.Addr(), hint)
	}
	kind := int32(public)
	if inside.Has(ip) {
		kind = private
	}
	if r.first.CompareAndSwap(0, kind); kind == private && r.first.Load() == public {
		return fmt.Errorf("the issuer's name resolves to %v, of a private network, and was public before: %s", at.Addr(), hint)
	}
	return nil
}

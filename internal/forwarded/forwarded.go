// Package forwarded finds the address that a request came from, also through proxies. Call
// [Proxies.Client], or [Peer] where no proxy counts. No other code may read X-Forwarded-For,
// because every client can write that header.
package forwarded

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of the trusted proxies: their X-Forwarded-For is believed. Nil
// trusts no proxy.
type Proxies []netip.Prefix

// Contain reports whether addr is a trusted proxy.
func (p Proxies) Contain(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// Client returns the address of the client that sent r (LOGIN-10):
//
//  1. It begins with the peer of the connection.
//  2. While that address is a trusted proxy, it takes the address that this proxy names: the
//     next entry of X-Forwarded-For, from right to left.
//  3. It stops at the first address that is not a trusted proxy. The client itself may have
//     written the entries further left, so it ignores them.
//
// An entry that is not an address stops the search at the proxy that passed the entry on.
// The zero Addr means that the peer has no address, as on a Unix socket.
func (p Proxies) Client(r *http.Request) netip.Addr { return p.ClientOf(Peer(r.RemoteAddr), r) }

// ClientOf is Client for a request whose peer is known already.
func (p Proxies) ClientOf(peer netip.Addr, r *http.Request) netip.Addr {
	client, fields := peer, r.Header["X-Forwarded-For"]
	if len(fields) == 0 || !p.Contain(client) {
		return client
	}
	for _, hop := range slices.Backward(strings.Split(strings.Join(fields, ","), ",")) {
		if !p.Contain(client) {
			break
		}
		next, ok := parse(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = next
	}
	return client
}

// Peer returns the address in that of the other end of a connection, such as the RemoteAddr of a
// request. It is plain, because no network contains an address with a zone, and no IPv4 network
// one that is written as IPv6. The zero Addr means that there is none, as on a Unix socket.
func Peer(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(peer.Addr())
}

func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// parse reads an entry of X-Forwarded-For: an address. Some proxies add a port.
func parse(hop string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return plain(addr), true
	}
	addr := Peer(hop)
	return addr, addr.IsValid()
}

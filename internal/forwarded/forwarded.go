// Package forwarded finds out who sent a request that came through proxies. Begin with
// Proxies; nothing else may read X-Forwarded-For, which anybody can write.
package forwarded

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of those whose X-Forwarded-For is believed. None is believed
// by nil.
type Proxies []netip.Prefix

// Contain reports whether addr is one of p.
func (p Proxies) Contain(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// Client returns who sent r (LOGIN-10): the peer, or when that is one of p whom it
// names, and so on from right to left until somebody is not one of p. What stands
// further left is whatever that client wrote, and is not looked at. An entry that is no
// address ends the walk at the proxy that passed it on. The zero Addr means that the
// peer has none, as on a Unix socket.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
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

// parse reads an entry of X-Forwarded-For: an address, which some proxies write with a
// port.
func parse(hop string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

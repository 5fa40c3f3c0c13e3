package main

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress returns who sent r (LOGIN-10): the peer, or when that is a
// trusted proxy whom it names, and so on from right to left until somebody is not
// trusted. What stands further left is whatever that client wrote, and is not
// looked at. An entry that is no address ends the walk at the proxy that passed
// it on. The zero Addr means that the peer has none, as on a Unix socket.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !within(trusted, client) {
			break
		}
		next, ok := forwarded(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = next
	}
	return client
}

// forwarded parses an entry of X-Forwarded-For: an address, which some proxies
// write with a port.
func forwarded(hop string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

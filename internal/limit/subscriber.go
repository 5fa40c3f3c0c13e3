package limit

import "net/netip"

// Subscriber returns the address that stands for all addresses of one subscriber: a itself,
// or for IPv6 the first of its /64. A limit per address counts by it, or a subscriber could
// have a new count for each request.
func Subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// Network returns the address that stands for all subscribers of one network of IPv6: the
// first of its /48, which one organisation gets. IPv4 has none that says who is behind it:
// the zero Addr.
func Network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.Prefix(48); err == nil {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

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

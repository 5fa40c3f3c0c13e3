// Package inside is the one table of the addresses that are not of the public Internet. Begin with
// [Behind], which returns the address that a connection ends at. [Never] and [Has] say what it is.
//
// The package connects to nothing, and decides about no target: internal/dial does that for an
// issuer, internal/outward for targets that people name.
package inside

import (
	"net/netip"
	"slices"
)

// metadata is where clouds keep credentials of their machines and containers, and talk to them.
var metadata = prefixes(
	"169.254.169.0/24",    // AWS, Google, Azure, OpenStack, Oracle and most others
	"169.254.170.0/24",    // AWS: containers and pods
	"169.254.0.23/32",     // Tencent
	"192.0.0.192/32",      // Oracle
	"100.100.100.200/32",  // Alibaba
	"168.63.129.16/32",    // Azure
	"fd00:ec2::/32",       // AWS
	"fd20:ce::/32",        // Google
	"fe80::a9fe:a9fe/128", // OpenStack
)

// special are the networks of IPv4 that the public Internet does not route, and those in the global
// range of IPv6 (RFC 6890 and the registries of IANA).
var special = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // between carriers and their customers (RFC 6598)
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocols of IETF
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // relays of 6to4
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
	"2001::/23",       // protocols of IETF, among them Teredo, which hides an address of IPv4
	"2001:db8::/32",   // documentation
	"3fff::/20",       // documentation
)

// global is the only range of IPv6 that the public Internet routes.
var global = netip.MustParsePrefix("2000::/3")

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// translated are the prefixes of IPv6 addresses that lead to the IPv4 address after them: NAT64
// (RFC 6052) and 6to4 (RFC 3056).
var translated = prefixes("64:ff9b::/96", "2002::/16")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Behind returns the address that a connection to ip ends at: that of IPv4 if ip is a form of it.
func Behind(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	for _, p := range translated {
		if p.Contains(ip) {
			b, n := ip.As16(), p.Bits()/8
			return netip.AddrFrom4([4]byte(b[n : n+4]))
		}
	}
	return ip
}

// Never reports whether no setting may allow a connection to ip: metadata of a cloud, multicast,
// broadcast, and the unspecified address.
func Never(ip netip.Addr) bool {
	ip = Behind(ip)
	return Within(metadata, ip) || ip.IsMulticast() || ip.IsUnspecified() || ip == broadcast
}

// Has reports whether ip is no address of the public Internet. All that Never has is inside too.
func Has(ip netip.Addr) bool {
	ip = Behind(ip)
	return Never(ip) || Within(special, ip) || ip.Is6() && !global.Contains(ip)
}

// Within reports whether a prefix of all contains the address that a connection to ip ends at.
func Within(all []netip.Prefix, ip netip.Addr) bool {
	ip = Behind(ip)
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(ip) })
}

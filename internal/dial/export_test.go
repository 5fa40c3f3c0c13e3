package dial

import (
	"context"
	"net"
	"net/netip"
)

// NewReach returns reach.allow of a new one.
func NewReach(allowed ...netip.Prefix) func(address string) error {
	return (&reach{allowed: allowed}).allow
}

// First dials addresses as a transport does, with dial in place of the network.
func First(ctx context.Context, all []netip.Addr, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	return newAddresses(nil, nil).first(ctx, all, dial)
}

package dial

import (
	"context"
	"net"
	"net/netip"
)

// NewReach returns reach.allow of a new one.
func NewReach() func(address string) error { return new(reach).allow }

// First dials addresses as a transport does, with dial in place of the network.
func First(ctx context.Context, all []netip.Addr, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	return newAddresses(nil).first(ctx, all, dial)
}

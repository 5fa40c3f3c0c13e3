package ops

import (
	"context"
	"net"
	"net/netip"
)

type addressKey struct{}

// withAddress adds the address of the other end of c to the context of its requests.
func withAddress(ctx context.Context, c net.Conn) context.Context {
	if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		return context.WithValue(ctx, addressKey{}, at.Addr().Unmap().WithZone(""))
	}
	return ctx
}

// Peer returns the address of the other end of the connection that a request came by: of the
// proxy, where the RemoteAddr of the request is that of the client. It is the zero Addr if there is none.
func Peer(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

package ops

import (
	"context"
	"net"
	"net/netip"

	"github.com/counterfoil/counterfoil/internal/forwarded"
)

type addressKey struct{}

// connKey is that of the *headConn of a request.
type connKey struct{}

// withAddress adds the address of the other end of c to the context of its requests.
func withAddress(ctx context.Context, c net.Conn) context.Context {
	if strict, is := c.(*strictConn); is {
		c = strict.Conn
	}
	if h, is := c.(*headConn); is {
		ctx = context.WithValue(ctx, connKey{}, h)
	}
	return context.WithValue(ctx, addressKey{}, forwarded.Peer(c.RemoteAddr().String()))
}

// Peer returns the address of the other end of the connection that a request came by: of the
// proxy, where the RemoteAddr of the request is that of the client. It is the zero Addr if there is none.
func Peer(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

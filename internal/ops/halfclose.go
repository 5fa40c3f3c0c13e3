package ops

import (
	"errors"
	"net"
)

// halfConn is what a connection here embeds that stands before another one. An interface net.Conn alone
// hides CloseWrite: then net/http, or a handler that has hijacked the connection, could end it only in both
// directions at once, and a reset may overtake what was sent last.
type halfConn struct{ net.Conn }

// CloseWrite says that nothing more is sent.
func (c halfConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

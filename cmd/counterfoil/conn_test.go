package main

import (
	"net"
	"net/netip"
)

// fakeConn is a connection that has a peer and nothing else.
type fakeConn struct {
	net.Conn
	addr netip.AddrPort
}

func (c fakeConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.addr) }
func (c fakeConn) Close() error         { return nil }

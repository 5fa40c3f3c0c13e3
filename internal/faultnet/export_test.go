package faultnet

import "net"

// NewLink returns a proxy without a listener, and the two outer ends of one
// connection that it forwards.
func NewLink(seed uint64) (p *Proxy, client, server net.Conn) {
	p = newProxy(seed)
	client, inner := net.Pipe()
	outer, server := net.Pipe()
	p.done.Go(func() { p.join(inner, outer) })
	return p, client, server
}

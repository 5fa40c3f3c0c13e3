package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// Transport is an http.Transport that remembers which addresses gave no answer: those whose
// request ended with an error or a time-out. A request that its caller cancelled shows
// nothing about the address.
type Transport struct {
	*http.Transport
	addresses *addresses // nil: there is one address only
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.addresses == nil {
		return t.Transport.RoundTrip(r)
	}
	b := &body{addresses: t.addresses, ctx: r.Context()}
	trace := httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { b.conn.Store(&c.Conn) }}
	res, err := t.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &trace)))
	if err != nil {
		b.failed()
		return nil, err
	}
	b.ReadCloser, res.Body = res.Body, b
	return res, nil
}

// body is the body of an answer, and knows the connection that it comes from.
type body struct {
	io.ReadCloser
	addresses *addresses
	ctx       context.Context // of the request: body lives no longer
	conn      atomic.Pointer[net.Conn]
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.failed()
	}
	return n, err
}

func (b *body) failed() {
	if conn := b.conn.Load(); conn != nil && !errors.Is(b.ctx.Err(), context.Canceled) {
		b.addresses.failConn(*conn)
	}
}

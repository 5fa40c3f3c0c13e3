package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// balancer sends a request to the upstream that was picked for it. If that one could not have
// got it, or may get it twice, another one gets it.
type balancer struct{ g *Gateway }

// RoundTrip is for [httputil.ReverseProxy].
func (b balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	p := passageOf(r)
	var body *untouched // nil: there is none
	if r.Body != nil {
		body = &untouched{ReadCloser: r.Body}
		copied := *r
		copied.Body = body
		r = &copied
	}
	var tried []*upstream
	for {
		res, err := p.to.transport.RoundTrip(r)
		if err == nil {
			return res, nil
		}
		if body != nil && body.unreadable.Load() && r.Context().Err() == nil {
			return nil, errBody
		}
		unsent := unreached(err)
		if unsent {
			p.to.failed.Store(time.Now().UnixNano())
		}
		again := unsent && (body == nil || !body.read.Load()) || repeatable(r) && broke(err)
		if !again || r.Context().Err() != nil {
			return nil, err
		}
		tried = append(tried, p.to)
		next := b.g.pick(p.route.pool, tried)
		if next == nil {
			return nil, err
		}
		p.moveTo(next)
		copied := *r
		copied.URL = next.at(r.URL)
		r = &copied
	}
}

// untouched notes whether a body was read, and whether it could be. It stays open for another round trip: the
// server that made it closes it.
type untouched struct {
	io.ReadCloser
	read, unreadable atomic.Bool
}

func (b *untouched) Read(p []byte) (int, error) {
	b.read.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.unreadable.Store(true)
	}
	return n, err
}

func (b *untouched) Close() error { return nil }

// unreached reports whether err says that there was no connection, so that nothing was sent.
func unreached(err error) bool {
	op, is := errors.AsType[*net.OpError](err)
	return is && op.Op == "dial"
}

// broke reports whether err says that a connection broke before the first byte of an answer. A
// Transport tries again by itself if it was a connection that had been used before; this is for
// the others. io.ErrUnexpectedEOF is an answer that broke.
func broke(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// repeatable reports whether r may be sent twice (RFC 9110 section 9.2.2), and can be.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return r.Body == nil && r.Header["Upgrade"] == nil
	}
	return false
}

// pick returns an upstream of p that is not among tried, or nil.
func (g *Gateway) pick(p pool, tried []*upstream) *upstream {
	return p.pick(g.turn.Add(1), time.Now(), tried)
}

type passageKey struct{}

// passage is a request on its way through the proxy.
type passage struct {
	verdict
	uri      string    // path and query, as they were decided about
	identity *identity // what the upstream is told
	to       *upstream
	live     *live     // follows the session; nil: there is none
	socket   handshake // if it may become a WebSocket
	token    string    // that the upstream gets; empty: none
}

func passageOf(r *http.Request) *passage { return r.Context().Value(passageKey{}).(*passage) }

func (p *passage) moveTo(u *upstream) {
	if p.to != nil {
		p.to.pending.Add(-1)
	}
	if p.to = u; u != nil {
		u.pending.Add(1)
	}
}

// with returns ctx with p.
func (p *passage) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, passageKey{}, p)
}

// onWire makes u the URL whose request line has p.uri byte for byte. A path that begins with two
// slashes would be taken for a host; it goes as the escaped path that it is.
func (p *passage) onWire(u *url.URL) {
	path, query, found := strings.Cut(p.uri, "?")
	*u = url.URL{Scheme: p.to.scheme, Host: p.to.host, RawQuery: query, ForceQuery: found && query == ""}
	if !strings.HasPrefix(path, "//") {
		u.Opaque = path
		return
	}
	u.RawPath = path
	u.Path, _ = url.PathUnescape(path)
}

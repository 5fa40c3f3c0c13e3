package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// upstream is a server that requests are passed to.
type upstream struct {
	url       string // as in the routes
	scheme    string // http or https
	host      string // with the port
	transport *http.Transport

	pending atomic.Int64 // requests under way
	failed  atomic.Int64 // when a connection to it failed last, in nanoseconds since 1970
}

// pool has the upstreams of a route.
type pool []*upstream

// pause is how long an upstream is left out, while there is another one, after a connection to it
// failed.
const pause = time.Second

// pick returns the upstream with the fewest requests under way that is not among tried, or nil.
// Of several it takes one after the other.
func (p pool) pick(turn uint64, now time.Time, tried []*upstream) *upstream {
	var best *upstream
	var least int64
	for n := range p {
		u := p[(uint64(n)+turn)%uint64(len(p))]
		if contains(tried, u) {
			continue
		}
		load := u.pending.Load()
		if now.UnixNano()-u.failed.Load() < int64(pause) {
			load += 1 << 32 // the last choice
		}
		if best == nil || load < least {
			best, least = u, load
		}
	}
	return best
}

func contains(some []*upstream, u *upstream) bool {
	for _, other := range some {
		if other == u {
			return true
		}
	}
	return false
}

// What a gateway keeps open, and how long it waits.
const (
	connectTimeout    = 5 * time.Second
	headerTimeout     = time.Minute
	continueTimeout   = time.Second // for the 100 of an upstream, before the body is sent all the same
	idlePerUpstream   = 256
	maxAnswerHeader   = 64 << 10 // bytes (GW-16)
	upstreamKeepAlive = 90 * time.Second
)

func newTransport(h2c bool) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: headerTimeout,
		ExpectContinueTimeout: continueTimeout, MaxIdleConnsPerHost: idlePerUpstream, IdleConnTimeout: upstreamKeepAlive,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // an answer passes as it is
		ForceAttemptHTTP2:      !h2c,
	}
	if h2c {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// transports are shared by all upstreams of a gateway.
type transports struct{ web, h2c *http.Transport }

func newUpstream(text string, t transports) (*upstream, error) {
	u, err := parseUpstream(text)
	if err != nil {
		return nil, err
	}
	made := &upstream{url: text, scheme: u.Scheme, host: u.Host, transport: t.web}
	if u.Scheme == "h2c" {
		made.scheme, made.transport = "http", t.h2c
	}
	return made, nil
}

// connect gives the routes their upstreams. Routes that name the same one share it.
func (all table) connect() error {
	shared, known := transports{newTransport(false), newTransport(true)}, map[string]*upstream{}
	for _, some := range all {
		for _, r := range some {
			for _, text := range r.Upstreams {
				if known[text] == nil {
					u, err := newUpstream(text, shared)
					if err != nil {
						return err
					}
					known[text] = u
				}
				r.pool = append(r.pool, known[text])
			}
		}
	}
	return nil
}

// parseUpstream reads the URL of an upstream. It has no path: an upstream gets the path that was
// decided about.
func parseUpstream(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return nil, fmt.Errorf("upstream %q: want a URL such as http://127.0.0.1:8090, https://app.internal or h2c://127.0.0.1:50051", text)
	case u.Scheme+"://"+u.Host != text:
		return nil, fmt.Errorf("upstream %q: want scheme, host and port alone, because a service gets the path that the visitor asks for", text)
	}
	return u, nil
}

// balancer sends a request to the upstream that was picked for it. If that one could not have
// got it, or may get it twice, another one gets it.
type balancer struct{ g *Gateway }

// RoundTrip is for [httputil.ReverseProxy].
func (b balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	p := passageOf(r)
	body := &untouched{ReadCloser: r.Body}
	if r.Body != nil {
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
		unsent := unreached(err)
		if unsent {
			p.to.failed.Store(time.Now().UnixNano())
		}
		again := unsent && !body.read.Load() || repeatable(r) && broke(err)
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

// at returns u on this upstream.
func (up *upstream) at(u *url.URL) *url.URL {
	moved := *u
	moved.Scheme, moved.Host = up.scheme, up.host
	return &moved
}

// untouched notes whether a body was read. It stays open for another round trip: the server that
// made it closes it.
type untouched struct {
	io.ReadCloser
	read atomic.Bool
}

func (b *untouched) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
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
	uri      string      // path and query, as they were decided about
	identity http.Header // what the upstream is told
	to       *upstream
	live     *live     // follows the session; nil: there is none
	socket   handshake // if it may become a WebSocket
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

// onWire returns the URL whose request line has p.uri byte for byte. A path that begins with two
// slashes would be taken for a host; it goes as the escaped path that it is.
func (p *passage) onWire() *url.URL {
	path, query, found := strings.Cut(p.uri, "?")
	u := &url.URL{Scheme: p.to.scheme, Host: p.to.host, RawQuery: query, ForceQuery: found && query == ""}
	if !strings.HasPrefix(path, "//") {
		u.Opaque = path
		return u
	}
	u.RawPath = path
	u.Path, _ = url.PathUnescape(path)
	return u
}

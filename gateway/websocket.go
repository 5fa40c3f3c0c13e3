package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/tunnel"
)

// Who ended a WebSocket, beside the words of [Options].Opened for what did.
const (
	ByClient   = tunnel.ByClient
	ByUpstream = tunnel.ByUpstream
)

// errTaken says that a tunnel has the connections, so nothing is to be answered.
var errTaken = errors.New("a tunnel has the connections")

// handshake is what a tunnel needs of the request that opens a WebSocket.
type handshake struct {
	w    http.ResponseWriter
	r    *http.Request
	conn net.Conn // to the upstream, beneath what the answer has as its body
}

// begin returns ctx for the request to the upstream. It does nothing for other requests.
func (h *handshake) begin(w http.ResponseWriter, r *http.Request, ctx context.Context) context.Context {
	if !isWebSocket(r.Header) {
		return ctx
	}
	h.w, h.r = w, r
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { h.conn = got.Conn }})
}

// upgraded takes the connections of a request to which the upstream has answered 101, and lets
// a tunnel have them. The handler returns, so that a WebSocket which waits does not hold what a
// request needs: the tunnel ends with the session, and not with the request.
func (g *Gateway) upgraded(res *http.Response) error {
	p := passageOf(res.Request)
	upstream, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !isWebSocket(res.Request.Header) || !isWebSocket(res.Header) {
		return errors.New("the upstream switches to a protocol that was not asked for")
	}
	client, buffered, err := http.NewResponseController(p.socket.w).Hijack()
	if err != nil {
		return err
	}
	res.Body = http.NoBody // not to be closed with the answer
	h := p.socket.w.Header()
	for name, values := range res.Header {
		h[name] = append(h[name], values...)
	}
	head := http.Response{StatusCode: res.StatusCode, ProtoMajor: 1, ProtoMinor: 1, Header: h}
	if buffered.Reader.Buffered() > 0 { // a client waits for the answer (RFC 6455 section 4.1)
		err = errors.New("the client has sent before the handshake was over")
	} else if err = head.Write(buffered); err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		_, _ = client.Close(), upstream.Close()
		g.opts.Opened(p.socket.w, p.route.name())(ByClient) // the log does not say that all went well
		return errTaken
	}
	g.sockets.run(g.opened(p, tunnel.New(client, upstream, p.socket.conn)))
	return errTaken
}

// opened returns t, and what is done when it has ended.
func (g *Gateway) opened(p *passage, t *tunnel.Tunnel) (_ *tunnel.Tunnel, ended func(by string)) {
	to, tell, release := p.to, g.opts.Opened(p.socket.w, p.route.name()), func() {}
	p.to = nil // it has a request under way for as long as the tunnel runs
	if p.session != nil {
		p.live.release()
		check := p.route.checkOf(p.socket.r)
		release = g.follow(p.route, p.session, check, func(cause error) {
			t.End(tunnel.PolicyViolation, refusal.For(cause, true).Type, wordOf(cause))
		}).release
	}
	return t, func(by string) {
		release()
		to.pending.Add(-1)
		tell(by)
	}
}

// checkOf returns a check of the credential of q, which keeps no more of it than a check reads.
func (r *route) checkOf(q *http.Request) func() (*counterfoil.Session, error) {
	kept := &http.Request{Method: q.Method, Header: http.Header{"Upgrade": q.Header["Upgrade"]}}
	for name := range strings.SplitSeq(request.Reads(request.Anywhere), ", ") {
		if values := q.Header[name]; values != nil {
			kept.Header[name] = values
		}
	}
	return func() (*counterfoil.Session, error) { return r.guard.VerifyRequest(kept) }
}

// isWebSocket reports whether h asks for a WebSocket, or says that there is one.
func isWebSocket(h http.Header) bool {
	up := h["Upgrade"]
	return len(up) == 1 && strings.EqualFold(up[0], "websocket")
}

// sockets are the tunnels that run.
type sockets struct {
	running sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	live   map[*tunnel.Tunnel]struct{}
	closed bool
}

// run runs t, and calls ended when it has ended.
func (s *sockets) run(t *tunnel.Tunnel, ended func(by string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		s.live = map[*tunnel.Tunnel]struct{}{}
	}
	s.live[t] = struct{}{}
	if s.closed {
		t.End(tunnel.GoingAway, byStop, byStop)
	}
	s.running.Go(func() {
		by := t.Run()
		s.mu.Lock()
		delete(s.live, t)
		s.mu.Unlock()
		ended(by)
	})
}

// Close ends the WebSockets of [Gateway.Proxy] with code 1001, and waits until they have ended, which
// takes some seconds at most. One that is opened later ends at once.
func (g *Gateway) Close() {
	s := &g.sockets
	s.mu.Lock()
	s.closed = true
	for t := range s.live {
		t.End(tunnel.GoingAway, byStop, byStop)
	}
	s.mu.Unlock()
	s.running.Wait()
}

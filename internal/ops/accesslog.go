package ops

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// observer stands around the program's handler: one log line and one measurement per
// request; and while the program is about to stop, a /readyz that fails, and answers that end their
// connections, so that none is closed under a client's next request.
type observer struct {
	log      *slog.Logger
	metrics  *Metrics
	trusted  forwarded.Proxies
	quiet    []string     // patterns of routes that machines ask all the time
	base     string       // path below which the handler answers too
	draining *atomic.Bool // the program is about to stop
	proxied  bool         // no path is the program's own
}

// wrap returns next, observed. Next sees the client that a trusted proxy names as the peer,
// so no other code ever reads a forwarded header (LOGIN-10). A line has only what the
// program made or chose: the pattern of the route instead of the path, and no query, header or
// body.
func (o *observer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := forwarded.Peer(r.RemoteAddr)
		a := &answer{ResponseWriter: w, observer: o, begun: time.Now(), client: o.trusted.ClientOf(peer, r)}
		if a.client != peer {
			r = r.WithContext(r.Context()) // a copy: the caller's request is not ours to change
			r.RemoteAddr = netip.AddrPortFrom(a.client, 0).String()
		}
		if o.proxied {
			r, a.body = followBody(r)
		}
		a.request = r
		o.metrics.inFlight.Inc()
		defer a.end()
		if o.draining.Load() {
			a.Header().Set("Connection", "close") // HTTP/2 has GOAWAY for it
			if !o.proxied && (r.URL.Path == "/readyz" || r.URL.Path == o.base+"/readyz") {
				p := refusal.Problem{Status: http.StatusServiceUnavailable, Type: "stopping", Title: "Stopping", RetryAfter: time.Second}
				p.ServeHTTP(a, r)
				return
			}
		}
		next.ServeHTTP(a, r)
	})
}

// line is what the log says about a request.
type line struct {
	route  string
	status int
	bytes  int64
	client netip.Addr
	begun  time.Time
	by     string // who or what ended it, if that must be said
}

// write measures a request, and writes a line about it. id is asked only for that.
func (o *observer) write(ctx context.Context, l line, id func() string) {
	took := time.Since(l.begun)
	o.metrics.request(l.route, l.status, took)
	level := slog.LevelInfo
	if l.status < 500 && slices.Contains(o.quiet, l.route) {
		level = slog.LevelDebug
	}
	if !o.log.Enabled(ctx, level) {
		return // before the line is made
	}
	attrs := []slog.Attr{
		slog.String("request", id()), slog.String("route", l.route), slog.Int("status", l.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int64("bytes", l.bytes),
		slog.String("address", l.client.String()), slog.String("ended_by", l.by),
	}
	if l.by == "" {
		attrs = attrs[:len(attrs)-1]
	}
	o.log.LogAttrs(ctx, level, "request", attrs...)
}

// answer records what the log says of an answer.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64

	observer *observer
	request  *http.Request
	client   netip.Addr
	begun    time.Time
	by       string
	detached bool  // the line is written later
	body     *body // nil: nobody has to care about it
}

func (a *answer) end() {
	a.observer.metrics.inFlight.Dec()
	if !a.detached {
		if a.status == 0 {
			a.body.end(a.ResponseWriter)
		}
		a.observer.write(a.request.Context(), a.line(), a.id)
	}
}

func (a *answer) id() string { return a.Header().Get("X-Request-Id") }

func (a *answer) line() line {
	route := a.request.Pattern // set by the mux that serves it
	if route == "" {
		route = "none"
	}
	return line{route, cmp.Or(a.status, http.StatusOK), a.bytes, a.client, a.begun, a.by}
}

// EndedBy has the log say who or what ended the answer that w writes.
func EndedBy(w http.ResponseWriter, by string) {
	if a := answerOf(w); a != nil {
		a.by = by
	}
}

// Detach is for a handler that has hijacked the connection of w, and returns before it is closed. The
// line of the log is written by what Detach returns, with who or what has ended the connection.
func Detach(w http.ResponseWriter) func(by string) {
	a := answerOf(w)
	if a == nil {
		return func(string) {}
	}
	a.detached = true
	o, l, id := a.observer, a.line(), a.id() // the request is not kept
	l.status = http.StatusSwitchingProtocols
	return func(by string) {
		l.by = by
		o.write(context.Background(), l, func() string { return id })
	}
}

// answerOf returns the answer that w writes to, or nil.
func answerOf(w http.ResponseWriter) *answer {
	for {
		if a, is := w.(*answer); is {
			return a
		}
		inner, is := w.(interface{ Unwrap() http.ResponseWriter })
		if !is {
			return nil
		}
		w = inner.Unwrap()
	}
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
		a.body.end(a.ResponseWriter)
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

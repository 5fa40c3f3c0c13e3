package ops

import (
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
// request, and a /readyz that fails while the program is about to stop.
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
		begun := time.Now()
		a := &answer{ResponseWriter: w}
		client := o.trusted.Client(r)
		r = r.WithContext(r.Context()) // a copy: the caller's request is not ours to change
		if client.IsValid() {
			r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
		}
		o.metrics.inFlight.Inc()
		defer func() {
			o.metrics.inFlight.Dec()
			o.note(r, a, client, time.Since(begun))
		}()
		if o.draining.Load() && o.proxied {
			a.Header().Set("Connection", "close") // HTTP/2 has GOAWAY for it
		} else if o.draining.Load() && (r.URL.Path == "/readyz" || r.URL.Path == o.base+"/readyz") {
			p := refusal.Problem{Status: http.StatusServiceUnavailable, Type: "stopping", Title: "Stopping", RetryAfter: time.Second}
			p.ServeHTTP(a, r)
			return
		}
		next.ServeHTTP(a, r)
	})
}

func (o *observer) note(r *http.Request, a *answer, client netip.Addr, took time.Duration) {
	route := r.Pattern // set by the mux that serves r
	if route == "" {
		route = "none"
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	o.metrics.request(route, status, took)
	level := slog.LevelInfo
	if status < 500 && slices.Contains(o.quiet, route) {
		level = slog.LevelDebug
	}
	o.log.LogAttrs(r.Context(), level, "request",
		slog.String("request", a.Header().Get("X-Request-Id")), slog.String("route", route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int64("bytes", a.bytes),
		slog.String("address", client.String()))
}

// answer records status and size of an answer.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

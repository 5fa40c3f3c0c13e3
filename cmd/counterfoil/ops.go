package main

import (
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/source"
)

// opsHandler serves what operators look at: metrics, profiles, the state of the
// revocation log, and the server's own probes. It is a listener of its own so
// that no route of the public one can ever lead here (OPS-07).
func opsHandler(m *metrics, s *state, probes http.Handler, token secret.String, public bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/revocation", s.page)
	open := http.NewServeMux()
	open.Handle("GET /healthz", probes)
	open.Handle("GET /readyz", probes)
	open.Handle("/", guardOps(mux, token, public))
	return open
}

// guardOps lets an operator's program through. A browser on this machine reaches
// loopback too, for whatever page it shows: a foreign Host is a name that was
// bound to 127.0.0.1 to get around the same-origin policy, and a cross-site
// request could keep the profiler busy.
func guardOps(next http.Handler, token secret.String, public bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		p := source.Problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Not allowed"}
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case site != "" && site != "none" && site != "same-origin":
		case token.Reveal() == "" && !public && !urls.Loopback(r.Host):
		case token.Reveal() != "" && !bearer(r).Equal(token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			p = source.Problem{Status: http.StatusUnauthorized, Type: "unauthorized", Title: "The ops token is wanted"}
		default:
			next.ServeHTTP(w, r)
			return
		}
		p.ServeHTTP(w, r)
	})
}

func bearer(r *http.Request) secret.String {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.String{}
	}
	return secret.New(rest)
}

// followerView is a verifier as /debug/revocation shows it. The id is shortened:
// whole, it could be used to acknowledge in the verifier's name.
type followerView struct {
	Verifier   string             `json:"verifier"`
	Applied    counterfoil.Cursor `json:"applied"`
	Behind     uint64             `json:"behind"` // entries
	FreshUntil time.Time          `json:"fresh_until"`
	Following  bool               `json:"following"`
	ServeStale bool               `json:"serve_stale"`
}

// page shows the issuer's view of the log and of its verifiers (REV-20).
func (s *state) page(w http.ResponseWriter, r *http.Request) {
	status, err := s.status(r.Context())
	if err != nil {
		p := source.Problem{Status: http.StatusServiceUnavailable, Type: "unavailable", Title: "The store cannot be reached", RetryAfter: time.Second}
		p.ServeHTTP(w, r)
		return
	}
	now := s.now()
	verifiers := []followerView{}
	for _, f := range status.Followers {
		verifiers = append(verifiers, followerView{
			Verifier: f.ID[:min(8, len(f.ID))], Applied: f.Acked, Behind: lag(status, f),
			FreshUntil: f.Until.UTC(), Following: f.Until.After(now), ServeStale: f.ServeStale,
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, map[string]any{
		"time": now.UTC(), "head": status.Head, "entries": status.Entries, "verifiers": verifiers,
	})
}

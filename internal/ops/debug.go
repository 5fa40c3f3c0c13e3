package ops

import (
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// opsHandler serves what operators look at: metrics, profiles, pages of the program, and
// its probes. It has a listener of its own so that no route of the public one can ever lead
// here (OPS-07).
func opsHandler(m *Metrics, pages map[string]http.Handler, probes http.Handler, token secret.String, public bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /debug/pprof/", profiles(token))
	for pattern, page := range pages {
		mux.Handle(pattern, page)
	}
	open := http.NewServeMux()
	open.Handle("GET /healthz", probes)
	open.Handle("GET /readyz", probes)
	open.Handle("/", guardOps(mux, token, public))
	return open
}

// profiles serves the profiles of Go, if there is a token that keeps others out. They show what is
// in the memory of the process, and every user of the machine can reach loopback.
func profiles(token secret.String) http.Handler {
	if token.Reveal() == "" {
		return &refusal.Problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Not allowed", Detail: "Profiles need ops_token in the settings, also on loopback."}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// guardOps lets an operator's program through. A browser on this machine reaches loopback
// too, for any page that it shows. A Host that is not loopback is a name that an attacker
// bound to 127.0.0.1 to get around the same-origin policy (DNS rebinding), and a request
// from another site could keep the profiler busy.
func guardOps(next http.Handler, token secret.String, public bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		p := refusal.Problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Not allowed"}
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case site != "" && site != "none" && site != "same-origin":
		case token.Reveal() == "" && !public && !urls.Loopback(r.Host):
		case token.Reveal() != "" && !bearer(r).Equal(token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			p = refusal.Problem{Status: http.StatusUnauthorized, Type: "unauthorized", Title: "The ops token is wanted"}
		default:
			next.ServeHTTP(w, r)
			return
		}
		p.ServeHTTP(w, r)
	})
}

func bearer(r *http.Request) secret.String {
	field, _ := request.Authorized(r)
	scheme, rest := request.Credentials(field)
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.String{}
	}
	return secret.New(rest)
}

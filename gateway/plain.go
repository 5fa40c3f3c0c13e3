package gateway

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Hosts returns the hosts for which the listener of [Gateway.Proxy] needs a certificate: those of routes with
// upstreams and an origin of https, in order.
func Hosts(routes []Route) (hosts []string) {
	for _, r := range routes {
		if at, err := url.Parse(r.Origin); err == nil && at.Scheme == "https" && len(r.Upstreams) > 0 {
			hosts = append(hosts, at.Hostname())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

var errHTTPS = &refusal.Problem{Status: http.StatusForbidden, Type: "https-wanted", Title: "Ask by https", Detail: "What was sent could be read on the way."}

// Redirect sends a visitor who has asked by http to https, where [Gateway.Proxy] is. It does so for GET and HEAD
// alone: a program that sends more than that is to be corrected, and not to send its credential twice.
func (g *Gateway) Redirect() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "redirect"
		t := target{}
		refused := errOtherHost
		if !twoHosts(r) {
			refused = t.parse(&question{scheme: "https", host: r.Host, uri: r.RequestURI})
		}
		origin := ""
		if refused == nil {
			if origin = g.routes.Load().secure(t.origin); origin == "" {
				refused = errNoRoute
			} else if r.Method != http.MethodGet && r.Method != http.MethodHead {
				refused = errHTTPS
			}
		}
		if refused != nil {
			refused.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Location", origin+t.raw)
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

// secure returns an origin of https on the host of asked, or "": the one with the default port, if there is one.
func (all table) secure(asked string) (origin string) {
	at, err := url.Parse(asked)
	if err != nil {
		return ""
	}
	for named, some := range all {
		if some[0].scheme == "https" && some[0].host == at.Hostname() && slices.ContainsFunc(some, func(r *route) bool { return len(r.pool) > 0 }) {
			if origin == "" || len(named) < len(origin) || len(named) == len(origin) && named < origin { // a port makes it longer
				origin = named
			}
		}
	}
	return origin
}

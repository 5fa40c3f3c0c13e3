package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// question is what a proxy asks about: the request of a visitor, as the proxy says it is. The
// headers of the visitor came along, and those that say what is asked for are the proxy's.
type question struct {
	method, scheme, host string
	uri                  string // path and query, byte for byte
	direct               bool   // the visitor's request came itself, and no proxy asks about it
}

// dialect is how a kind of proxy asks. Each reads its own headers alone: a visitor can send
// those of another dialect, which this proxy passes on.
type dialect struct {
	metadata []string // the headers, by their canonical names
	read     func(r *http.Request) (question, *refusal.Problem)
	keepBack bool // the proxy keeps from the service what an answer names
}

var (
	errUntrusted = &refusal.Problem{Status: 403, Type: "untrusted-proxy", Title: "Not a trusted proxy", Detail: "Only the proxies of trusted_proxies may ask."}
	errUpgrade   = &refusal.Problem{Status: 400, Type: "bad-upgrade", Title: "No such upgrade", Detail: "A connection that is no WebSocket would have requests that nobody asks about."}
	errAmbiguous = &refusal.Problem{Status: 400, Type: "ambiguous-header", Title: "Ambiguous header", Detail: "The request has a header whose name other programs take for one that says who the caller is or what is asked for."}
)

func badMetadata(detail string) *refusal.Problem {
	return &refusal.Problem{Status: 400, Type: "bad-metadata", Title: "The proxy does not say what is asked for", Detail: detail}
}

// ask reads a question. Only a trusted proxy may ask (GW-05), and it says each thing once (GW-06).
func (g *Gateway) ask(d *dialect, r *http.Request) (question, *refusal.Problem) {
	if !g.trusts(r) {
		return question{}, errUntrusted
	}
	if ambiguous(r.Header) {
		return question{}, errAmbiguous
	}
	if r.Header["Upgrade"] != nil && !isWebSocket(r.Header) {
		return question{}, errUpgrade // the proxy passes it on: the requests of an upgrade to HTTP/2 are its own
	}
	for _, name := range d.metadata {
		switch values := r.Header[name]; {
		case len(values) == 0 || values[0] == "":
			return question{}, badMetadata(name + " is missing")
		case len(values) > 1:
			return question{}, badMetadata(name + " is there more than once")
		}
	}
	return d.read(r)
}

// trusts reports whether r came from a trusted proxy.
func (g *Gateway) trusts(r *http.Request) bool {
	return forwarded.Proxies(g.opts.TrustedProxies).Contain(g.opts.Peer(r))
}

// byForwarded is the dialect of Traefik, Caddy and HAProxy.
var byForwarded = &dialect{
	metadata: []string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"},
	read: func(r *http.Request) (question, *refusal.Problem) {
		h := r.Header
		return question{
			method: h["X-Forwarded-Method"][0], scheme: h["X-Forwarded-Proto"][0], host: h["X-Forwarded-Host"][0], uri: h["X-Forwarded-Uri"][0],
		}, nil
	},
}

// byOriginal is the dialect of nginx: one header has the whole URL.
var byOriginal = &dialect{
	metadata: []string{"X-Original-Method", "X-Original-Url"},
	read: func(r *http.Request) (question, *refusal.Problem) {
		q, ok := about(r.Header["X-Original-Method"][0], r.Header["X-Original-Url"][0])
		if !ok {
			return q, badMetadata("X-Original-URL is not SCHEME://HOST/PATH")
		}
		return q, nil
	},
}

// about is the question about a whole URL.
func about(method, url string) (q question, ok bool) {
	scheme, rest, found := strings.Cut(url, "://")
	slash := strings.IndexByte(rest, '/')
	if !found || slash < 0 {
		return q, false
	}
	return question{method: method, scheme: scheme, host: rest[:slash], uri: rest[slash:]}, true
}

// byPrefix is the dialect of Envoy: the question is the request itself, with its method and
// host, behind a prefix of the path.
func byPrefix(prefix string) *dialect {
	return &dialect{
		metadata: []string{"X-Forwarded-Proto"},
		keepBack: true,
		read: func(r *http.Request) (question, *refusal.Problem) {
			uri, found := strings.CutPrefix(r.RequestURI, prefix)
			if !found {
				return question{}, badMetadata("the path does not begin with " + prefix)
			}
			return question{method: r.Method, scheme: r.Header["X-Forwarded-Proto"][0], host: r.Host, uri: uri}, nil
		},
	}
}

// shell returns the visitor's request as far as a check reads it: with its own method, the headers that
// came along with the question r, and Upgrade if it opens a WebSocket. Another upgrade is not passed on: some programs offer
// one to HTTP/2 with each request, and a page can make a browser offer none.
func (q *question) shell(r *http.Request) *http.Request {
	opens, says := upgrade(r), len(r.Header["Upgrade"]) > 0
	if q.method == r.Method && opens == says {
		return r
	}
	visitor := r.WithContext(r.Context())
	visitor.Method = q.method
	if opens != says {
		visitor.Header = r.Header.Clone()
		if delete(visitor.Header, "Upgrade"); opens {
			visitor.Header["Upgrade"] = []string{"websocket"}
		}
	}
	return visitor
}

// upgrade reports whether the visitor opens a WebSocket. Some proxies take Upgrade and
// Connection out of the question; the others come along through all of them (CSRF-12).
func upgrade(r *http.Request) bool {
	return len(r.Header["Sec-Websocket-Key"]) > 0 || len(r.Header["Sec-Websocket-Version"]) > 0 ||
		slices.ContainsFunc(r.Header["Upgrade"], func(to string) bool { return strings.Contains(strings.ToLower(to), "websocket") })
}

package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// csrfHeader carries the token of GET /v1/csrf.
const csrfHeader = "X-CSRF-Token"

// checkSite refuses what a page of another site made a browser send with its cookie:
// unsafe methods, and anything that says it comes from an origin which is neither the
// server's own nor, on a shared path, one of the session's client (CSRF-01 to 04, CORS-01).
//
// A program that sends neither Origin nor Sec-Fetch-Site may show the token of its
// session instead (CSRF-10). It never stands in for a header that says otherwise.
func (s *Server) checkSite(r *http.Request, session *counterfoil.Session) error {
	if token := r.Header.Values(csrfHeader); len(token) > 0 {
		if len(token) > 1 || !s.csrfValid(token[0], session.ID) {
			return source.ErrCrossOrigin // of another session, or made up
		}
		if !request.StatesOrigin(r) {
			return nil
		}
	}
	origin := r.Header.Get("Origin")
	if !request.Unsafe(r.Method) && (origin == "" || slices.Contains(s.origins, origin)) {
		return nil
	}
	allowed, err := s.originsOf(r, session.Client)
	if err != nil {
		return err
	}
	if request.Unsafe(r.Method) {
		return source.CheckOrigin(r, allowed)
	}
	if !slices.Contains(allowed, origin) {
		return source.ErrCrossOrigin
	}
	return nil
}

// originsOf returns the origins that may act for client: the server's own and, on a shared
// path, the client's, which are only read when r names another than the server's own. A
// page can send a request without a body past CORS, so that a path is not shared with pages
// of clients must hold here as well.
func (s *Server) originsOf(r *http.Request, client string) ([]string, error) {
	origin := r.Header.Get("Origin")
	method := r.Method
	if method == http.MethodHead { // as GET, RFC 9110 section 9.3.2
		method = http.MethodGet
	}
	if origin == "" || slices.Contains(s.origins, origin) || !slices.Contains(strings.Split(sharedMethods(r.URL.Path), ", "), method) {
		return s.origins, nil
	}
	if client == "" {
		client = clients.Default
	}
	c, err := s.issuer.Clients().Client(r.Context(), client)
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(s.origins), c.Origins...), nil
}

// unformed refuses a change by cookie that a form could send: one with neither a body of
// JSON nor the token of the session. It is for routes that take no body.
func unformed(r *http.Request) error {
	if request.Unsafe(r.Method) && r.Header.Get(csrfHeader) == "" && !oneMedia(r, "application/json") {
		return source.ErrCrossOrigin
	}
	return nil
}

// fromBrowser refuses a login, registration or refresh that a page of neither the
// server nor the client sent: it would sign the victim in as the attacker (CSRF-07).
// Programs send neither header and have no ambient authority to steal.
func (s *Server) fromBrowser(r *http.Request, client string) error {
	if !request.StatesOrigin(r) {
		return nil
	}
	return s.fromOrigin(r, client)
}

// fromOwnPage demands that r comes from a page of the server itself.
func (s *Server) fromOwnPage(r *http.Request) error { return source.CheckOrigin(r, s.origins) }

// fromOrigin demands that r says where it comes from, and that the client's pages are there.
func (s *Server) fromOrigin(r *http.Request, client string) error {
	allowed, err := s.originsOf(r, client)
	if err != nil {
		return err
	}
	return source.CheckOrigin(r, allowed)
}

// keepsCookie refuses a login by cookie that a page of another site asks for. A browser keeps no
// cookie with SameSite from the answer to such a request, so the page would be told that
// somebody is signed in, and nobody would be.
func keepsCookie(r *http.Request, c counterfoil.Carrier) error {
	if c.Transport == counterfoil.Cookie && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return badRequest("a browser keeps no cookie from here for a page of another site: use carrier bearer")
	}
	return nil
}

// csrf gives the token of the caller's session: 16 random bytes, and an HMAC of them
// and the session's id. It is good for that session alone, as long as it lives.
func (s *Server) csrf(w http.ResponseWriter, r *http.Request) error {
	session, err := s.visiting(r)
	if err != nil {
		return err
	}
	token := make([]byte, 16)
	rand.Read(token)
	token = append(token, s.csrfMAC(token, session.ID)...)
	return writeJSON(w, http.StatusOK, map[string]string{"csrf_token": base64.RawURLEncoding.EncodeToString(token)})
}

func (s *Server) csrfMAC(random []byte, sid string) []byte {
	m := hmac.New(sha256.New, s.csrfKey)
	m.Write(random)
	m.Write([]byte(sid))
	return m.Sum(nil)
}

func (s *Server) csrfValid(token, sid string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(token) == 64 && len(raw) == 48 && hmac.Equal(raw[16:], s.csrfMAC(raw[:16], sid))
}

// shared are the paths that pages of a client's own origin may call, with the methods
// they have. Administration, the feed and introspection are not for pages.
var shared = map[string]string{
	"/v1/login": "POST", "/v1/login/continue": "POST", "/v1/register": "POST", "/v1/refresh": "POST", "/v1/logout": "POST",
	"/v1/session": "GET", "/v1/session/step-up": "POST", "/v1/csrf": "GET", "/v1/sessions": "GET, DELETE", "/v1/activity": "GET", "/v1/password": "POST",
	"/v1/invitations": "POST", "/v1/invitations/check": "POST", "/oauth/token": "POST", "/oauth/revoke": "POST",
	modulePath: "GET", metadataPath: "GET", "/.well-known/jwks.json": "GET",
}

// allowedHeaders are the fields that a page may add to a request: those that are read here, then
// those with which tracing tools mark every request of a page (W3C Trace Context and Baggage,
// Sentry, B3, Datadog, New Relic, Jaeger, AWS, Google). They are read by nobody here, but without
// them such a page could not sign anybody in.
const allowedHeaders = "Authorization, Content-Type, " + csrfHeader + ", " + api.DeviceHeader + ", " + requestHeader + ", " + api.RefreshHeader + ", " +
	"traceparent, tracestate, baggage, sentry-trace, " +
	"b3, X-B3-TraceId, X-B3-SpanId, X-B3-ParentSpanId, X-B3-Sampled, X-B3-Flags, " +
	"x-datadog-trace-id, x-datadog-parent-id, x-datadog-origin, x-datadog-sampling-priority, " +
	"newrelic, uber-trace-id, X-Amzn-Trace-Id, X-Cloud-Trace-Context"

func sharedMethods(path string) string {
	if strings.HasPrefix(path, "/v1/sessions/") || strings.HasPrefix(path, "/v1/notices/") {
		return "DELETE"
	}
	return shared[path]
}

// cors lets pages of exactly the origins that clients are registered with read what
// shared paths answer, and tells everybody else nothing: no header at all (CORS-01).
// A preflight is answered without looking at any credential (CORS-02). What a request
// may do is decided by checkSite and fromBrowser, for the one client it is of.
func (s *Server) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods := sharedMethods(r.URL.Path)
		if methods == "" {
			next.ServeHTTP(w, r)
			return
		}
		h, origins := w.Header(), r.Header.Values("Origin")
		if len(origins) != 1 || !s.knownOrigins.has(r.Context(), origins[0], s.issuer, s.now()) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", allowedHeaders)
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate, "+requestHeader)
		next.ServeHTTP(w, r)
	})
}

// origins remembers for a few seconds which origins clients have: a preflight must
// cost no listing. It only decides which answers a page may read.
type origins struct {
	mu   sync.Mutex // guards all; held while the clients are listed, so that it happens once
	read time.Time
	set  map[string]bool
}

const originsFor = 5 * time.Second

func (o *origins) has(ctx context.Context, origin string, i *issuer.Issuer, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.set == nil || now.Sub(o.read) >= originsFor {
		set, err := originsOf(ctx, i.Clients())
		if err != nil {
			return o.set[origin] // an outage: what was known, and the request will say
		}
		o.set, o.read = set, now
	}
	return o.set[origin]
}

// originsOf returns the origins of all clients. One is true if a client that is not disabled has it.
func originsOf(ctx context.Context, registry *clients.Registry) (map[string]bool, error) {
	set := map[string]bool{}
	for after, more := "", true; more; {
		var page []clients.Client
		var err error
		if page, more, err = registry.List(ctx, after, clients.MaxPage); err != nil {
			return nil, err
		}
		for _, c := range page {
			after = c.ID
			for _, known := range c.Origins {
				set[known] = set[known] || !c.Disabled
			}
		}
	}
	return set, nil
}

func (o *origins) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.set = nil
}

// Package server is the HTTP face of an issuer: the JSON API, the standard OAuth
// endpoints, the revocation feed that verifiers follow, and a few pages that work
// without JavaScript.
//
// Begin with [Open], which puts the whole auth server together: an [Embedded] is an
// http.Handler. The route table is routes.go. The handlers decide nothing about users and
// sessions: they read requests strictly, ask packages accounts and issuer, and turn the
// answer or the error into a response in one place each. The package opens no listener
// and ends no connection; timeouts and header limits belong to the http.Server around it.
//
// To find your way, read in this order:
//
//   - open.go makes the parts, server.go the chain that each request passes, and routes.go has every route.
//   - request.go, limits.go, paging.go and crosssite.go read a request. problem.go answers errors, and
//     cookies.go says which cookies are set and deleted.
//   - api_login.go, signin.go, stepup.go and device.go are the API of people; oauth*.go, program.go, feed.go and
//     handover.go that of programs.
//   - admin.go lets administrators through. The files api_*.go have their routes, views.go what these show, and
//     export.go and api_events.go the answers that last.
//   - pages.go renders a page, in the words of texts.go and under the name of brand.go. entry.go, recovery.go,
//     account.go and status.go are the pages for everybody. What a form has done is in done.go, and where a sign-in
//     leads in destination.go.
//   - post.go makes mails of messages to users, and monitor.go watches endpoints.
//   - console.go and the files console_*.go are a client of the API of administrators, and use nothing else.
package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/coalesce"
	"github.com/counterfoil/counterfoil/internal/limit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/source"
)

// Server answers HTTP requests for one issuer: the handler of an [Embedded]. It is safe for
// concurrent use.
type Server struct {
	issuer        *issuer.Issuer
	users         *accounts.Accounts
	flow          *flow.Flow // ways of signing in
	url           string
	base          string // path of url; empty: there is none
	brand         *brand
	tongues       []*tongue // in the order of languages
	document      []byte    // openapi.json for this server
	origins       []string  // exact origins that unsafe cookie requests may come from
	names         []string  // that requests may call it by
	secure        bool      // https: cookies are Secure and prefixed
	registration  bool
	signInByMail  bool
	log           *slog.Logger
	time          *nodetime.Clock
	now           func() time.Time
	pseudonymKey  []byte // of what stands for identifiers in the audit trail
	cursorKey     []byte // of cursors of listings
	csrfKey       []byte // of CSRF tokens
	formKey       []byte // of forms of the console that are kept during a step-up
	knownOrigins  origins
	clearSiteData bool
	warned        *limit.Limiter // of API keys that expire soon or come with a wrong name, by id
	exports       *slots
	plans         *slots // of revocations by filter: who only reads must not keep them out
	streams       *slots
	followers     coalesce.Gather[string, directory.APIKey]
	stats         *stats
	settings      []Setting
	outbox        *outbox.Outbox
	watching      *watching // nil: nothing is watched
	board         statusBoard
	offline       bool          // nothing runs in the background
	beat          time.Duration // of streams
	handler       http.Handler
	routed        http.Handler // the routes, for the calls of the console
}

// newServer checks the URL and builds the routes.
func newServer(c *Config, clock *nodetime.Clock, i *issuer.Issuer, users *accounts.Accounts, ways *flow.Flow) (*Server, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("server: Config.URL: %w", err)
	}
	s := &Server{
		issuer: i, users: users, flow: ways,
		url: c.URL, base: u.Path, origins: []string{urls.OriginOf(u)}, secure: u.Scheme == "https",
		registration: c.Registration, signInByMail: c.SignInByMail, log: c.Logger, time: clock, now: clock.Now,
		pseudonymKey: i.Derive("identifier mark"), cursorKey: i.Derive("page cursor"), csrfKey: i.Derive("csrf token"), formKey: i.Derive("console form"),
		clearSiteData: c.ClearSiteData, warned: limit.New(1, 24*time.Hour, 10_000),
		exports: newSlots(maxExports, exportsForEach), plans: newSlots(maxPlans, maxPlans), streams: newSlots(maxStreams, streamsForEach), beat: streamBeat,
	}
	if s.names, err = names(u, c.Hosts); err != nil {
		return nil, err
	}
	if s.brand, err = newBrand(c.Brand, s.base); err != nil {
		return nil, fmt.Errorf("server: Config.Brand: %w", err)
	}
	if err = s.readTongues(); err != nil {
		return nil, fmt.Errorf("server: pages: %w", err)
	}
	if s.document, err = describe(s.url); err != nil {
		return nil, err
	}
	s.routed = s.routes()
	s.handler = s.guard(s.below(s.hosts(s.cors(s.routed))))
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// guard surrounds every route: the headers that each answer has, errors included
// (HDR-01), and a panic that becomes an ordinary 500 (OPS-04).
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID()
		h := w.Header()
		h.Set(requestHeader, id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", pagePolicy)
		// A cached answer of this server is either a credential or a statement
		// that revocation can make false. Public documents say otherwise themselves.
		h.Set("Cache-Control", "no-store")
		request.AddVary(h, varies)
		if s.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { // net/http's own way to cut a connection
				panic(v)
			}
			s.answer(w, r, fmt.Errorf("panic: %v", v))
		}()
		next.ServeHTTP(w, r)
	})
}

// varies has the fields of a request that who the caller is, and what it may do, depends on.
var varies = []string{"Cookie, Authorization, Origin, Sec-Fetch-Site, " + csrfHeader}

// public is for documents that are the same for everybody. What CORS says of them depends on the
// origin.
func public(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Vary", "Origin")
}

// pagePolicy lets a page load our style sheet and icon, and send forms to us. Nothing else, and no
// script: see scripted.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// requestHeader names a request to a caller who asks for help: logs and audit trail have
// the same value.
const requestHeader = "X-Request-Id"

func requestID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// action is a route's code: it writes the answer itself, or returns an error and
// has written nothing.
type action func(w http.ResponseWriter, r *http.Request) error

// api adapts an action whose errors are answered as RFC 9457 problems.
func (s *Server) api(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			s.answer(w, r, err)
		}
	})
}

func (s *Server) cookieNames() (session, refresh string) {
	if s.secure {
		return source.CookieName, source.RefreshCookieName
	}
	return source.InsecureCookieName, source.InsecureRefreshCookieName
}

package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// Route says who may ask for what. Exactly one of Path and Prefix is set.
//
// Of the routes of an origin, the one with the longest path that fits a request decides, and
// no other: a query, a header or the method chooses no route with a shorter path (GW-09). What
// no route fits, and a method that the route does not list, is refused (GW-10, GW-12).
type Route struct {
	Origin string // of the service, as browsers send it: https://app.example.com
	Path   string // exactly this path
	Prefix string // this path, and all below it: /admin is for /admin and /admin/x, and not for /administration

	Methods   []string // nil: GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS; GET brings HEAD with it
	Anonymous bool     // for everybody: no credential is looked at, and the upstream is told of nobody

	Scopes []string // the caller has all of them; OAuth clients are told of them (RFC 9728)

	// Rules hold besides being signed in. Transport, Formats and Stale are those of
	// counterfoil.Route.
	Rules     []counterfoil.Rule
	Transport counterfoil.Transport
	Formats   []counterfoil.Format
	Stale     counterfoil.StalePolicy

	Allow    []Oddity // in the paths of this route
	Identity Identity // how the upstream is told who asks
	Audience string   // of the assertions that the upstream gets; empty: Origin

	// Upstreams are the servers that [Gateway.Proxy] passes requests to, such as
	// http://127.0.0.1:8090, https://app.internal or h2c://127.0.0.1:50051. They get the path and the
	// Host that the visitor asks for. Nil: the route is for the questions of other proxies alone.
	Upstreams []string

	Health   Health
	Timeouts Timeouts

	// BFF is the client whose access token the upstreams get instead of the visitor's cookie, see
	// [Exchange]. Empty: they get none.
	BFF string

	KeepCredentials bool // the upstreams get the cookies and the Authorization that the gateway reads (GW-14)
}

// route is a Route that was checked.
type route struct {
	Route
	host  string // of Origin, without the port
	at    string // Path or Prefix
	label string // origin and path, as in the file; a prefix ends with /*
	guard *counterfoil.Guard

	audience          *audience // shared by all routes of one Audience and Identity
	scheme, authority string    // of Origin
	pool              pool      // Upstreams
	policy            policy    // Stale
	tokens            *tokens   // shared by all routes of one BFF; nil: it is empty
}

// table has the routes of each origin, those with longer paths first.
type table map[string][]*route

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Check says what is wrong with routes, as [New] would.
func Check(routes []Route) error {
	_, err := newTable(routes)
	return err
}

// CheckPassing says what is wrong with routes for a gateway that passes requests on by [Gateway.Proxy]
// (passes), or for one that only answers proxies: it would refuse everything, or all that a route is for.
func CheckPassing(routes []Route, passes bool) error {
	for _, r := range routes {
		if r.BFF != "" && !passes {
			return fmt.Errorf("route %s%s%s has bff, and no request is passed on: another proxy gets no token for the service", r.Origin, r.Path, r.Prefix)
		}
	}
	if passes && !slices.ContainsFunc(routes, func(r Route) bool { return len(r.Upstreams) > 0 }) {
		return errors.New("no route has upstreams, so no request can be passed on")
	}
	return nil
}

// LongestStale is what Options.ServeStale of the verifier must allow for routes.
func LongestStale(routes []Route) (longest time.Duration) {
	for _, r := range routes {
		longest = max(longest, r.Stale.Beyond())
	}
	return longest
}

// guard makes the routes ask v.
func (all table) guard(v *counterfoil.Verifier) {
	status := v.Status()
	for _, some := range all {
		for _, r := range some {
			if !r.Anonymous {
				r.policy = policyOf(r.Stale, status)
				r.guard = v.With(counterfoil.Route{
					Stale: r.Stale, Transport: r.Transport, Formats: r.Formats, Rules: r.rules(),
					Origins: []string{r.Origin},
				})
			}
		}
	}
}

// rules are all that r demands of a session.
func (r *route) rules() []counterfoil.Rule {
	all := slices.Clone(r.Rules)
	for _, scope := range r.Scopes {
		all = append(all, counterfoil.RequireScope(scope))
	}
	return all
}

func newTable(routes []Route) (table, error) {
	if len(routes) == 0 {
		return nil, errors.New("there are no routes")
	}
	type told struct {
		audience string
		identity Identity
	}
	all, audiences := table{}, map[told]*audience{}
	for _, r := range routes {
		made, err := r.check()
		if err != nil {
			return nil, fmt.Errorf("route %s%s%s: %w", r.Origin, r.Path, r.Prefix, err)
		}
		for _, other := range all[r.Origin] {
			if other.Path == made.Path && other.Prefix == made.Prefix {
				return nil, fmt.Errorf("route %s%s is there twice", r.Origin, made.at)
			}
		}
		to := told{made.Audience, made.Identity}
		if audiences[to] == nil {
			audiences[to] = newAudience(made.Audience, made.Identity)
		}
		made.audience = audiences[to]
		all[r.Origin] = append(all[r.Origin], made)
	}
	for _, a := range audiences {
		a.most = max(2, mostIdentities/int64(len(audiences)))
	}
	for _, some := range all {
		slices.SortStableFunc(some, func(a, b *route) int {
			if len(a.at) == len(b.at) { // the exact one first
				return len(b.Path) - len(a.Path)
			}
			return len(b.at) - len(a.at)
		})
	}
	return all, nil
}

func (r Route) check() (*route, error) {
	origin, err := urls.Origin(r.Origin)
	if err != nil {
		return nil, err
	}
	if err := checkPath(r); err != nil {
		return nil, err
	}
	made := &route{Route: r, host: origin.Hostname(), scheme: origin.Scheme, authority: origin.Host}
	if r.Prefix != "/" {
		made.Prefix = strings.TrimSuffix(r.Prefix, "/")
	}
	if made.Audience = cmp.Or(r.Audience, r.Origin); token.CheckAudience(made.Audience) != nil {
		return nil, token.CheckAudience(made.Audience)
	}
	made.at = made.Path + made.Prefix
	if made.label = r.Origin + made.at; made.Prefix != "" {
		made.label = strings.TrimSuffix(made.label, "/") + "/*"
	}
	for _, o := range r.Allow {
		if !slices.Contains(oddities, o) {
			return nil, fmt.Errorf("unknown oddity %q: want one of %v", o, oddities)
		}
	}
	if r.Methods == nil {
		made.Methods = methods
	}
	for _, m := range r.Methods {
		if !slices.Contains(methods, m) {
			return nil, fmt.Errorf("unknown method %q: want some of %v", m, methods)
		}
	}
	if slices.Contains(r.Methods, "GET") && !slices.Contains(r.Methods, "HEAD") {
		made.Methods = append(slices.Clone(r.Methods), "HEAD")
	}
	if err := checkUpstreams(r); err != nil {
		return nil, err
	}
	if err := r.checkBFF(); err != nil {
		return nil, err
	}
	if r.BFF != "" {
		made.Transport = counterfoil.Cookie
	}
	if r.Anonymous && (r.Rules != nil || r.Scopes != nil || r.Audience != "" || r.Transport != 0 || r.Formats != nil || r.Stale != counterfoil.StalePolicy{}) {
		return nil, errors.New("a route for everybody asks nothing of a caller")
	}
	return made, nil
}

func checkUpstreams(r Route) error {
	if len(r.Upstreams) == 0 && (r.Health != Health{} || r.Timeouts != Timeouts{}) {
		return errors.New("health and timeouts are for a route with upstreams")
	}
	for n, text := range r.Upstreams {
		if _, err := parseUpstream(text); err != nil {
			return err
		}
		if slices.Contains(r.Upstreams[:n], text) {
			return fmt.Errorf("upstream %s is there twice", text)
		}
	}
	return errors.Join(r.Health.check(), r.Timeouts.check())
}

func checkPath(r Route) error {
	at := r.Path + r.Prefix
	switch {
	case (r.Path == "") == (r.Prefix == ""):
		return errors.New("want a path or a prefix, and not both")
	case !strings.HasPrefix(at, "/"):
		return errors.New("the path must begin with a slash")
	case strings.ContainsAny(at, "?#"):
		return errors.New("a query or a fragment chooses no route")
	}
	t := &target{}
	if err := t.readPath(at); err != nil {
		return errors.New(err.Detail)
	}
	if len(t.odd) > 0 || t.path != at {
		return errors.New("write the path decoded, and without empty segments")
	}
	return nil
}

// signsIn reports whether a person who signs in on the page of g can be signed in here. That makes
// an opaque id in a cookie, and a browser that opens a page sends no token in a header. The cookie
// comes back to its own host alone, at any port (RFC 6265 section 8.5), so another host must get
// one of its own: a person who is signed in already would be sent to and fro otherwise.
func (r *route) signsIn(g *Gateway) bool {
	if r.Transport == counterfoil.Header || r.Formats != nil && !slices.Contains(r.Formats, counterfoil.Opaque) {
		return false
	}
	if r.host == g.pageHost {
		return true
	}
	// The verifier reads a cookie with a prefix if the issuer has https. A browser keeps none of
	// those for http.
	secure := strings.HasPrefix(r.Origin, "https:")
	return g.opts.Handover != nil && (secure || strings.HasPrefix(g.opts.Handover.Page, "http:"))
}

// name names r in metrics and messages.
func (r *route) name() string {
	if r == nil {
		return ""
	}
	return r.label
}

// fits reports whether r is for path.
func (r *route) fits(path string) bool {
	if r.Path != "" {
		return path == r.Path
	}
	rest, below := strings.CutPrefix(path, r.Prefix)
	return below && (rest == "" || rest[0] == '/' || r.Prefix == "/")
}

// errNoRoute tells a stranger nothing about the routes.
var errNoRoute = &refusal.Problem{Status: 403, Type: "no-rule", Title: "Not allowed", Detail: "No rule allows this."}

// find returns the one route that decides about t, or a refusal, with the route that says so
// if there is one.
func (all table) find(t *target, method string) (*route, *refusal.Problem) {
	r := all.at(t.origin, t.path)
	switch {
	case r == nil && len(t.odd) > 0:
		return nil, badTarget("the path has an oddity: " + string(t.odd[0]))
	case r == nil, !slices.Contains(r.Methods, method):
		return r, errNoRoute
	}
	for _, o := range t.odd {
		if !slices.Contains(r.Allow, o) {
			return r, badTarget("the path has an oddity that its route does not allow: " + string(o))
		}
	}
	for _, path := range t.readings() {
		if all.at(t.origin, path) != r {
			return r, badTarget("the path has an oddity, and without it another route would decide")
		}
	}
	return r, nil
}

// at returns the route with the longest path that fits path, or nil.
func (all table) at(origin, path string) *route {
	for _, r := range all[origin] {
		if r.fits(path) {
			return r
		}
	}
	return nil
}

package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

// FromContext returns the session that Require put there.
func FromContext(ctx context.Context) (*Session, bool) {
	s, ok := ctx.Value(request.SessionKey{}).(*Session)
	return s, ok
}

// Route is how the requests of one route are checked, where that differs from the
// rest. The zero Route is that of Verifier.Require.
type Route struct {
	// Stale answers while knowledge is too old; zero: Options.Stale.
	Stale StalePolicy

	// Strict routes know at least what the issuer knew when it made the copy at
	// hand: they wait for that up to 50 ms, then the stale policy answers (REV-11).
	Strict bool

	// Transport is the one place where a credential is looked for. What is in the
	// other is not read, and does not make two credentials of one (TOK-34). Zero: both
	// places, and exactly one credential in them.
	Transport Transport

	Formats []Format // accepted here, of those that the verifier accepts; nil: all of them
	Rules   []Rule   // hold for every request, before those of Require
	Origins []string // as Options.Origins, for this route; nil: those of Options. A copy with a Session.Origin is for these alone
}

// Guard checks the requests of a route.
type Guard struct {
	v      *Verifier
	route  Route
	demand demand   // of a request that names no cursor
	vary   []string // fields that it reads, as one line of Vary
}

// With returns a guard for a route. Like http.ServeMux.Handle it is for the start of
// a program, and panics if r contradicts the verifier's options: a policy beyond
// Options.ServeStale, no format that is accepted, or an origin that no browser sends.
func (v *Verifier) With(r Route) *Guard {
	if r.Stale.mode == inherit {
		r.Stale = v.opts.Stale
	}
	if r.Stale.mode == serveStale && (r.Stale.max <= 0 || r.Stale.max > v.opts.ServeStale) {
		panic(fmt.Sprintf("counterfoil: Route.Stale is %v, and Options.ServeStale allows %v", r.Stale, v.opts.ServeStale))
	}
	for _, f := range r.Formats {
		if v.opts.Formats != nil && !slices.Contains(v.opts.Formats, f) {
			panic("counterfoil: Route.Formats names one that Options.Formats does not")
		}
	}
	if r.Formats != nil && len(r.Formats) == 0 {
		panic("counterfoil: Route.Formats accepts nothing")
	}
	if r.Origins == nil {
		r.Origins = v.opts.Origins
	}
	if err := checkOrigins(r.Origins); err != nil {
		panic(fmt.Sprintf("counterfoil: Route.Origins: %v", err))
	}
	r.Formats, r.Rules, r.Origins = slices.Clone(r.Formats), slices.Clone(r.Rules), slices.Clone(r.Origins)
	return &Guard{v, r, demand{policy: r.Stale, formats: r.Formats, strict: r.Strict}, []string{request.Reads(r.Transport.place())}}
}

// Require lets only requests through that carry a good session and meet all
// rules. Others get a problem (RFC 9457); next finds the session with [FromContext].
//
// Each answer names in Vary what was read: Cookie, Authorization, Origin, Sec-Fetch-Site and
// Counterfoil-Min-Cursor, as far as the route reads them. The writer that next gets adds them to what
// next sets. It has Flush and Hijack if the server's writer has; http.ResponseController
// finds the rest.
func (v *Verifier) Require(next http.Handler, rules ...Rule) http.Handler {
	return v.guard.Require(next, rules...)
}

// VerifyRequest returns the session of a request. One that a cookie
// authenticates must also pass the check of its origin (CSRF-01). An answer that a cache may
// keep must name in Vary what was read: see Require.
func (v *Verifier) VerifyRequest(r *http.Request) (*Session, error) {
	return v.guard.VerifyRequest(r)
}

// Require is Verifier.Require for this route.
func (g *Guard) Require(next http.Handler, rules ...Rule) http.Handler {
	rules = slices.Concat(g.route.Rules, rules)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var f found
		c, err := g.verify(r, rules, &f)
		if err != nil {
			g.refuse(w, r, c, err)
			return
		}
		g.admit(next, w, r, &f)
	})
}

// VerifyRequest returns the session of a request that the route's rules let
// through.
func (g *Guard) VerifyRequest(r *http.Request) (*Session, error) {
	var f found
	if _, err := g.verify(r, g.route.Rules, &f); err != nil {
		return nil, err
	}
	return f.Session(), nil
}

// verify sets f, and also returns the credential, as far as it was found.
func (g *Guard) verify(r *http.Request, rules []Rule, f *found) (c credential, err error) {
	c, err = g.check(r, f)
	if err == nil && len(rules) > 0 {
		f.session = f.Session()
		err = g.v.follow(rules, f.session)
	}
	if err != nil {
		g.v.refused.count(err)
	}
	return c, err
}

// follow asks the rules. While the time is in doubt one may answer otherwise by the earliest
// than by the latest time, and then there is no answer.
func (v *Verifier) follow(rules []Rule, s *Session) error {
	if len(rules) == 0 {
		return nil
	}
	earliest, latest := v.issuerTime()
	for _, rule := range rules {
		err := rule(s, latest)
		if !earliest.Equal(latest) && (rule(s, earliest) == nil) != (err == nil) {
			return errDoubt
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *Guard) check(r *http.Request, f *found) (credential, error) {
	c, err := findCredential(r, g.v.cookie, g.route.Transport)
	if err != nil {
		return c, err
	}
	if c.transport == Cookie {
		if err := request.CheckOrigin(r, g.route.Origins); err != nil {
			return c, err
		}
	}
	d := &g.demand
	if fields := r.Header[request.MinCursorHeader]; len(fields) > 0 {
		more := g.demand
		if more.min, err = minCursor(fields); err != nil {
			return c, err
		}
		d = &more
	}
	return c, g.take(r.Context(), c, d, f)
}

// take is a check, and refuses a copy for another origin than the route's: a service that sees
// it could use it at another one otherwise.
func (g *Guard) take(ctx context.Context, c credential, d *demand, f *found) error {
	if err := g.v.verify(ctx, c, d, f); err != nil {
		return err
	}
	if origin := f.origin(); origin != "" && !slices.Contains(g.route.Origins, origin) {
		return errNotHere
	}
	if f.cold {
		g.v.seen.warm(c, f)
	}
	return nil
}

// credential is what a request carries, and how.
type credential struct {
	value     string
	transport Transport
}

func inHeader(value string) credential { return credential{value, Header} }

// place is where a request has a credential of that transport; zero: in either.
func (t Transport) place() request.Place {
	switch t {
	case Cookie:
		return request.Cookie
	case Header:
		return request.Authorization
	}
	return request.Anywhere
}

// findCredential returns the one credential of a request. It reads one transport only,
// unless only is zero. With an error it says which transport the error is about.
func findCredential(r *http.Request, cookieName string, only Transport) (credential, error) {
	value, at, err := request.Find(r, cookieName, only.place())
	c := inHeader(value)
	if at == request.Cookie {
		c.transport = Cookie
	}
	return c, err
}

// minCursor reads the values of MinCursorHeader.
func minCursor(fields []string) (Cursor, error) {
	if len(fields) == 1 {
		if c, err := revocation.ParseCursor(fields[0]); err == nil && c.Epoch != 0 {
			return c, nil
		}
	}
	return Cursor{}, &refusal.Problem{
		Status: http.StatusBadRequest, Type: "bad-request", Title: "Bad request",
		Detail: request.MinCursorHeader + " is not one EPOCH.SEQ", Cause: revocation.ErrCursor,
	}
}

// refuse answers. It takes a cookie away that the issuer ended, or that it never made (SES-08,
// SES-18). It leaves one that a refresh may be replacing at this moment, or that is good
// elsewhere, and never takes one away because of a clock or an outage.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, c credential, err error) {
	h := w.Header()
	request.AddVary(h, g.vary)
	found := c.value != "" || errors.Is(err, refusal.ErrDuplicateCookie)
	refreshed := (errors.Is(err, ErrExpired) || errors.Is(err, ErrStaleClaims)) && token.ShapeOf(c.value) != token.ShapeOpaque
	kept := refreshed || errors.Is(err, errNotHere) || outage(err)
	if c.transport == Cookie && found && errors.Is(err, ErrInvalidToken) && !kept {
		h.Add("Set-Cookie", request.SetCookie(g.v.cookie, "", "Lax", 0))
	}
	refusal.For(err, c.transport == Cookie).At(g.v.metadata).ServeHTTP(w, r)
}

func outage(err error) bool { return errors.Is(err, ErrStale) || errors.Is(err, ErrUnavailable) }

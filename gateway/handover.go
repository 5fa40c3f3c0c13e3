package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// HandoverPrefix is where the path begins of what a gateway answers at each host that it protects.
// Proxies pass it on to [Gateway.Handler], with X-Forwarded-Proto and X-Forwarded-Host of their own.
const HandoverPrefix = "/.counterfoil/"

const (
	beginPath    = HandoverPrefix + "begin"
	callbackPath = HandoverPrefix + "callback"
	signOutPath  = HandoverPrefix + "sign-out"
)

// Handover is how the hosts of the routes get cookies of a session: a browser sends none that was
// set at another host. docs/decisions/0063-one-cookie-for-each-host.md says why it is safe.
type Handover struct {
	Page string // URL of the page of the auth server that gives a browser a code: /handover of the issuer

	// Redeem returns the cookie that a code is good for. An error that is ErrInvalidToken means
	// that the code is not good, and any other says nothing about it. With another Verifier than
	// that of the browser for which the code was made, it uses the code up.
	Redeem func(ctx context.Context, r Redemption) (Cookie, error)

	// End ends the session that a cookie is of, at all hosts. One that has ended is no error.
	End func(ctx context.Context, cookie string) error
}

// Redemption is what a code is redeemed with.
type Redemption struct {
	Code, Verifier string // Verifier is the secret of the browser that the code was made for
	Origin, Client string // an empty client is the auth server's default

	// Replaces is the session cookie that the browser has at Origin, and that the new one overwrites:
	// what the host holds by it ends. Empty: there is none.
	Replaces string
}

// Cookie is one for a host.
type Cookie struct {
	Value    string
	Life     time.Duration
	SameSite string // "lax" or "strict"
}

// The cookie of a browser that is on its way: a secret of its own, which is the key of the states
// and the verifier of the codes. Afterwards, for a moment, it says that the browser has come back.
const (
	wayLife  = 10 * time.Minute // to sign in
	wayBack  = "back"
	backLife = 30 * time.Second
)

// maxPath bounds the path where a person was, in bytes: it travels in the state, inside a
// return_to of urls.MaxReturnTo bytes.
const maxPath = 1000

// wayTo returns the URL that sends a person on the way from the page of t.
func wayTo(t *target, maxAge string) string {
	query := url.Values{"to": {pathBack(t)}}
	if maxAge != "" {
		query.Set("max_age", maxAge)
	}
	return t.origin + beginPath + "?" + query.Encode()
}

// pathBack is where a person comes back to who was at t.
func pathBack(t *target) string {
	if checkBack(t.raw) != nil {
		return "/" // it is too long, or spelled as only its route allows
	}
	return t.raw
}

// checkBack refuses what is no path of the same origin (HDR-03), or one of our own.
func checkBack(path string) error {
	if len(path) > maxPath || strings.HasPrefix(path, HandoverPrefix) {
		return errors.New("too long, or ours")
	}
	_, err := urls.ReturnTo(path, nil)
	return err
}

var (
	errNoHandover  = &refusal.Problem{Status: 404, Type: "not-found", Title: "Not found"}
	errNotPassedOn = &refusal.Problem{Status: 403, Type: "not-passed-on", Title: "The proxy must pass this path on to the gateway", Detail: "People cannot sign in here before " + HandoverPrefix + " is passed on to the gateway: its documentation shows how."}
	errLooksAhead  = &refusal.Problem{Status: 403, Type: "not-a-visit", Title: "This page is for people who open it"}
	errWay         = &refusal.Problem{Status: 400, Type: "bad-link", Title: "The link is malformed"}
)

// byHandover is the dialect of a proxy that passes a visitor's request on, and says where it was
// sent to.
var byHandover = &dialect{
	metadata: []string{"X-Forwarded-Proto", "X-Forwarded-Host"},
	read: func(r *http.Request) (question, *refusal.Problem) {
		return question{method: r.Method, scheme: r.Header["X-Forwarded-Proto"][0], host: r.Header["X-Forwarded-Host"][0], uri: r.RequestURI}, nil
	},
}

// handover answers what is below [HandoverPrefix], at the host that ask says.
func (g *Gateway) handover(ask func(r *http.Request) (question, *refusal.Problem)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		h := w.Header()
		h["Cache-Control"] = noStore
		h.Set("Referrer-Policy", "no-referrer") // of a URL with a code
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", handoverPolicy)
		v := visit{g: g, w: w, r: r, said: "allowed"}
		q, refused := ask(r)
		if refused == nil {
			if refused = v.at(q); refused == nil {
				refused = v.answer()
			}
		}
		if refused != nil {
			v.said = refused.Type
			v.refuse(refused)
		}
		g.opts.Decided(v.name(), v.said, time.Since(begun))
	})
}

// visit is one request below [HandoverPrefix].
type visit struct {
	g      *Gateway
	w      http.ResponseWriter
	r      *http.Request
	origin string
	path   string
	query  url.Values
	direct bool   // no other proxy passed it on
	said   string // the verdict
}

// name is that of a route for metrics; empty for a path or a host that a visitor made up.
func (v *visit) name() string {
	switch v.path {
	case beginPath, callbackPath, signOutPath:
		return v.origin + v.path
	}
	return ""
}

// at reads where the visit is. Only hosts of routes have people to sign in.
func (v *visit) at(q question) *refusal.Problem {
	origin, ok := originOf(q.scheme, q.host)
	if !ok {
		return badTarget("the host is malformed")
	}
	routes := (*v.g.routes.Load())[origin]
	if v.g.opts.Handover == nil || len(routes) == 0 {
		return errNoHandover
	}
	path, raw, _ := strings.Cut(q.uri, "?")
	v.origin = origin
	if routes[0].host == v.g.pageHost && path != signOutPath {
		return errNoHandover // the login's own cookie is here, and ours would take its place
	}
	query, err := url.ParseQuery(raw)
	if err != nil || len(raw) > maxTarget {
		return errWay
	}
	for _, values := range query {
		if len(values) > 1 {
			return errWay
		}
	}
	v.path, v.query, v.direct = path, query, q.direct
	return nil
}

func (v *visit) answer() *refusal.Problem {
	method := v.r.Method
	switch v.path {
	case beginPath:
		if method != http.MethodGet && method != http.MethodHead {
			return v.only("GET, HEAD")
		}
		return v.begin()
	case callbackPath:
		if method != http.MethodGet { // a HEAD would use the code up
			return v.only("GET")
		}
		return v.callback()
	case signOutPath:
		if method != http.MethodPost {
			return v.only("POST")
		}
		return v.signOut()
	}
	return errNoHandover
}

func (v *visit) only(methods string) *refusal.Problem {
	v.w.Header().Set("Allow", methods)
	return errNotAllowed
}

// begin puts the secret into the browser, and sends it to the auth server.
func (v *visit) begin() *refusal.Problem {
	to := v.query.Get("to")
	if to == "" {
		to = "/"
	}
	maxAge := v.query.Get("max_age")
	if _, err := strconv.ParseUint(maxAge, 10, 31); checkBack(to) != nil || maxAge != "" && err != nil {
		return errWay
	}
	if v.ahead() {
		return errLooksAhead
	}
	secret := v.secret()
	if secret == wayBack && v.query.Get("again") == "" && !v.carries() {
		return v.show(http.StatusBadRequest, "no-cookie", "Your browser did not keep you signed in",
			"You have just signed in, and your browser has not kept the cookie of this site. Allow cookies for it, and try again.", to, "Try again")
	}
	if !isSecret(secret) {
		secret = newSecret()
	}
	v.setCookie(v.wayCookie(), secret, "Lax", wayLife)
	o := v.g.opts
	page := url.Values{"origin": {v.origin}, "challenge": {token.Challenge(secret)}, "state": {stateOf(secret, v.origin, to)}}
	signIn := url.Values{}
	if o.Client != "" {
		page.Set("client", o.Client)
		signIn.Set("client", o.Client)
	}
	if maxAge != "" {
		signIn.Set("max_age", maxAge)
	}
	signIn.Set("return_to", o.Handover.Page+"?"+page.Encode())
	v.redirect(o.SignIn + "?" + signIn.Encode())
	return nil
}

// callback takes the code to the auth server, and gives the browser that began its cookie (GW-23).
func (v *visit) callback() *refusal.Problem {
	if v.ahead() {
		return errLooksAhead
	}
	secret, state := v.secret(), v.query.Get("state")
	to, known := pathIn(state)
	if !known {
		return errWay
	}
	if v.carries() && !v.sentAway(v.r.Header["Cookie"], to) {
		v.void()
		v.redirect(v.origin + to) // another tab was first
		return nil
	}
	if !isSecret(secret) || !hmac.Equal([]byte(state), []byte(stateOf(secret, v.origin, to))) {
		v.void()
		return v.fromElsewhere(secret, to)
	}
	replaces, n, err := request.Cookies(v.r, v.sessionCookie())
	if n != 1 || err != nil {
		replaces = "" // which of several is the browser's own nobody knows (SES-08)
	}
	cookie, err := v.redeem(secret, replaces)
	switch {
	case errors.Is(err, counterfoil.ErrInvalidToken):
		return v.show(http.StatusBadRequest, "invalid-code", "This sign-in is over",
			"It was not finished in time, or it was used before.", to, "Sign in again")
	case err != nil:
		v.g.opts.Logger.ErrorContext(v.r.Context(), "handover", "origin", v.origin, "error", err.Error())
		return refusal.For(fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err), true)
	}
	strict := cookie.SameSite == "strict"
	sameSite := "Lax"
	if strict {
		sameSite = "Strict"
	}
	v.setCookie(v.sessionCookie(), cookie.Value, sameSite, cookie.Life)
	v.setCookie(v.wayCookie(), wayBack, "Lax", backLife)
	switch {
	case v.sentAway([]string{v.sessionCookie() + "=" + cookie.Value}, to): // it would go to and fro
		v.said = "still-refused"
		return v.write(http.StatusForbidden, handoverText{
			Title: "You are signed in, and may not open this page",
			Text:  "It wants another kind of sign-in than there is, or the gateway is not set up for this auth server.",
			Link:  strings.TrimSuffix(v.g.opts.Handover.Page, "handover"), LinkText: "Your sessions, where you can sign out",
		})
	case strict: // a browser sends such a cookie with what a page of this site asks for
		return v.lead(to)
	}
	v.redirect(v.origin + to)
	return nil
}

// fromElsewhere answers who comes back by another browser than the one that left, which may have
// been sent a link.
func (v *visit) fromElsewhere(secret, to string) *refusal.Problem {
	if isSecret(secret) {
		return v.show(http.StatusBadRequest, "other-browser", "This sign-in began somewhere else",
			"A sign-in must end in the browser in which it began.", "/", "Sign in here")
	}
	return v.show(http.StatusBadRequest, "no-cookie", "Your browser did not come back as it went",
		"A sign-in must end in the browser in which it began, within "+strconv.Itoa(int(wayLife/time.Minute))+" minutes, and that browser must allow cookies for this site.", to, "Sign in again")
}

// signOut ends the session at all hosts, and takes the cookies away.
func (v *visit) signOut() *refusal.Problem {
	if request.CheckOrigin(v.r, []string{v.origin}) != nil {
		return refusal.For(refusal.ErrCrossOrigin, true)
	}
	value, n, err := request.Cookies(v.r, v.sessionCookie())
	if err != nil {
		return refusal.For(err, true)
	}
	if n == 1 {
		if err := v.g.opts.Handover.End(v.r.Context(), value); err != nil {
			v.g.opts.Logger.ErrorContext(v.r.Context(), "sign-out", "origin", v.origin, "error", err.Error())
			return refusal.For(fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err), true)
		}
	}
	v.setCookie(v.sessionCookie(), "", "Lax", 0)
	v.setCookie(v.wayCookie(), "", "Lax", 0)
	if !request.Accepts(v.r, "text/html", "") {
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return v.show(http.StatusOK, "allowed", "You are signed out", "Your session has ended here and at all services that you opened with it.", "/", "Sign in")
}

// ahead reports whether a browser fetches a page that nobody has opened yet.
func (v *visit) ahead() bool {
	return len(v.r.Header["Sec-Purpose"]) > 0 || len(v.r.Header["Purpose"]) > 0 || len(v.r.Header["X-Moz"]) > 0
}

// sentAway reports whether a person with these cookies, at a path of this origin, would be sent to
// sign in.
func (v *visit) sentAway(cookies []string, to string) bool {
	with := v.r.WithContext(v.r.Context())
	with.Method, with.Header = http.MethodGet, http.Header{"Cookie": cookies, "Sec-Fetch-Mode": {"navigate"}}
	scheme, host, _ := strings.Cut(v.origin, "://")
	return v.g.decide(with, &question{method: http.MethodGet, scheme: scheme, host: host, uri: to, direct: v.direct}).page != ""
}

// carries reports whether the browser sends a cookie of a session.
func (v *visit) carries() bool {
	_, n, err := request.Cookies(v.r, v.sessionCookie())
	return n > 0 || err != nil
}

// secret is what the browser keeps on its way; empty: nothing, or more than one thing.
func (v *visit) secret() string {
	value, n, err := request.Cookies(v.r, v.wayCookie())
	if n != 1 || err != nil {
		return ""
	}
	return value
}

func (v *visit) wayCookie() string {
	if strings.HasPrefix(v.origin, "https:") {
		return request.WayCookieName
	}
	return request.InsecureWayCookieName
}

// sessionCookie is the name that the verifier reads.
func (v *visit) sessionCookie() string {
	if strings.HasPrefix(v.g.opts.Handover.Page, "https:") {
		return request.CookieName
	}
	return request.InsecureCookieName
}

func (v *visit) setCookie(name, value, sameSite string, life time.Duration) {
	v.w.Header().Add("Set-Cookie", request.SetCookie(name, value, sameSite, int(life/time.Second)))
}

func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.Header()["Content-Length"] = nothing
	v.w.WriteHeader(http.StatusSeeOther)
}

func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return encoded(b[:])
}

func isSecret(text string) bool { return len(text) == 43 }

// stateOf says where a person was, in a way that only the browser with the secret can have said.
func stateOf(secret, origin, path string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte("state\x00" + origin + path))
	return encoded(m.Sum(nil)) + "." + encoded([]byte(path))
}

// pathIn returns the path that a state names. Anybody may have made it.
func pathIn(state string) (path string, ok bool) {
	_, text, found := strings.Cut(state, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !found || err != nil || checkBack(string(raw)) != nil {
		return "", false
	}
	return string(raw), true
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
)

// A route with BFF is for a browser app that has a cookie and no token, in front of a service that
// wants one: docs/decisions/0064-a-browser-app-without-tokens.md.

// Exchange returns an access token of client on the session of a cookie. An error that is
// ErrInvalidToken means that the session is over, and any other says nothing about it.
type Exchange func(ctx context.Context, cookie, client string) (Token, error)

// Token is an access token, and how long it lives from the time at which it was asked for.
type Token struct {
	Value string
	Life  time.Duration
}

const (
	mostTokens      = 1 << 15         // of one client are kept. One is about 1 KiB
	exchangesAtOnce = 32              // of one client
	exchangeTimeout = 5 * time.Second // requests wait for it
	exchangeAgain   = time.Second     // after one that failed
	tokenMargin     = 2 * time.Second // before its end a token is sent no more: the service must have the time to read it
	tokenDoubted    = 10 * time.Second
)

// tokens are those of one client. Each is kept for a copy of a session that the verifier returned.
// The verifier returns no copy again that was revoked, and none whose roles have changed: then the
// copy is born later, and another token is asked for.
type tokens struct {
	client   string
	exchange Exchange
	now      func() time.Time
	room     chan struct{} // exchangesAtOnce
	log      *slog.Logger

	mu    sync.Mutex // guards the rest, and what is in by
	by    map[copyOf]*bearer
	swept time.Time
}

// copyOf names a copy of a session.
type copyOf struct {
	session, token string
	born           counterfoil.Cursor
}

// bearer is the token of a copy, and the exchange that is under way.
type bearer struct {
	value             string
	made, renew, ends time.Time
	under             chan struct{} // closed when the exchange is over; nil: there is none
	err               error         // of the last exchange
	again             time.Time     // not before this
}

func newTokens(client string, o *Options) *tokens {
	return &tokens{
		client: client, exchange: o.Exchange, now: o.Now, room: make(chan struct{}, exchangesAtOnce), log: o.Logger, by: map[copyOf]*bearer{},
	}
}

// of returns a token for s, which came as cookie. One that lives is returned at once: it is renewed
// after two thirds of its life, while requests go on with it.
func (t *tokens) of(ctx context.Context, s *counterfoil.Session, cookie string) (string, error) {
	t.mu.Lock()
	now := t.now()
	k := t.at(copyOf{s.ID, s.TokenID, s.Born}, now)
	if (k.value == "" || !now.Before(k.renew)) && k.under == nil && !now.Before(k.again) {
		k.under = make(chan struct{})
		go t.renew(k, s.ID, cookie)
	}
	value, err, lives, under := k.value, k.err, now.Before(k.ends), k.under
	t.mu.Unlock()
	switch {
	case lives:
		return value, nil
	case under == nil:
		return "", err
	}
	select {
	case <-under:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case k.err != nil:
		return "", k.err
	case k.value == "": // the service has refused it meanwhile
		return "", errors.New("the token is not good")
	}
	return k.value, nil
}

// renew exchanges the cookie. It outlives the request: others may wait for the same token.
func (t *tokens) renew(k *bearer, session, cookie string) {
	got, asked, err := t.ask(cookie)
	if err == nil {
		err = got.check(session)
	}
	if err != nil && !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.log.Warn("no token for a service", "client", t.client, "error", err.Error())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.err = err; err != nil {
		k.again = t.now().Add(exchangeAgain)
	} else {
		k.value, k.made, k.renew, k.ends = got.Value, asked, asked.Add(got.Life*2/3), asked.Add(got.Life-tokenMargin)
	}
	close(k.under)
	k.under = nil
}

// ask exchanges a cookie, and says when it began to. The time to wait for room counts: an auth server
// that does not answer keeps nobody waiting for longer than exchangeTimeout.
func (t *tokens) ask(cookie string) (got Token, asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
	defer cancel()
	select {
	case t.room <- struct{}{}:
	case <-ctx.Done():
		return got, asked, fmt.Errorf("%d exchanges are under way, and none ends: %w", exchangesAtOnce, ctx.Err())
	}
	defer func() { <-t.room }()
	asked = t.now()
	got, err = t.exchange(ctx, cookie, t.client)
	return got, asked, err
}

// check refuses a token that is not of the session that was checked, or lives too short a time.
func (t Token) check(session string) error {
	parts := strings.Split(t.Value, ".")
	var claims struct{ SID string }
	if len(parts) != 3 {
		return errors.New("the auth server has issued no JWT: let the client have the carrier bearer")
	}
	if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err != nil || json.Unmarshal(payload, &claims) != nil || claims.SID != session {
		return errors.New("the auth server has issued a token of another session")
	}
	if t.Life <= tokenMargin {
		return fmt.Errorf("the auth server has issued a token that lives for %v", t.Life)
	}
	return nil
}

// at returns the place of a copy. The caller holds mu.
func (t *tokens) at(c copyOf, now time.Time) *bearer {
	if k := t.by[c]; k != nil {
		return k
	}
	if len(t.by) >= mostTokens || now.Sub(t.swept) >= time.Minute {
		t.swept = now
		for c, k := range t.by {
			if k.under == nil && !now.Before(k.ends) {
				delete(t.by, c)
			}
		}
		if len(t.by) >= mostTokens {
			for c := range t.by { // any of them costs one exchange; many go, so that not each new one looks at all
				if len(t.by) <= mostTokens*7/8 {
					break
				}
				delete(t.by, c)
			}
		}
	}
	k := &bearer{}
	t.by[c] = k
	return k
}

// doubt forgets a token that the service has refused: its grant or its key may have ended. A young
// one is kept, so that a service that refuses for reasons of its own causes no exchange each time.
func (t *tokens) doubt(s *counterfoil.Session, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.by[copyOf{s.ID, s.TokenID, s.Born}]; k != nil && k.value == value && t.now().Sub(k.made) >= tokenDoubted {
		k.value, k.ends = "", time.Time{}
	}
}

// checkBFF refuses what does not go together with BFF.
func (r Route) checkBFF() error {
	switch {
	case r.BFF == "":
	case r.Anonymous:
		return errors.New("a route for everybody has no token for its service")
	case len(r.Upstreams) == 0:
		return errors.New("bff is for a route with upstreams: another proxy gets no token")
	case r.KeepCredentials:
		return errors.New("with bff the service gets a token instead of the visitor's credentials")
	case r.Transport == counterfoil.Header:
		return errors.New("bff is for cookies, and the route takes none")
	}
	return nil
}

// exchanges has the tokens of each client. They stay when the routes change.
type exchanges struct {
	mu sync.Mutex
	by map[string]*tokens
}

// connect gives the routes with BFF the place where their tokens are.
func (e *exchanges) connect(all table, o *Options) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	named := map[string]*tokens{}
	for _, some := range all {
		for _, r := range some {
			if r.BFF == "" {
				continue
			}
			if o.Exchange == nil {
				return fmt.Errorf("route %s has bff, and Options.Exchange is nil", r.label)
			}
			if named[r.BFF] == nil {
				if named[r.BFF] = e.by[r.BFF]; named[r.BFF] == nil {
					named[r.BFF] = newTokens(r.BFF, o)
				}
			}
			r.tokens = named[r.BFF]
		}
	}
	e.by = named
	return nil
}

var errNoToken = &refusal.Problem{Status: http.StatusServiceUnavailable, Type: "no-token", Title: "Temporarily unavailable", Detail: "The auth server has not issued a token for the service.", RetryAfter: time.Second}

// bear gets the token for a request of a route with BFF.
func (g *Gateway) bear(r *http.Request, p *passage) *refusal.Problem {
	if foreign(r, p.route.Origin) {
		return refusal.For(refusal.ErrCrossOrigin, true)
	}
	name := request.CookieName
	if strings.HasPrefix(p.session.Issuer, "http:") {
		name = request.InsecureCookieName
	}
	cookie, _, err := request.Find(r, name, request.Cookie)
	if err == nil {
		p.token, err = p.route.tokens.of(r.Context(), p.session, cookie)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, counterfoil.ErrInvalidToken):
		return refusal.For(counterfoil.ErrInvalidToken, true)
	}
	return errNoToken
}

// foreign reports whether r comes from a page of another origin than origin, as far as a browser
// says so. Services with tokens often let all origins read their answers. A person who follows a
// link comes from elsewhere, and the page with the link reads nothing.
func foreign(r *http.Request, origin string) bool {
	h := r.Header
	site, from := h["Sec-Fetch-Site"], h["Origin"]
	switch {
	case len(site) > 1 || len(from) > 1:
		return true
	case len(from) == 1 && from[0] != origin:
		return true
	case len(site) == 0 || site[0] == "same-origin" || site[0] == "none":
		return false
	}
	mode, dest := h["Sec-Fetch-Mode"], h["Sec-Fetch-Dest"]
	return len(mode) != 1 || mode[0] != "navigate" || len(dest) != 1 || dest[0] != "document" || request.Unsafe(r.Method)
}

var sameOrigin = []string{"same-origin"}

// hide takes out of the answer of a service what the browser must not have: the token, and leave
// for other origins to read it.
func (p *passage) hide(h http.Header) {
	if p.token == "" {
		return
	}
	for name, values := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
		for _, value := range values {
			if strings.Contains(value, p.token) {
				delete(h, name)
				break
			}
		}
	}
}

// answered changes an answer of a service that got a token.
func (p *passage) answered(res *http.Response) {
	if p.token == "" {
		return
	}
	p.hide(res.Header)
	res.Header["Cross-Origin-Resource-Policy"] = sameOrigin
	if res.StatusCode == http.StatusUnauthorized {
		p.route.tokens.doubt(p.session, p.token)
	}
	if res.StatusCode != http.StatusSwitchingProtocols { // its body is a connection, and has no trailers
		res.Body = &trailed{res.Body, res, p}
	}
}

// trailed is a body behind which trailers come.
type trailed struct {
	io.ReadCloser
	res *http.Response
	p   *passage
}

func (t *trailed) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if err == io.EOF {
		t.p.hide(t.res.Trailer)
	}
	return n, err
}

package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

const other = "https://other.example.com"

// town is an auth server, a gateway, and two hosts that it protects.
type town struct {
	*testing.T
	issuer  *counterfoiltest.Issuer
	gateway *gateway.Gateway
	proxy   http.Handler // the gateway as the proxy itself
	verdict string       // the last
	redeem  error        // instead of asking the auth server
	asked   int          // how often codes were taken to the auth server
}

func newTown(t *testing.T, client string) *town {
	is := counterfoiltest.New(t)
	handover, err := gateway.RemoteHandover(is.URL, is.APIKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &town{T: t, issuer: is}
	redeem := handover.Redeem
	handover.Redeem = func(ctx context.Context, r gateway.Redemption) (gateway.Cookie, error) {
		b.asked++
		if b.redeem != nil {
			return gateway.Cookie{}, b.redeem
		}
		return redeem(ctx, r)
	}
	here := "http://127.0.0.1:9" // on the host of the auth server
	b.gateway, err = gateway.New(gateway.Options{
		Verifier: is.Verifier(), TrustedProxies: loopback, SignIn: is.URL + "/login", Handover: handover,
		Routes: []gateway.Route{
			{Origin: app, Prefix: "/"}, {Origin: other, Prefix: "/"}, {Origin: here, Prefix: "/"},
			{Origin: app, Prefix: "/public", Anonymous: true},
			{Origin: app, Prefix: "/admin", Rules: []counterfoil.Rule{counterfoil.Role("admin")}},
			{Origin: app, Prefix: "/fresh", Rules: []counterfoil.Rule{counterfoil.Fresh(time.Hour)}},
			{Origin: app, Prefix: "/never", Rules: []counterfoil.Rule{counterfoil.Fresh(0)}},
			{Origin: app, Prefix: "/token", Transport: counterfoil.Header},
		},
		Decided: func(_, verdict string, _ time.Duration) { b.verdict = verdict },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.proxy = b.gateway.Proxy()
	r, err := http.NewRequest("PUT", is.URL+"/v1/admin/clients/default", strings.NewReader(client))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+is.APIKey)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode/100 != 2 {
		t.Fatalf("client: %v, %v", res, err)
	}
	_ = res.Body.Close()
	return b
}

const listed = `{"origins":["` + app + `","` + other + `"]}`

// person is somebody with a browser: it keeps the cookies of each host.
type person struct {
	*town
	cookies map[string]map[string]string // by origin
	at      *url.URL
	answer  *httptest.ResponseRecorder
	behind  bool // the gateway is the proxy itself
}

func (b *town) person() *person { return &person{town: b, cookies: map[string]map[string]string{}} }

// signedIn has a login at the auth server.
func (p *person) signedIn(subject string) *person {
	in := p.issuer.Login(subject, counterfoil.CarrierCookie)
	p.cookies[p.issuer.URL] = map[string]string{source.InsecureCookieName: in.Access.Reveal()}
	return p
}

// send asks for a URL as the browser does, with no redirect followed.
func (p *person) send(method, target string, header ...string) *person {
	p.Helper()
	u, err := url.Parse(target)
	if err != nil {
		p.Fatal(err)
	}
	origin := u.Scheme + "://" + u.Host
	h := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}
	var cookies []string
	for name, value := range p.cookies[origin] {
		cookies = append(cookies, name+"="+value)
	}
	if cookies != nil {
		h.Set("Cookie", strings.Join(cookies, "; "))
	}
	for n := 0; n < len(header); n += 2 {
		h.Set(header[n], header[n+1])
	}
	p.at, p.answer = u, httptest.NewRecorder()
	switch {
	case origin == p.issuer.URL:
		r, err := http.NewRequest(method, target, nil)
		if err != nil {
			p.Fatal(err)
		}
		r.Header = h
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			p.Fatal(err)
		}
		defer res.Body.Close()
		p.answer.Code = res.StatusCode
		for name, values := range res.Header {
			p.answer.Header()[name] = values
		}
	case p.behind:
		r := httptest.NewRequest(method, target, nil)
		r.Header, r.RequestURI = h, u.RequestURI()
		p.proxy.ServeHTTP(p.answer, r)
	default:
		r := httptest.NewRequest(method, u.RequestURI(), nil)
		r.Header, r.RemoteAddr = h, "127.0.0.1:1"
		if strings.HasPrefix(u.Path, gateway.HandoverPrefix) {
			h.Set("X-Forwarded-Proto", u.Scheme)
			h.Set("X-Forwarded-Host", u.Host)
		} else {
			h.Set("X-Original-Method", method)
			h.Set("X-Original-Url", target)
			r.RequestURI = gateway.AuthRequestPath
		}
		p.gateway.Handler().ServeHTTP(p.answer, r)
		if p.answer.Result().Header["Set-Cookie"] != nil && r.RequestURI == gateway.AuthRequestPath {
			p.Errorf("%s: the answer to a proxy's question sets a cookie", target)
		}
	}
	for _, c := range p.answer.Result().Cookies() {
		if p.cookies[origin] == nil {
			p.cookies[origin] = map[string]string{}
		}
		if p.cookies[origin][c.Name] = c.Value; c.MaxAge < 0 {
			delete(p.cookies[origin], c.Name)
		}
	}
	return p
}

// follow goes where the answer leads, until a page or an origin is reached.
func (p *person) follow(until string) *person {
	p.Helper()
	for range 10 {
		to := p.answer.Result().Header.Get("Location")
		if to == "" || until != "" && strings.HasPrefix(to, until) {
			return p
		}
		next, err := p.at.Parse(to)
		if err != nil {
			p.Fatal(err)
		}
		p.send("GET", next.String())
	}
	p.Fatal("to and fro")
	return nil
}

func (p *person) location() string { return p.answer.Result().Header.Get("Location") }

// callback goes on the way to an origin, and returns the URL with the code.
func (p *person) callback(target string) string {
	p.Helper()
	p.send("GET", target)
	u, _ := url.Parse(target)
	back := u.Scheme + "://" + u.Host + "/.counterfoil/callback"
	if p.follow(back); !strings.HasPrefix(p.location(), back) {
		p.Fatalf("%s leads to %s: %d %s", target, p.location(), p.answer.Code, p.answer.Body)
	}
	return p.location()
}

// in fails the test unless the person can open target.
func (p *person) in(target string) *person {
	p.Helper()
	if p.send("GET", target).answer.Code != 200 && !p.behind || p.verdict != "allowed" && p.verdict != "no-rule" {
		p.Errorf("%s = %d %s, want 200", target, p.answer.Code, p.verdict)
	}
	return p
}

// A person signs in once, and is let in at each host that asks; the end of the session is the end at
// all of them.
func TestHandover(t *testing.T) {
	for _, behind := range []bool{false, true} {
		b := newTown(t, listed)
		p := b.person().signedIn("alice")
		p.behind = behind
		to := app + "/x?a=b&c=%2F"
		if p.send("GET", to); !strings.HasPrefix(p.location(), app+"/.counterfoil/begin?") {
			t.Fatalf("a person without a session is sent to %s: %d %s", p.location(), p.answer.Code, p.answer.Body)
		}
		if p.follow(to); p.location() != to {
			t.Fatalf("back at %s, want %s: %d %s", p.location(), to, p.answer.Code, p.answer.Body)
		}
		if got := p.cookies[app]; len(got) != 2 || got[source.InsecureCookieName] == "" || got["__Host-Http-cf_way"] != "back" {
			t.Errorf("cookies of the host: %v", got)
		}
		p.in(to)
		p.send("GET", other+"/").follow(other + "/").follow("").in(other + "/")
		for _, c := range []struct{ origin, at string }{{app, other}, {other, app}, {app, "http://127.0.0.1:9"}} {
			stolen := b.person()
			stolen.behind = behind
			stolen.cookies[c.at] = map[string]string{source.InsecureCookieName: p.cookies[c.origin][source.InsecureCookieName]}
			if stolen.send("GET", c.at+"/"); stolen.answer.Code == 200 || b.verdict == "allowed" {
				t.Errorf("the cookie of %s is good at %s", c.origin, c.at)
			}
		}
		if p.send("GET", app+"/admin"); p.answer.Code != 403 {
			t.Errorf("a rule that is not met = %d, want 403", p.answer.Code)
		}

		before := p.cookies[app][source.InsecureCookieName]
		if p.send("POST", other+"/.counterfoil/sign-out", "Origin", app, "Sec-Fetch-Site", "same-site"); p.answer.Code != 403 {
			t.Errorf("another site signs out: %d", p.answer.Code)
		}
		p.in(other + "/")
		if p.send("POST", other+"/.counterfoil/sign-out", "Origin", other, "Sec-Fetch-Site", "same-origin"); p.answer.Code != 200 || p.cookies[other][source.InsecureCookieName] != "" {
			t.Errorf("sign out = %d %s %v", p.answer.Code, p.answer.Body, p.cookies[other])
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for _, err := b.lookup(before); err == nil && ctx.Err() == nil; {
			_, err = b.lookup(before)
		}
		cancel()
		if p.send("GET", app+"/").answer.Code == 200 {
			t.Error("signed out at one host, and in at another")
		}
		if p.follow(b.issuer.URL + "/login"); p.answer.Code == 0 || !strings.HasPrefix(p.location(), b.issuer.URL+"/login") {
			t.Errorf("signed out, and sent to %s", p.location())
		}
	}
}

// lookup asks whether a verifier takes a cookie at app.
func (b *town) lookup(cookie string) (*counterfoil.Session, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", source.InsecureCookieName+"="+cookie)
	return b.issuer.Verifier().With(counterfoil.Route{Origins: []string{app}}).VerifyRequest(r)
}

// GW-23: a sign-in ends in the browser in which it began, once.
func TestHandoverOfAnotherBrowser(t *testing.T) {
	b := newTown(t, listed)
	thief := b.person().signedIn("mallory")
	link := thief.callback(app + "/x")

	// The attacker's login does not come into the victim's browser, whatever that has been at.
	fresh := b.person()
	fresh.send("GET", link)
	victim := b.person().signedIn("alice")
	own := victim.callback(app + "/y")
	victim.send("GET", link)
	for name, p := range map[string]*person{"a new browser": fresh, "a browser that is on its way": victim} {
		if p.answer.Code != 400 || p.cookies[app][source.InsecureCookieName] != "" || !strings.Contains(p.answer.Body.String(), `href="/.counterfoil/begin?again=1&amp;to=%2F`) {
			t.Errorf("%s with another's link = %d %s %v, want 400 and a link", name, p.answer.Code, p.answer.Body, p.cookies[app])
		}
	}
	// Nor does the victim's code into the attacker's: with a state of its own it asks the auth server, which refuses.
	stolen, _ := url.Parse(own)
	mine, _ := url.Parse(link)
	mixed := app + "/.counterfoil/callback?" + url.Values{"code": {stolen.Query().Get("code")}, "state": {mine.Query().Get("state")}}.Encode()
	if thief.send("GET", mixed); thief.answer.Code != 400 || b.verdict != "invalid-code" {
		t.Errorf("another's code = %d %s", thief.answer.Code, b.verdict)
	}
	// Nor at another host, with a state made there.
	thief.send("GET", other+"/.counterfoil/begin?to=/")
	way, _ := url.Parse(thief.location())
	page, _ := url.Parse(way.Query().Get("return_to"))
	mixed = other + "/.counterfoil/callback?" + url.Values{"code": {mine.Query().Get("code")}, "state": {page.Query().Get("state")}}.Encode()
	if thief.send("GET", mixed); thief.answer.Code != 400 || b.verdict != "invalid-code" {
		t.Errorf("a code of another host = %d %s", thief.answer.Code, b.verdict)
	}
	// A code that turned up in the wrong browser is good for nobody any more: it may be in a log.
	for name, link := range map[string]string{"the thief": link, "the victim": own} {
		p := map[string]*person{"the thief": thief, "the victim": victim}[name]
		if p.send("GET", link); p.answer.Code != 400 || b.verdict != "invalid-code" {
			t.Errorf("the own link of %s, which another browser has had = %d %s", name, p.answer.Code, b.verdict)
		}
	}
	own = victim.callback(app + "/y")
	if victim.send("GET", own); victim.location() != app+"/y" {
		t.Errorf("the victim's own link = %d %s", victim.answer.Code, victim.location())
	}
	victim.in(app + "/y")
	// The same link again leads who is in to the page, and nobody else anywhere.
	if victim.send("GET", own); victim.location() != app+"/y" || len(victim.answer.Result().Cookies()) != 0 {
		t.Errorf("the link again = %d %s", victim.answer.Code, victim.location())
	}
	keep := victim.cookies[app]
	victim.cookies[app] = nil
	if victim.send("GET", own); victim.answer.Code != 400 || b.verdict != "no-cookie" {
		t.Errorf("the link again, without cookies = %d %s", victim.answer.Code, b.verdict)
	}
	victim.cookies[app] = keep
	victim.in(app + "/y")
}

// SES-04: a host's cookie that a new one overwrites is good nowhere any more, also if it was of somebody else.
func TestHandoverOverTheCookieOfAnother(t *testing.T) {
	b := newTown(t, listed)
	p := b.person().signedIn("alice")
	p.send("GET", app+"/x").follow(app + "/x").in(app + "/x")
	before := p.cookies[app][source.InsecureCookieName]
	p.signedIn("bob")
	p.send("GET", app+"/.counterfoil/begin?to=/never&again=1").follow(app + "/never") // which the cookie of now does not open
	if after := p.cookies[app][source.InsecureCookieName]; after == before || after == "" {
		t.Fatalf("the cookie is %q, and was %q: %d %s", after, before, p.answer.Code, p.answer.Body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := b.lookup(before)
	for ; err == nil && ctx.Err() == nil; _, err = b.lookup(before) {
	}
	if !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the cookie that was overwritten: %v", err)
	}
	p.in(app + "/")
}

// HDR-03: nobody is led to another origin, and what is malformed leads nowhere.
func TestHandoverLeadsNowhereElse(t *testing.T) {
	b := newTown(t, listed)
	for _, to := range []string{
		"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "https://evil.example", "http:evil.example", "javascript:alert(1)", "evil", ".evil.example",
		"/%2f/evil.example", "/%5cevil.example", "/..//evil.example", "/a/../..//x", "/%2e%2e//x", "/\tx", "/\r\nSet-Cookie: a=b", "/%0d%0aSet-Cookie:a", "/\x00", "/é", "@evil.example",
		app + ".evil.example", app + "/x", other + "/", "/.counterfoil/callback?code=x", "/.counterfoil/begin", "/" + strings.Repeat("a", 1000), "/%",
	} {
		p := b.person()
		if p.send("GET", app+"/.counterfoil/begin?"+url.Values{"to": {to}}.Encode()); p.answer.Code != 400 || p.location() != "" || p.answer.Result().Header["Set-Cookie"] != nil {
			t.Errorf("begin to %q = %d %s, want 400", to, p.answer.Code, p.location())
		}
	}
	p := b.person().signedIn("alice")
	good, _ := url.Parse(p.callback(app + "/x"))
	for name, query := range map[string]url.Values{
		"no state": {"code": good.Query()["code"]}, "two states": {"code": good.Query()["code"], "state": {"a", "b"}}, "junk": {"state": {"x"}},
		"no MAC": {"state": {".L3g"}}, "code twice": {"code": {"a", "b"}, "state": good.Query()["state"]},
	} {
		if p.send("GET", app+"/.counterfoil/callback?"+query.Encode()); p.answer.Code != 400 || p.location() != "" {
			t.Errorf("%s = %d %s, want 400", name, p.answer.Code, p.location())
		}
	}
	state := good.Query().Get("state")
	moved := state[:strings.IndexByte(state, '.')+1] + "L2FkbWlu" // /admin
	if p.send("GET", app+"/.counterfoil/callback?"+url.Values{"code": good.Query()["code"], "state": {moved}}.Encode()); p.answer.Code != 400 || b.verdict != "other-browser" {
		t.Errorf("a state with another path = %d %s", p.answer.Code, b.verdict)
	}
	// A long path comes back to the root.
	p = b.person().signedIn("alice")
	if p.send("GET", app+"/x?"+strings.Repeat("a", 1000)).follow(""); p.at.Path != "/" {
		t.Errorf("a long path comes back to %s", p.at)
	}
}

// What is asked for and how: methods, hosts, headers of the answers, and browsers that look ahead.
func TestHandoverAnswers(t *testing.T) {
	b := newTown(t, listed)
	for _, c := range []struct {
		method, target string
		header         []string
		want           int
	}{
		{"GET", app + "/.counterfoil/begin?to=/", nil, 303},
		{"HEAD", app + "/.counterfoil/begin?to=/", nil, 303},
		{"POST", app + "/.counterfoil/begin?to=/", nil, 405},
		{"HEAD", app + "/.counterfoil/callback?code=x&state=x.Lw", nil, 405},
		{"GET", app + "/.counterfoil/sign-out", nil, 405},
		{"POST", app + "/.counterfoil/sign-out", nil, 403},
		{"GET", app + "/.counterfoil/", nil, 404},
		{"GET", app + "/.counterfoil/x", nil, 404},
		{"GET", app + "/.counterfoil/begin/", nil, 404},
		{"GET", "http://app.example.com/.counterfoil/begin", nil, 404},
		{"GET", "https://nobody.example.com/.counterfoil/begin", nil, 404},
		{"GET", "http://127.0.0.1:9/.counterfoil/begin", nil, 404}, // the cookie of the login is there
		{"GET", app + "/.counterfoil/begin?to=/&max_age=x", nil, 400},
		{"GET", app + "/.counterfoil/begin?to=/", []string{"Sec-Purpose", "prefetch"}, 403},
		{"GET", app + "/.counterfoil/callback?code=x&state=x.Lw", []string{"Sec-Purpose", "prefetch;prerender"}, 403},
		{"GET", app + "/.counterfoil/callback?code=x&state=x.Lw", nil, 400},
	} {
		for _, behind := range []bool{false, true} {
			p := b.person()
			p.behind = behind
			h := p.send(c.method, c.target, c.header...).answer.Result().Header
			if p.answer.Code != c.want {
				t.Errorf("%s %s %v = %d %s, want %d", c.method, c.target, c.header, p.answer.Code, p.answer.Body, c.want)
			}
			if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s %s: headers %v", c.method, c.target, h)
			}
			if page := p.answer.Body.String(); h.Get("Content-Type") == "text/html; charset=utf-8" {
				_, rest, _ := strings.Cut(page, "<style>")
				style, _, found := strings.Cut(rest, "</style>")
				sum := sha256.Sum256([]byte(style))
				if !found || !strings.Contains(h.Get("Content-Security-Policy"), "; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';") {
					t.Errorf("%s %s: the browser refuses the style of the page", c.method, c.target)
				}
				if strings.HasPrefix(c.target, app) && !strings.Contains(page, `<a href="/`) {
					t.Errorf("%s %s leads nowhere: %s", c.method, c.target, page)
				}
			}
			if c.want != 303 && h["Set-Cookie"] != nil {
				t.Errorf("%s %s sets a cookie", c.method, c.target)
			}
		}
	}
	p := b.person()
	set := p.send("GET", app+"/.counterfoil/begin?to=/").answer.Result().Header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-Http-cf_way=", "; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"} {
		if !strings.Contains(set, attribute) {
			t.Errorf("the cookie is %q, without %q", set, attribute)
		}
	}
	first := p.cookies[app]["__Host-Http-cf_way"]
	if p.send("GET", app+"/.counterfoil/begin?to=/y"); p.cookies[app]["__Host-Http-cf_way"] != first {
		t.Error("a second tab has another secret, and the first one cannot come back")
	}

	// GW-05: where it was sent to is believed from a trusted proxy alone, which says it once.
	for name, change := range map[string]func(r *http.Request){
		"a stranger":  func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" },
		"no host":     func(r *http.Request) { r.Header.Del("X-Forwarded-Host") },
		"no scheme":   func(r *http.Request) { r.Header.Del("X-Forwarded-Proto") },
		"two hosts":   func(r *http.Request) { r.Header.Add("X-Forwarded-Host", "other.example.com") },
		"other words": func(r *http.Request) { r.Header["X_forwarded_host"] = []string{"other.example.com"} },
	} {
		r := httptest.NewRequest("GET", "/.counterfoil/begin", nil)
		r.Header = http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}, "Accept": {"text/html"}}
		r.RemoteAddr = "127.0.0.1:1"
		change(r)
		w := httptest.NewRecorder()
		if b.gateway.Handler().ServeHTTP(w, r); w.Code/100 != 4 || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%s = %d %v", name, w.Code, w.Header())
		}
	}
	// A proxy that asks about this path, instead of passing it on, sends nobody in a circle.
	r := httptest.NewRequest("GET", gateway.AuthRequestPath, nil)
	r.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Url": {app + "/.counterfoil/begin?to=%2F"}, "Sec-Fetch-Mode": {"navigate"}}
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	if b.gateway.Handler().ServeHTTP(w, r); w.Code != 403 || b.verdict != "not-passed-on" {
		t.Errorf("a question about this path = %d %s, want 403 not-passed-on", w.Code, b.verdict)
	}
}

// A browser keeps no cookie with the prefix for plain http, so nobody is sent there for one.
func TestHandoverNeedsHTTPS(t *testing.T) {
	g, err := gateway.New(gateway.Options{
		Verifier: counterfoiltest.New(t).Verifier(), TrustedProxies: loopback, SignIn: "https://auth.example.com/login",
		Handover: &gateway.Handover{Page: "https://auth.example.com/handover"},
		Routes:   []gateway.Route{{Origin: app, Prefix: "/"}, {Origin: "http://127.0.0.1:9", Prefix: "/"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]string{app: app + "/.counterfoil/begin?to=%2Fx", "http://127.0.0.1:9": ""} {
		r := httptest.NewRequest("GET", gateway.AuthRequestPath, nil)
		r.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Url": {origin + "/x"}, "Sec-Fetch-Mode": {"navigate"}}
		if w := answer(g.Handler(), r); w.Code != 401 || w.Header().Get("Location") != want {
			t.Errorf("%s: %d %q, want 401 %q", origin, w.Code, w.Header().Get("Location"), want)
		}
	}
}

// Nobody goes in a circle: not whose browser keeps no cookies, nor who is in and may not open the page.
func TestHandoverEnds(t *testing.T) {
	b := newTown(t, listed)
	p := b.person().signedIn("alice")
	link := p.callback(app + "/x")
	p.cookies[app] = nil // the browser keeps none
	if p.send("GET", link); p.answer.Code != 400 || b.verdict != "no-cookie" || !strings.Contains(p.answer.Body.String(), "/.counterfoil/begin?again=1&amp;to=%2Fx") {
		t.Errorf("no cookie came back: %d %s %s", p.answer.Code, b.verdict, p.answer.Body)
	}
	// It keeps ours for the way, and not that of the session.
	p.send("GET", p.callback(app+"/x"))
	delete(p.cookies[app], source.InsecureCookieName)
	p.send("GET", app+"/x").send("GET", p.location())
	if p.answer.Code != 400 || b.verdict != "no-cookie" {
		t.Errorf("no session came back: %d %s", p.answer.Code, b.verdict)
	}
	if p.send("GET", app+"/.counterfoil/begin?to=/x&again=1"); p.answer.Code != 303 {
		t.Errorf("again = %d", p.answer.Code)
	}
	// A route that no login meets.
	p = b.person().signedIn("alice")
	p.send("GET", app+"/.counterfoil/begin?to=/never").follow(app + "/never")
	if p.answer.Code != 403 || b.verdict != "still-refused" {
		t.Errorf("a page that no login may open: %d %s %s", p.answer.Code, b.verdict, p.location())
	}
	if !strings.Contains(p.answer.Body.String(), `<a href="`+b.issuer.URL+`/">`) {
		t.Errorf("the page leads nowhere: %s", p.answer.Body)
	}
	// A fresh login is asked for at the auth server.
	p.send("GET", app+"/never")
	if p.send("GET", p.location()); !strings.HasPrefix(p.location(), b.issuer.URL+"/login?max_age=0&return_to=") {
		t.Errorf("sent to %s", p.location())
	}
	// The code is not good any more; or nobody can say.
	for want, err := range map[int]error{400: counterfoil.ErrInvalidToken, 503: errors.New("down")} {
		p = b.person().signedIn("alice")
		link = p.callback(app + "/x")
		if b.redeem = err; p.send("GET", link).answer.Code != want || p.cookies[app][source.InsecureCookieName] != "" {
			t.Errorf("%v: %d", err, p.answer.Code)
		}
		b.redeem = nil
		if p.send("GET", link); p.location() != app+"/x" {
			t.Errorf("later: %d %s", p.answer.Code, p.location())
		}
	}
	// A client that wants its cookies strict: a redirect that begins elsewhere would not carry it.
	b = newTown(t, `{"origins":["`+app+`"],"same_site":"strict"}`)
	p = b.person().signedIn("alice")
	p.send("GET", p.callback(app+"/.counterfoil/begin?"+url.Values{"to": {`/x?a="><script>&b;url=//evil'`}}.Encode()))
	set := p.answer.Result().Header["Set-Cookie"]
	if p.answer.Code != 200 || !strings.Contains(p.answer.Body.String(), `content="0; url=/`) || strings.Contains(p.answer.Body.String(), "<script>") || !slices.ContainsFunc(set, func(s string) bool { return strings.HasSuffix(s, "SameSite=Strict") }) {
		t.Errorf("strict: %d %s %v", p.answer.Code, p.answer.Body, set)
	}
}

// GW-23: a code that came to the wrong browser is used up, and a stranger who makes codes up has the gateway ask the
// auth server for only so many. That keeps nobody else from it.
func TestCodesOfStrangersAreFew(t *testing.T) {
	b := newTown(t, listed)
	stranger := func(address, code string) {
		t.Helper()
		r := httptest.NewRequest("GET", app+"/.counterfoil/callback?code="+code+"&state=x."+base64.RawURLEncoding.EncodeToString([]byte("/x")), nil)
		r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), address
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		if b.proxy.ServeHTTP(w, r); w.Code != 400 || b.verdict != "no-cookie" {
			t.Fatalf("a stranger gets %d %s", w.Code, b.verdict)
		}
	}
	for n := range 200 {
		stranger(fmt.Sprintf("[2001:db8::%x]:4711", n), "made-up") // all of one subscriber
	}
	if b.asked > 20 {
		t.Errorf("200 codes that a stranger made up: %d requests to the auth server", b.asked)
	}
	p := b.person().signedIn("alice")
	link := p.callback(app + "/x")
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	stranger("198.51.100.7:4711", u.Query().Get("code"))
	if p.send("GET", link); p.answer.Code != 400 || b.verdict != "invalid-code" {
		t.Errorf("a code that was seen elsewhere before: %d %s", p.answer.Code, b.verdict)
	}
}

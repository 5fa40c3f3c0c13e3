package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

const (
	appOrigin = "https://app.example.net"
	verifier  = "GpTrmKuVCKvfSQnFsZ0eQ7yEJIkz0CprxvxH3b4sFbc"
)

// challengeOf is S256 of RFC 7636.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func handoverPage(change func(url.Values)) string {
	q := url.Values{"client": {"web"}, "origin": {appOrigin}, "challenge": {challengeOf(verifier)}, "state": {"a.b-c_d"}}
	if change != nil {
		change(q)
	}
	return "/handover?" + q.Encode()
}

func (b *bench) handoverKey(client string, of ...string) string {
	b.Helper()
	_, key, err := b.users.NewKey(b.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: client, Scopes: []string{directory.ScopeHandover}, Clients: of})
	must(b.T, err)
	return key.Reveal()
}

func redemption(code string) map[string]string {
	return map[string]string{"code": code, "verifier": verifier, "origin": appOrigin, "client": "web"}
}

// redeem calls as a gateway does.
func (b *bench) redeem(key string, body map[string]string) (*http.Response, string) {
	b.Helper()
	text, err := json.Marshal(body)
	must(b.T, err)
	return b.call("POST", "/v1/handover", string(text), "Authorization", "Bearer "+key)
}

// GW-23: a visitor is led to a host of the client with a code, after the sign-in that it takes, and
// the host's gateway gets a cookie for it.
func TestHandover(t *testing.T) {
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	v := b.visitor().open(handoverPage(nil))
	to := v.page.Header().Get("Location")
	if v.page.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/login?client=web&return_to=%2Fhandover%3F") {
		t.Fatalf("who is not signed in: %d %s", v.page.Code, to)
	}
	v.open(to)
	if policy := v.page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+appOrigin+";") {
		t.Errorf("the form leads to the host, and the policy is %s", policy) // Chromium would stop there
	}
	v.send("/login", url.Values{"identifier": {"alice"}, "password": {pass}})
	v.open(v.page.Header().Get("Location"))
	back, err := url.Parse(v.page.Header().Get("Location"))
	must(t, err)
	code := back.Query().Get("code")
	if v.page.Code != http.StatusSeeOther || back.Scheme+"://"+back.Host+back.Path != appOrigin+"/.counterfoil/callback" || back.Query().Get("state") != "a.b-c_d" || code == "" {
		t.Fatalf("back: %d %s", v.page.Code, back)
	}
	h := v.page.Header()
	if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers of the answer with a code: %v", h)
	}

	key := b.handoverKey("gateway", "web")
	res, body := b.redeem(key, redemption(code))
	var made struct {
		Credential string `json:"credential"`
		ExpiresIn  int    `json:"expires_in"`
		SameSite   string `json:"same_site"`
	}
	must(t, json.Unmarshal([]byte(body), &made))
	if res.StatusCode != 200 || made.Credential == "" || made.ExpiresIn <= 0 || made.SameSite != "lax" {
		t.Fatalf("redeem = %d %s", res.StatusCode, body)
	}

	// TOK-21: a service that sees the host's cookie opens no account with it, and makes no code for another host.
	host := []string{"Cookie", source.InsecureCookieName + "=" + made.Credential, "Sec-Fetch-Site", "same-origin"}
	for _, path := range []string{"/v1/session", "/v1/sessions", "/v1/csrf", "/v1/admin/users"} {
		if res, body := b.call("GET", path, "", host...); res.StatusCode != http.StatusForbidden {
			t.Errorf("GET %s by a host's cookie = %d %s, want 403", path, res.StatusCode, body)
		}
	}
	if res, body := b.call("POST", "/v1/password", `{"current":"`+pass+`","next":"another long password"}`, host...); res.StatusCode != http.StatusForbidden {
		t.Errorf("a new password by a host's cookie = %d %s, want 403", res.StatusCode, body)
	}
	if w := b.answer("GET", handoverPage(nil), "", host...); strings.Contains(w.Header().Get("Location"), "code=") {
		t.Errorf("a code by a host's cookie: %d %v", w.Code, w.Header())
	}

	// It is shown to its owner, and ends with the session.
	if body := v.open("/").page.Body.String(); !regexp.MustCompile(`<dt>Used at</dt><dd><bdi>` + appOrigin + `</bdi> since <time [^,]+, [0-9:]+ UTC</time>, last seen <time [^,]+, [0-9:]+ UTC</time>\n`).MatchString(body) {
		t.Errorf("the account page does not name the host:\n%s", body)
	}
	if _, body := b.call("GET", "/v1/sessions", "", v.headers()...); !regexp.MustCompile(`"hosts":\[{"id":"hst_[a-z2-7]+","origin":"` + appOrigin + `","granted":"[^"]+","last_used":"[^"]+"}\]`).MatchString(body) {
		t.Errorf("the list of sessions: %s", body)
	}
	live := func() bool { _, err := b.issuer.Lookup(t.Context(), made.Credential); return err == nil }
	if !live() {
		t.Error("the host's cookie is not good")
	}
	if w := b.form("/oauth/revoke", url.Values{"token": {made.Credential}}); w.Code != 200 || live() {
		t.Errorf("given up: %d, and good: %v", w.Code, live())
	}
	if w := v.open(handoverPage(nil)).page; !strings.HasPrefix(w.Header().Get("Location"), "/login?") {
		t.Errorf("after the host's cookie was given up the login lives: %s", w.Header().Get("Location"))
	}
}

// A person ends what one host, or another client, holds of a session: on the page and by the API, and of no
// session of somebody else. The session goes on.
func TestEndPartOfASession(t *testing.T) {
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	key := b.handoverKey("gateway", "web")
	in := b.session("alice", issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie})
	mallory := b.session("mallory", issuer.Request{Carrier: counterfoil.CarrierBearer})
	cookie := []string{"Cookie", source.InsecureCookieName + "=" + in.Access.Reveal(), "Origin", b.url}
	hosted := func() (credential, id string) {
		t.Helper()
		back, err := url.Parse(b.answer("GET", handoverPage(nil), "", cookie...).Header().Get("Location"))
		must(t, err)
		_, body := b.redeem(key, redemption(back.Query().Get("code")))
		var made struct{ Credential string }
		must(t, json.Unmarshal([]byte(body), &made))
		s, err := b.issuer.Lookup(t.Context(), made.Credential)
		must(t, err)
		return made.Credential, s.TokenID
	}
	live := func(credential string) bool { _, err := b.issuer.Lookup(t.Context(), credential); return err == nil }
	path := "/v1/sessions/" + in.Session.ID + "/hosts/"

	host, id := hosted()
	if res, _ := b.call("DELETE", path+id, "", bearer(mallory)...); res.StatusCode != http.StatusNotFound || !live(host) {
		t.Errorf("somebody else ends the host: %d, and it lives: %v", res.StatusCode, live(host))
	}
	if res, body := b.call("DELETE", path+id, "", "Cookie", source.InsecureCookieName+"="+host, "Origin", b.url); res.StatusCode != http.StatusForbidden || !live(host) {
		t.Errorf("the host's own cookie ends it: %d %s", res.StatusCode, body)
	}
	if res, body := b.call("DELETE", path+id, "", cookie...); res.StatusCode != http.StatusNoContent || live(host) {
		t.Errorf("the host is ended: %d %s, and it lives: %v", res.StatusCode, body, live(host))
	}
	if res, body := b.call("DELETE", path+id, "", cookie...); res.StatusCode != http.StatusNotFound {
		t.Errorf("a second time: %d %s", res.StatusCode, body)
	}

	host, id = hosted()
	app := b.grant(in.Session.ID)
	v := b.visitor()
	v.cookies[source.InsecureCookieName] = in.Access.Reveal()
	v.open("/").at(http.StatusOK, "<dt>Used by</dt><dd><bdi>app</bdi> since ").at(http.StatusOK, `name="host" value="`+id+`"><button class="quiet" aria-label="Sign out at `+appOrigin+`">`)
	for _, c := range []struct{ name, value, says string }{
		{"host", id, "The session is signed out at that site."}, {"host", id, "The session was signed out at that site before."},
		{"client", "app", "That app is disconnected."},
	} {
		v.keep(v.form("/sessions/revoke", typed("sid", in.Session.ID, c.name, c.value), append(v.headers(), "Origin", v.url)...))
		v.gone(http.StatusOK, says+c.says)
	}
	if live(host) || live(app.Access.Reveal()) || !live(in.Access.Reveal()) {
		t.Errorf("the host lives: %v, the grant: %v, the session: %v", live(host), live(app.Access.Reveal()), live(in.Access.Reveal()))
	}
}

// Who must prove again who they are is led to the host after that, with a code of the session that goes on.
func TestHandoverAfterStepUp(t *testing.T) {
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	v := b.visitor().open(handoverPage(nil))
	v.open(v.page.Header().Get("Location")).send("/login", url.Values{"identifier": {"alice"}, "password": {pass}})
	before := v.cookies[source.InsecureCookieName]
	v.open("/login?" + url.Values{"client": {"web"}, "max_age": {"0"}, "return_to": {b.url + handoverPage(nil)}}.Encode())
	if policy := v.page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+appOrigin+";") {
		t.Errorf("the policy is %s", policy)
	}
	v.send("/session/step-up", url.Values{"password": {pass}})
	v.open(strings.TrimPrefix(v.page.Header().Get("Location"), b.url))
	back, err := url.Parse(v.page.Header().Get("Location"))
	must(t, err)
	if code := back.Query().Get("code"); code == "" || v.cookies[source.InsecureCookieName] == before {
		t.Fatalf("back at %s", back)
	} else if res, text := b.redeem(b.handoverKey("gateway", "web"), redemption(code)); res.StatusCode != 200 {
		t.Errorf("the code = %d %s", res.StatusCode, text)
	}
}

// HDR-03: nobody is led elsewhere, and no code is made for nothing.
func TestHandoverRefused(t *testing.T) {
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	b.client("other", clients.Client{Origins: []string{"https://other.example.net"}})
	in := b.session("alice", issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie})
	cookie := []string{"Cookie", source.InsecureCookieName + "=" + in.Access.Reveal()}
	set := func(name string, values ...string) func(url.Values) {
		return func(q url.Values) { q[name] = values }
	}
	for name, change := range map[string]func(url.Values){
		"another origin": set("origin", "https://evil.example"), "no origin": set("origin"), "two origins": set("origin", appOrigin, "https://evil.example"),
		"a path": set("origin", appOrigin+"/x"), "a prefix": set("origin", appOrigin+".evil.example"), "user info": set("origin", appOrigin+"@evil.example"),
		"other case": set("origin", "https://APP.example.net"), "port": set("origin", appOrigin+":443"), "fragment": set("origin", appOrigin+"#"),
		"null": set("origin", "null"), "script": set("origin", "javascript:alert(1)//"), "own": set("origin", b.url), "no scheme": set("origin", "//evil.example"),
		"origin of another client": set("origin", "https://other.example.net"), "unknown client": set("client", "nobody"), "default client": set("client"),
		"no challenge": set("challenge"), "short challenge": set("challenge", "x"), "line break in state": set("state", "a\r\nSet-Cookie: x=y"), "two states": set("state", "a", "b"),
	} {
		w := b.answer("GET", handoverPage(change), "", cookie...)
		if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("%s = %d %s, want 400", name, w.Code, w.Header().Get("Location"))
		}
		if strings.Contains(w.Body.String(), "return_to") || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%s: the page speaks of what is not there, or of what was sent: %s", name, w.Body)
		}
	}
	// Who is not signed in hears of it before a password is typed.
	for _, origin := range []string{"https://evil.example", b.url, ""} {
		w := b.answer("GET", "/login?"+url.Values{"client": {"web"}, "return_to": {b.url + handoverPage(set("origin", origin))}}.Encode(), "")
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), `name="password"`) {
			t.Errorf("the sign-in page for a handover to %q = %d %s", origin, w.Code, w.Body)
		}
	}
	w := b.answer("GET", handoverPage(set("origin", "https://other.example.net")), "", cookie...)
	if text := "A sign-in may not lead to this site. Its origin is none that the client lists: an administrator adds it with counterfoil client set --origin."; !strings.Contains(w.Body.String(), text) {
		t.Errorf("an origin that is not listed: %s", w.Body)
	}
	// Another client's session signs in, as at /login. What no person opens gets no code.
	w = b.answer("GET", handoverPage(func(q url.Values) { q.Set("client", "other"); q.Set("origin", "https://other.example.net") }), "", cookie...)
	if !strings.HasPrefix(w.Header().Get("Location"), "/login?client=other&") {
		t.Errorf("another client: %d %s", w.Code, w.Header().Get("Location"))
	}
	if w := b.answer("HEAD", handoverPage(nil), "", cookie...); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Errorf("HEAD = %d %v", w.Code, w.Header())
	}
	if w := b.answer("GET", handoverPage(nil), "", append(cookie, "Sec-Purpose", "prefetch")...); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Errorf("prefetch = %d %v", w.Code, w.Header())
	}
	if w := b.answer("GET", handoverPage(nil), "", "Authorization", "Bearer "+b.session("alice", issuer.Request{Client: "web", Carrier: counterfoil.CarrierBearer}).Access.Reveal()); strings.Contains(w.Header().Get("Location"), "code=") {
		t.Errorf("a token in a header = %d %v", w.Code, w.Header())
	}
}

// A stolen API key is good for no code without the secret of its browser, for its own clients alone, once.
func TestRedeemRefused(t *testing.T) {
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	in := b.session("alice", issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie})
	key := b.handoverKey("gateway", "web")
	_, introspect, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "web", Scopes: []string{directory.ScopeIntrospect, directory.ScopeFeed}})
	must(t, err)
	code := func() string {
		w := b.answer("GET", handoverPage(nil), "", "Cookie", source.InsecureCookieName+"="+in.Access.Reveal())
		to, err := url.Parse(w.Header().Get("Location"))
		must(t, err)
		return to.Query().Get("code")
	}
	for name, c := range map[string]struct {
		key, member, value string
		want               int
	}{
		"no key":             {"", "", "", 401},
		"scope is missing":   {introspect.Reveal(), "", "", 403},
		"key of others":      {b.handoverKey("gateway"), "", "", 403},
		"verifier":           {key, "verifier", verifier[1:] + "x", 400},
		"challenge, instead": {key, "verifier", challengeOf(verifier), 400},
		"origin":             {key, "origin", "https://evil.example", 400},
		"client":             {b.handoverKey("gateway", "*"), "client", "other", 400},
		"code":               {key, "code", verifier, 400},
	} {
		body := redemption(code())
		if c.member != "" {
			body[c.member] = c.value
		}
		if res, text := b.redeem(c.key, body); res.StatusCode != c.want || strings.Contains(text, `"credential":`) {
			t.Errorf("%s = %d %s, want %d", name, res.StatusCode, text, c.want)
		}
	}
	body := redemption(code())
	if res, text := b.redeem(key, body); res.StatusCode != 200 {
		t.Fatalf("a good code = %d %s", res.StatusCode, text)
	}
	if res, text := b.redeem(key, body); res.StatusCode != 400 {
		t.Errorf("a code that was used = %d %s, want 400", res.StatusCode, text)
	}
}

// A server below a path of its host leads there as well.
func TestHandoverBelow(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080/auth"})
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	w := b.answer("GET", "/auth"+handoverPage(nil), "")
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/auth/login?client=web&return_to=%2Fauth%2Fhandover%3F") {
		t.Fatalf("%d %s", w.Code, to)
	}
	if policy := b.answer("GET", to, "").Header().Get("Content-Security-Policy"); !strings.Contains(policy, appOrigin) {
		t.Errorf("the policy is %s", policy)
	}
}

// A page of a service whose path is that of ours is the service's: the form may lead to it.
func TestHandoverOfAnotherHost(t *testing.T) {
	const other = "https://other.example.net"
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin, other}})
	w := b.answer("GET", "/login?"+url.Values{"client": {"web"}, "return_to": {other + handoverPage(nil)}}.Encode(), "")
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+other+";") {
		t.Errorf("the form leads to %s, and the policy is %s", other, policy)
	}
}

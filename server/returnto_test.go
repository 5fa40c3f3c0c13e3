package server_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

const authURL = "http://127.0.0.1:8080"

// visitor is a browser at the pages of a bench: it keeps cookies, and sends forms as they are on
// the page that it shows.
type visitor struct {
	*bench
	cookies map[string]string
	page    *httptest.ResponseRecorder
}

func (b *bench) visitor() *visitor { return &visitor{bench: b, cookies: map[string]string{}} }

func (v *visitor) keep(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if v.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	v.page = w
}

func (v *visitor) headers() []string {
	var all []string
	for name, value := range v.cookies {
		all = append(all, name+"="+value)
	}
	if all == nil {
		return nil
	}
	return []string{"Cookie", strings.Join(all, "; ")}
}

// ask sends JSON from a page of the server.
func (v *visitor) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	v.Helper()
	v.keep(v.answer(method, path, body, append(append(v.headers(), "Origin", v.url), header...)...))
	return v.page
}

// open follows a link.
func (v *visitor) open(target string) *visitor {
	v.Helper()
	v.keep(v.answer("GET", target, "", v.headers()...))
	return v
}

// send fills in the form of the page that goes to path, and sends it.
func (v *visitor) send(path string, typed url.Values) *visitor {
	v.Helper()
	_, form, found := strings.Cut(v.page.Body.String(), `<form method="post" action="`+path+`"`)
	if !found {
		v.Fatalf("no form to %s on %s", path, v.page.Body)
	}
	form, _, _ = strings.Cut(form, "</form>")
	for _, field := range strings.Split(form, `<input type="hidden" name="`)[1:] {
		name, rest, _ := strings.Cut(field, `" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		typed.Set(name, html.UnescapeString(value))
	}
	v.keep(v.form(path, typed, append(v.headers(), "Origin", v.url)...))
	return v
}

// link follows the link of the page with that text.
func (v *visitor) link(text string) *visitor {
	v.Helper()
	before, _, found := strings.Cut(v.page.Body.String(), `">`+text+"</a>")
	if !found {
		v.Fatalf("no link %q on %s", text, v.page.Body)
	}
	return v.open(html.UnescapeString(before[strings.LastIndex(before, `"`)+1:]))
}

// at fails the test unless the page has that status and that text.
func (v *visitor) at(status int, text string) *visitor {
	v.Helper()
	if v.page.Code != status || !strings.Contains(v.page.Body.String(), text) {
		v.Fatalf("the page = %d %s, want %d with %q", v.page.Code, v.page.Body, status, text)
	}
	return v
}

// sentTo fails the test unless the browser was sent to target.
func (v *visitor) sentTo(target string) *visitor {
	v.Helper()
	if got := v.page.Header().Get("Location"); v.page.Code != http.StatusSeeOther || got != target {
		v.Fatalf("the answer = %d to %q, want 303 to %q: %s", v.page.Code, got, target, v.page.Body)
	}
	return v
}

func typed(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values
}

// A sign-in returns to where the visitor was, by every way that leads to a session. A failed
// attempt and the links between the pages keep it.
func TestSignInReturns(t *testing.T) {
	const where = `/notes?page=2&text="<a>"#end`
	for _, client := range []string{"", "web"} {
		b := assemble(t, server.Config{URL: authURL, Registration: true})
		b.client("web", clients.Client{})
		there := "?" + typed("return_to", strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E").Replace(where)).Encode()
		target := `/notes?page=2&text=%22%3Ca%3E%22#end`
		if client != "" {
			there += "&client=" + client
		}
		wrong, right := typed("identifier", "alice", "password", "not her password"), typed("identifier", "alice", "password", pass)
		v := b.visitor()
		v.open("/login"+there).send("/login", wrong).at(http.StatusUnauthorized, "not right").send("/login", right).sentTo(target)
		if got := v.client(t); got != client && client != "" {
			t.Errorf("the session is of %s", got)
		}

		v = b.visitor()
		v.open("/login"+there).link("Create an account").send("/register", typed("identifier", "bob", "password", "short")).at(http.StatusUnprocessableEntity, "")
		v.link("Sign in").link("Create an account").send("/register", typed("identifier", "bob"+client, "password", "an evening by the river")).sentTo(target)

		b.riddled()
		v = b.visitor()
		v.open("/login"+there).send("/login", right).at(http.StatusOK, "What is").send("/login/continue", typed("answer", "a sphinx"))
		v.at(http.StatusUnauthorized, "Begin again").send("/login", right).link("Begin again").send("/login", right)
		v.send("/login/continue", typed("answer", "a man")).sentTo(target)
	}
}

// client is the client of the visitor's session.
func (v *visitor) client(t *testing.T) string {
	t.Helper()
	w := v.answer("GET", "/v1/session", "", v.headers()...)
	if w.Code != http.StatusOK {
		t.Fatalf("session = %d %s", w.Code, w.Body)
	}
	return textOf(w.Body.String(), "client")
}

// HDR-03: a sign-in leads to another origin only if the client lists it. The page lets the
// browser follow the redirect there, and no other page does.
func TestSignInReturnsToAClient(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true})
	const app = "https://app.test"
	b.client("web", clients.Client{Origins: []string{app}})
	b.client("shut", clients.Client{Origins: []string{"https://shut.test"}, Disabled: true})
	right := typed("identifier", "alice", "password", pass)
	policy := func(v *visitor) string { return v.page.Header().Get("Content-Security-Policy") }

	v := b.visitor().open("/login?client=web&return_to=https%3A%2F%2Fapp.test%2Fnotes%3Fa%3Db")
	if !strings.Contains(policy(v), "form-action 'self' https://app.test;") {
		t.Errorf("the policy of the form is %q", policy(v))
	}
	b.riddled()
	v.send("/login", typed("identifier", "alice", "password", "not her password")).at(http.StatusUnauthorized, "").send("/login", right)
	if !strings.Contains(policy(v), "form-action 'self' https://app.test;") {
		t.Errorf("the policy of the second step is %q", policy(v))
	}
	v.send("/login/continue", typed("answer", "a man")).sentTo(app + "/notes?a=b")
	if v.open("/login"); strings.Contains(policy(v), "app.test") {
		t.Errorf("the policy of another page is %q", policy(v))
	}
	for _, wrong := range []string{
		"return_to=https%3A%2F%2Fapp.test%2F", "client=default&return_to=https%3A%2F%2Fapp.test%2F", "client=app&return_to=https%3A%2F%2Fapp.test%2F",
		"client=web&return_to=https%3A%2F%2Fapp.test.evil.test%2F", "client=shut&return_to=https%3A%2F%2Fshut.test%2F", "client=nobody&return_to=https%3A%2F%2Fapp.test%2F",
	} {
		b.visitor().open("/login?"+wrong).at(http.StatusBadRequest, "list another origin in the settings of the client")
	}
}

// HDR-03: each step refuses a return_to that leads elsewhere, before it looks at a credential.
// The page shows nothing of it, and signs nobody in.
func TestNoSignInLeadsElsewhere(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true})
	b.riddled()
	held := append(b.left(time.Hour, counterfoil.CarrierCookie).credential(), "Origin", authURL)
	before := b.dump()
	for _, evil := range []string{
		"//evil.test", `/\evil.test`, "https:evil.test", "https://evil.test/", authURL + "@evil.test/", authURL + ".evil.test", "javascript:alert(1)",
		"/\t/evil.test", "/\r\nSet-Cookie: a=b", "/%2fevil.test", "/%5cevil.test", "/..//evil.test", " /notes", "notes",
	} {
		fields := typed("identifier", "alice", "password", pass, "attempt", "cfa_x", "answer", "a man", "return_to", evil)
		answers := map[string]*httptest.ResponseRecorder{}
		for _, path := range []string{"/login", "/register"} {
			answers["GET "+path] = b.answer("GET", path+"?"+typed("return_to", evil).Encode(), "")
			answers["GET "+path+", signed in"] = b.answer("GET", path+"?"+typed("return_to", evil).Encode(), "", held...)
		}
		for _, path := range []string{"/login", "/register", "/login/continue", "/session/step-up"} {
			answers["POST "+path] = b.form(path, fields, held...)
		}
		for name, w := range answers {
			body := w.Body.String()
			if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || len(w.Result().Cookies()) > 0 ||
				!strings.Contains(body, "A sign-in may not lead where this link says. Its return_to ") || strings.Contains(body, "evil") {
				t.Errorf("%s with %q = %d to %q, cookies %v: %s", name, evil, w.Code, w.Header().Get("Location"), w.Result().Cookies(), body)
			}
		}
	}
	if w := b.answer("GET", "/login?return_to=%2Fa&return_to=%2F%2Fevil.test", ""); w.Code != http.StatusBadRequest {
		t.Errorf("two of them = %d", w.Code)
	}
	if b.dump() != before {
		t.Error("something was changed")
	}
}

// Who is signed in already goes where the link says, if the session is one of the client's and
// its login is fresh enough. Otherwise they prove who they are again, or sign in.
func TestSignInOfSomebodyWhoIs(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL})
	b.client("web", clients.Client{Origins: []string{"https://app.test"}})
	old := func() *visitor {
		v := b.visitor()
		v.cookies[source.InsecureCookieName] = b.left(time.Hour, counterfoil.CarrierCookie).cookies[0].Value
		return v
	}
	const proves, signsIn = `action="/session/step-up"`, `action="/login"`
	old().open("/login").at(http.StatusOK, signsIn)
	old().open("/login?return_to=/notes").sentTo("/notes")
	old().open("/login?return_to=/notes&client=default").sentTo("/notes")
	old().open("/login?return_to=/notes&max_age=4000").sentTo("/notes")
	old().open("/login?return_to=/notes&client=web").at(http.StatusOK, signsIn)
	// On the way to the page the login would become too old.
	for _, age := range []string{"0", "1", "600", "3603"} {
		old().open("/login?return_to=/notes&max_age="+age).at(http.StatusOK, proves)
	}
	for _, age := range []string{"-1", "x", "1.5", "99999999999"} {
		old().open("/login?return_to=/notes&max_age="+age).at(http.StatusBadRequest, "number of seconds")
	}
	v := old().open("/login?return_to=/notes&max_age=600").send("/session/step-up", typed("password", "not hers at all"))
	v.at(http.StatusUnauthorized, "That password is not right").send("/session/step-up", typed("password", pass)).sentTo("/notes")
	v.open("/login?return_to=/notes&max_age=600").sentTo("/notes")
	old().open("/login?max_age=600").send("/session/step-up", typed("password", pass)).sentTo("/")

	b.riddled()
	v = old().open("/login?return_to=/notes&max_age=600").send("/session/step-up", typed("password", pass)).send("/login/continue", typed("answer", "a sphinx"))
	v.at(http.StatusUnauthorized, proves).send("/session/step-up", typed("password", pass)).send("/login/continue", typed("answer", "a man")).sentTo("/notes")

	// A session of the other client, which lists the origin.
	v = b.visitor()
	v.cookies[source.InsecureCookieName] = b.session("usr_elsewhere", issuer.Request{Carrier: counterfoil.CarrierCookie, Client: "web"}).Access.Reveal()
	v.open("/login?client=web&return_to=https%3A%2F%2Fapp.test%2Fa").sentTo("https://app.test/a")
	v.open("/login?client=web&return_to=/notes&max_age=0").at(http.StatusOK, signsIn) // there is no password to ask for

	// One that has ended.
	v = old()
	_, err := b.issuer.Revoke(t.Context(), source.ScopeAll, "", audit.Act{})
	must(t, err)
	if v.open("/login?return_to=/notes").at(http.StatusOK, signsIn); len(v.cookies) > 0 {
		t.Errorf("the browser keeps %v", v.cookies)
	}
}

// Who was signed out at the account page comes back to where they were, also when they find out
// by sending a form.
func TestSignInFromTheAccountPage(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL})
	right := typed("identifier", "alice", "password", pass)
	b.visitor().open("/").link("Sign in").send("/login", right).sentTo("/")
	b.visitor().open("/?cursor=abc").link("Sign in").send("/login", right).sentTo("/?cursor=abc")
	for _, path := range []string{"/sessions/revoke", "/sessions/others", "/notices/dismiss", "/password", "/session/step-up"} {
		v := b.visitor()
		v.cookies[source.InsecureCookieName] = b.left(time.Hour, counterfoil.CarrierCookie).cookies[0].Value
		v.open("/").at(http.StatusOK, "Signed in")
		_, err := b.issuer.Revoke(t.Context(), source.ScopeAll, "", audit.Act{})
		must(t, err)
		v.keep(v.form(path, typed("sid", "x", "password", pass, "current", pass, "next", pass), append(v.headers(), "Origin", v.url)...))
		v.at(http.StatusUnauthorized, "You are not signed in any more, so nothing was done.").send("/login", right).sentTo("/")
	}
	got, err := b.issuer.Login(t.Context(), login.Proof{Subject: "usr_elsewhere", At: time.Now().Add(-time.Hour)}, issuer.Request{Carrier: counterfoil.CarrierCookie})
	must(t, err)
	v := b.visitor()
	v.cookies[source.InsecureCookieName] = got.Access.Reveal()
	v.open("/").link("Sign in").at(http.StatusOK, `action="/login"`).send("/login", right).sentTo("/")
}

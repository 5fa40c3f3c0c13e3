package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// console is a visitor who signed in age ago, with these roles.
func (b *bench) console(age time.Duration, roles ...string) *visitor {
	b.Helper()
	name := fmt.Sprintf("staff%d", time.Now().UnixNano())
	u, err := b.users.Register(b.Context(), rights.Owner(), audit.Act{}, name, "Staff", secret.New(pass), roles)
	must(b.T, err)
	rev, err := b.issuer.SubjectRev(b.Context(), u.ID)
	must(b.T, err)
	got, err := b.issuer.Login(b.Context(), login.Proof{Subject: u.ID, Methods: []string{"pwd"}, At: time.Now().Add(-age), SubjectRev: rev, Roles: roles}, issuer.Request{Carrier: counterfoil.CarrierCookie})
	must(b.T, err)
	v := b.visitor()
	v.cookies[source.InsecureCookieName] = got.Access.Reveal()
	return v
}

var scopeOfKey = regexp.MustCompile(`an API key with the scope <code>(.*?)</code>`)

var preformatted = regexp.MustCompile(`(?s)<pre tabindex="0">(.*?)</pre>`)

// shellWords has a real shell read command, and returns the arguments of curl in it.
func shellWords(t *testing.T, command string) []string {
	t.Helper()
	script := exec.Command("sh", "-c", `curl() { for word in "$@"; do printf '%s\000' "$word"; done; }`+"\n"+command)
	script.Env, script.Dir = []string{"COUNTERFOIL_API_KEY=the-key", "COUNTERFOIL_ACCESS_TOKEN=the-token", "PATH=" + os.Getenv("PATH")}, t.TempDir()
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	if made, err := os.ReadDir(script.Dir); err != nil || len(made) > 0 {
		t.Errorf("%s: the shell has made %v, %v", command, made, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// curls returns the calls that the page shows, as a shell reads them.
func (v *visitor) curls() (calls []shown) {
	v.Helper()
	for _, pre := range preformatted.FindAllStringSubmatch(v.page.Body.String(), -1) {
		c := shown{method: http.MethodGet}
		args := shellWords(v.T, html.UnescapeString(pre[1]))
		for n := 0; n < len(args); n++ {
			switch args[n] {
			case "-X", "-H", "-d":
				value := args[n+1]
				switch {
				case args[n] == "-X":
					c.method = value
				case args[n] == "-d":
					c.body = value
				case value == "Authorization: Bearer the-token":
					c.byPerson = true
				case value != "Authorization: Bearer the-key" && value != "Content-Type: application/json":
					v.Errorf("%s has the header %q", pre[1], value)
				}
				n++
			default:
				if c.target != "" {
					v.Errorf("%s has two addresses", pre[1])
				}
				c.target = args[n]
			}
		}
		var inside bool
		if c.target, inside = strings.CutPrefix(c.target, v.url); !inside {
			v.Errorf("%s leads to %s", pre[1], c.target)
		}
		calls = append(calls, c)
	}
	if calls == nil {
		v.Errorf("no command on %s", v.page.Body)
	}
	return calls
}

// shown is a call that a page shows.
type shown struct {
	method, target, body string
	byPerson             bool // with an access token, in place of an API key
}

// furnished is a server with users, clients and keys that have hostile names, and the addresses of all
// pages and forms of the console for them.
func furnished(t *testing.T) (b *bench, pages, forms []string, user string) {
	taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(taken.Close)
	b = assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true, Monitor: checks(t, taken.URL)})
	incident := b.incident(hostile)
	u, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{Reason: "it's; $(touch hacked)"}, "mallory", hostile, secret.New(pass), []string{"it's"})
	must(t, err)
	held := b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: hostile})
	b.client("it's-$(touch/hacked)?", clients.Client{Name: hostile, Origins: []string{"https://app.test"}, Opens: clients.OpensAccount})
	letter := b.letter(outbox.Draft{Kind: "mail", About: hostile, Subject: u.ID})
	kid, apikey := b.firstID("/v1/admin/keys"), b.firstID("/v1/admin/apikeys")
	client := url.PathEscape("it's-$(touch/hacked)?")
	pages = []string{"/admin", "/admin/users", "/admin/users/" + u.ID, "/admin/clients", "/admin/clients/" + client, "/admin/apikeys", "/admin/keys", "/admin/log", "/admin/sessions", "/admin/sessions?carrier=cookie&device=script", "/admin/settings", "/admin/users?q=mal&disabled=false&created=2026-01-01", "/admin/audit", "/admin/audit?action=login&subject=nobody", "/admin/outbox", "/admin/outbox?state=waiting&limit=1", "/admin/monitor", "/admin/monitor/checks/shop", "/admin/users?limit=1"}
	forms = []string{
		"/admin/new/user", "/admin/users/" + u.ID + "/edit", "/admin/users/" + u.ID + "/invite", "/admin/users/" + u.ID + "/disable", "/admin/users/" + u.ID + "/enable", "/admin/users/" + u.ID + "/undos", "/admin/users/" + u.ID + "/impersonate",
		"/admin/users/" + u.ID + "/end", "/admin/users/" + u.ID + "/delete", "/admin/sessions/" + held.Session.ID + "/end",
		"/admin/revoke/sessions?sid-" + held.Session.ID + "=on", "/admin/revoke/found?device=script", "/admin/new/client", "/admin/clients/" + client + "/edit", "/admin/clients/" + client + "/end", "/admin/clients/" + client + "/delete",
		"/admin/new/apikey", "/admin/apikeys/" + apikey + "/delete", "/admin/keys/rotate", "/admin/keys/" + kid + "/revoke", "/admin/audit/verify",
		"/admin/new/incident", "/admin/monitor/checks/shop/mute", "/admin/monitor/checks/shop/unmute", "/admin/monitor/incidents/" + incident + "/note", "/admin/monitor/channels/ops/test",
		"/admin/outbox/" + letter + "/redeliver", "/admin/outbox/" + letter + "/drop",
	}
	return b, pages, forms, u.ID
}

// firstID is the id of the first entry of the list at path.
func (b *bench) firstID(path string) string {
	list := b.answer("GET", path, "", "Authorization", "Bearer "+b.key).Body.String()
	return regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(list)[1]
}

// HDR-02: hostile names stand on the pages of the console as text. Each page is small and has no style or
// script of its own. The commands that it shows are calls of the API as its document has them.
func TestConsolePages(t *testing.T) {
	b, pages, forms, _ := furnished(t)
	v := b.console(time.Minute, "admin")
	_, reads, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "monitor", Scopes: []string{directory.ScopeAdminRead}})
	must(t, err)
	keys := map[string]string{directory.ScopeAdmin: b.key, directory.ScopeAdminRead: reads.Reveal()}
	for _, pattern := range b.server.ConsolePatterns() {
		route := "^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(strings.TrimPrefix(pattern, "GET "), "[^/]+") + `(\?|$)`
		if strings.HasPrefix(pattern, "GET ") && pattern != "GET /admin/revoked/{id}" && // see TestConsoleWrites
			!slices.ContainsFunc(append(pages, forms...), regexp.MustCompile(route).MatchString) {
			t.Errorf("no page of %s is looked at", pattern)
		}
	}
	for _, path := range append(pages, forms...) {
		v.open(path).at(http.StatusOK, "</html>")
		body := strings.NewReplacer(`<script type="module" src="/static/console.js"></script>`, "", `<script type="module" src="/static/page.js"></script>`, "").Replace(v.page.Body.String())
		for _, bad := range []string{"<script", "<img", "onerror=alert(1)>", " style=", pass} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %s: %s", path, bad, body)
			}
		}
		if len(body) > 60<<10 {
			t.Errorf("%s has %d bytes", path, len(body))
		}
		for _, c := range v.curls() {
			at, _, _ := strings.Cut(c.target, "?")
			if _, _, ok := readDocument().find(c.method, at); !ok {
				t.Errorf("%s shows %s %s, which is not in openapi.json", path, c.method, c.target)
			}
			if c.byPerson != strings.HasSuffix(at, "/impersonation") {
				t.Errorf("%s shows %s %s: by a person is %t", path, c.method, c.target, c.byPerson)
			}
			if c.byPerson { // see TestConsoleImpersonates
				continue
			}
			scope := scopeOfKey.FindStringSubmatch(body)
			if scope == nil || c.method != "GET" && scope[1] != directory.ScopeAdmin && !strings.HasSuffix(c.target, "/audit/verify") {
				t.Fatalf("%s shows %s %s for a key with the scope %q", path, c.method, c.target, scope)
			}
			if c.method == "GET" && b.answer(c.method, c.target, "", "Authorization", "Bearer "+keys[scope[1]]).Code != http.StatusOK {
				t.Errorf("%s shows %s, which fails with a key of the scope %s", path, c.target, scope[1])
			}
		}
		if !slices.Contains(forms, path) && !strings.Contains(body, "<code>admin:read</code>") {
			t.Errorf("%s only reads, and asks for a key that may write", path)
		}
	}
	if again := html.UnescapeString(v.open("/admin/users").page.Body.String()); !strings.Contains(again, hostile) {
		t.Errorf("the name is not shown: %s", again)
	}
	for _, path := range []string{"/admin/users/nobody", "/admin/clients/nobody", "/admin/apikeys/nobody/delete", "/admin/sessions/nobody/end", "/admin/clients/%2e%2e%2fkeys"} {
		v.open(path).at(http.StatusNotFound, "ot found")
	}
	v.open("/admin/audit?action=sleep").at(http.StatusBadRequest, "sleep")
	// What the search of an address does not find is said where somebody searches.
	v.open("/admin/sessions?address=192.0.2.1").at(http.StatusOK, "Where a refresh token was used is in the list of a user")
	if strings.Contains(v.open("/admin/sessions").page.Body.String(), "Where a refresh token was used") {
		t.Error("the page of all sessions explains the search of an address, which nobody made")
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return string(data)
}

// CSRF-01: no form of the console can be sent by another site. Nobody without a role gets anything, and
// who is signed out is led to the sign-in and back.
func TestConsoleIsClosed(t *testing.T) {
	b, pages, forms, _ := furnished(t)
	boss, alice := b.console(time.Minute, "admin"), b.own(time.Minute)
	before := b.dump()
	for _, path := range append(pages, forms...) {
		alice.open(path).at(http.StatusForbidden, "may not open the console")
		out := b.visitor().open(path)
		to, err := url.Parse(out.page.Header().Get("Location"))
		if err != nil || out.page.Code != http.StatusSeeOther || to.Path != "/login" || to.Query().Get("return_to") != path {
			t.Errorf("signed out, %s = %d to %s", path, out.page.Code, to)
		}
	}
	values := typed("confirm", "mallory", "identifier", "eve", "id", "eve", "client", "eve").Encode()
	for _, path := range forms {
		for _, from := range [][]string{{"Origin", "https://evil.test"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			if w := b.answer("POST", path, values, append(append(boss.headers(), from...), "Content-Type", urlencoded)...); w.Code != http.StatusForbidden {
				t.Errorf("POST %s from %v = %d %s", path, from, w.Code, w.Body)
			}
		}
		if w := b.answer("POST", path, values, append(append(alice.headers(), "Origin", b.url), "Content-Type", urlencoded)...); w.Code != http.StatusForbidden {
			t.Errorf("POST %s by alice = %d %s", path, w.Code, w.Body)
		}
		if w := b.answer("POST", path, values, "Origin", b.url, "Content-Type", urlencoded); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "nothing was done") {
			t.Errorf("POST %s, signed out = %d %s", path, w.Code, w.Body)
		}
	}
	if after := b.dump(); after != before {
		t.Errorf("something was changed: %s\n%s", before, after)
	}
}

// Each role gets the pages that its rights open, and the buttons of what it may do. What it may not do is
// refused when it is sent all the same.
func TestConsoleRoles(t *testing.T) {
	b, pages, forms, _ := furnished(t)
	audit := regexp.MustCompile(`^/admin/audit`)
	revoke := regexp.MustCompile(`^/admin/((sessions/[^/]+|users/[^/]+)/end$|revoke/sessions)`)
	for role, may := range map[string]struct{ audit, revoke, write bool }{"admin": {true, true, true}, "support": {false, true, false}, "auditor": {true, false, false}} {
		v := b.console(time.Minute, role)
		for _, path := range pages {
			want := http.StatusOK
			if audit.MatchString(path) && !may.audit {
				want = http.StatusForbidden
			}
			if v.open(path); v.page.Code != want {
				t.Errorf("%s opens %s: %d, want %d", role, path, v.page.Code, want)
			}
			for _, link := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(v.page.Body.String(), -1) {
				if to := html.UnescapeString(link[1]); strings.HasPrefix(to, "/admin") && v.open(to).page.Code != http.StatusOK {
					t.Errorf("%s: %s leads to %s, which is %d", role, path, to, v.page.Code)
				}
			}
		}
		for _, path := range forms {
			allowed := may.write || may.audit && audit.MatchString(path) || may.revoke && revoke.MatchString(path)
			if v.open(path); (v.page.Code == http.StatusOK) != allowed {
				t.Errorf("%s opens %s: %d", role, path, v.page.Code)
			}
			if allowed {
				continue
			}
			before := b.dump()
			name := typed("confirm", "mallory", "identifier", "eve", "id", "eve", "client", "eve", "scope", "admin")
			w := b.answer("POST", path, name.Encode(), append(v.headers(), "Origin", b.url, "Content-Type", urlencoded)...)
			if after := b.dump(); w.Code < 400 || after != before {
				t.Errorf("%s sends %s: %d, and changes something: %t", role, path, w.Code, after != before)
			}
		}
	}
}

// A user's life in the console: made, changed, disabled by name alone, enabled, deleted. The form shows a
// refusal and what was typed.
func TestConsoleWrites(t *testing.T) {
	b, _, _, _ := furnished(t)
	v := b.console(time.Minute, "admin")
	v.open("/admin/new/user").send("/admin/new/user", typed("identifier", "mallory", "name", "Other", "roles", "staff, it's")).at(http.StatusConflict, "Nothing was done. Identifier is taken.")
	v.at(http.StatusConflict, `value="staff it&#39;s"`)
	v.send("/admin/new/user", typed("identifier", "bob", "name", "Bob", "roles", "staff")).at(http.StatusCreated, "/welcome#")
	u, err := b.users.ByIdentifier(t.Context(), "bob")
	must(t, err)
	here := "/admin/users/" + u.ID
	v.open(here+"/edit").send(here+"/edit", typed("name", "Robert", "roles", "staff boss")).gone(http.StatusOK, says+"The user was changed.").at(http.StatusOK, "Robert")
	v.open(here+"/edit").send(here+"/edit", typed("name", "Robert", "roles", "staff boss", "address", "nowhere")).at(http.StatusUnprocessableEntity, `id="address-problem"`)
	v.open(here+"/disable").send(here+"/disable", typed("confirm", "bo")).at(http.StatusUnprocessableEntity, "type exactly: bob")
	if u, err = b.users.ByIdentifier(t.Context(), "bob"); err != nil || u.Status != "active" || u.Name != "Robert" || len(u.Roles) != 2 {
		t.Fatalf("bob = %+v, %v", u, err)
	}
	held := b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierBearer})
	v.open(here).at(http.StatusOK, held.Session.ID)
	v.open("/admin/sessions/"+held.Session.ID+"/end").send("/admin/sessions/"+held.Session.ID+"/end", typed()).gone(http.StatusOK, "signed in nowhere")
	one, two := b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierBearer}), b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierBearer})
	const several = "/admin/revoke/sessions"
	v.open("/admin/sessions?user="+u.ID).at(http.StatusOK, "2 sessions").at(http.StatusOK, "sid-"+one.Session.ID)
	v.open(several+"?sid-"+one.Session.ID+"=on&sid-"+two.Session.ID+"=on").send(several, typed("confirm", "1")).at(http.StatusUnprocessableEntity, "type exactly: 2 sessions")
	v.send(several, typed("confirm", "2 sessions")).gone(http.StatusOK, says+"The sessions were revoked").open("/admin/sessions?user="+u.ID).at(http.StatusOK, "No session is found")
	first := b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierBearer})
	v.open(several+"?sid-"+first.Session.ID+"=on&sid-zzz=on").send(several, typed("confirm", "2 sessions")).at(http.StatusNotFound, "The first 1 were done, and the others were not.")
	swept := b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierBearer})
	const found = "/admin/revoke/found"
	v.open("/admin/sessions?user="+u.ID).link("Revoke all that was found").at(http.StatusOK, "1 sessions").send(found, typed("confirm", "all")).at(http.StatusUnprocessableEntity, "type exactly: 1 sessions")
	v.send(found, typed("confirm", "1 sessions")).gone(http.StatusOK, "Sessions that are revoked")
	for job := v.page.Body.String(); !strings.Contains(job, "All are revoked: 1 sessions"); job = v.page.Body.String() {
		v.link("Look again")
	}
	if _, err := b.issuer.Session(t.Context(), swept.Session.ID); err == nil {
		t.Error("the session lives")
	}
	v.open(found).at(http.StatusBadRequest, "Nothing was searched for")
	v.open(several).at(http.StatusBadRequest, "No session was chosen")
	v.open(here+"/disable").send(here+"/disable", typed("confirm", "bob")).gone(http.StatusOK, says+"The user was disabled")
	v.open(here+"/enable").send(here+"/enable", typed()).gone(http.StatusOK, says+"The user may sign in again")
	v.open(here+"/delete").send(here+"/delete", typed("confirm", "bob")).gone(http.StatusOK, says+"The user was deleted")
	v.open(here).at(http.StatusNotFound, "Not found")

	set := typed("id", "shop", "name", "Shop", "carriers", "bearer cookie", "origin_lines", "https://shop.test\nhttps://www.shop.test", "scope", "a b", "opens", "account")
	v.open("/admin/new/client").send("/admin/new/client", typed("id", "shop", "carriers", "fax")).at(http.StatusUnprocessableEntity, "A carrier is")
	v.send("/admin/new/client", set).gone(http.StatusOK, says+"The settings of the client were saved.").at(http.StatusOK, "https://www.shop.test").at(http.StatusOK, "bearer, cookie")
	v.open("/admin/new/client").send("/admin/new/client", set).at(http.StatusUnprocessableEntity, "registered already")
	v.open("/admin/clients/shop").at(http.StatusOK, "<dd>24h, that of the server</dd>")
	lives := typed("access_ttl", "90s", "idle", "2m", "refresh_idle", "24h", "absolute", "8h")
	v.open("/admin/clients/shop/edit").send("/admin/clients/shop/edit", lives).at(http.StatusBadRequest, "idle is 2m: want whole seconds from 3m to 1h").at(http.StatusBadRequest, `id="idle-problem"`)
	lives.Set("idle", "soon")
	v.send("/admin/clients/shop/edit", lives).at(http.StatusUnprocessableEntity, "A lifetime is whole seconds")
	lives.Set("idle", "30m")
	lives.Set("origin_lines", "https://shop.test\nhttps://www.shop.test")
	v.send("/admin/clients/shop/edit", lives).gone(http.StatusOK, "<dd>1m30s</dd>").at(http.StatusOK, "<dd>8h</dd>")
	v.open("/admin/clients/shop/edit").at(http.StatusOK, `value="1m30s"`).at(http.StatusOK, "&#34;idle&#34;:&#34;30m&#34;")
	v.open("/admin/clients/shop/edit").at(http.StatusOK, "https://shop.test\nhttps://www.shop.test").send("/admin/clients/shop/edit", typed("disabled", "on")).gone(http.StatusOK, "disabled")
	v.open("/admin/clients/shop/end").send("/admin/clients/shop/end", typed("confirm", "shop")).gone(http.StatusOK, "Every session of the client was ended")
	v.open("/admin/clients/shop/delete").send("/admin/clients/shop/delete", typed("confirm", "shop")).gone(http.StatusOK, "The client was deleted")

	v.open("/admin/new/apikey").send("/admin/new/apikey", typed("client", "reports", "scope", "introspect", "expires", "soon")).at(http.StatusUnprocessableEntity, "A day is written")
	v.send("/admin/new/apikey", typed("client", "reports", "scope", "introspect")).at(http.StatusCreated, "cfk_")
	id := regexp.MustCompile(`/admin/apikeys/([^/"]+)/delete" aria-label="Delete the key of reports`).FindStringSubmatch(v.open("/admin/apikeys").page.Body.String())
	if id == nil {
		t.Fatalf("the key is not listed: %s", v.page.Body)
	}
	v.open("/admin/apikeys/"+id[1]+"/delete").send("/admin/apikeys/"+id[1]+"/delete", typed("confirm", "reports")).gone(http.StatusOK, "The API key was deleted")
	v.open("/admin/audit/verify").send("/admin/audit/verify", typed()).at(http.StatusOK, "Seals")
	v.open("/admin/keys/rotate").send("/admin/keys/rotate", typed()).gone(http.StatusOK, "Another key will sign")
	kid := b.firstID("/v1/admin/keys")
	v.open("/admin/keys/"+kid+"/revoke").send("/admin/keys/"+kid+"/revoke", typed("confirm", "x")).at(http.StatusUnprocessableEntity, "type exactly: "+kid)
	v.send("/admin/keys/"+kid+"/revoke", typed("confirm", kid)).gone(http.StatusOK, "The key was revoked")
}

// A page of a search looks at a bounded number of records. One that finds none of them says so, and leads on.
func TestConsoleSearchesOn(t *testing.T) {
	b := mailed(t)
	b.copies(b.session("usr_many", issuer.Request{}).Session.ID, 400)
	for n := range 400 {
		_, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: fmt.Sprintf("user%d", n)})
		must(t, err)
	}
	b.kept(5001, "a test")
	v := b.console(time.Minute, "admin")
	for path, none := range map[string]string{
		"/admin/sessions?device=nothing":    "No session is found here.",
		"/admin/users?role=nothing":         "No user is found here.",
		"/admin/audit?action=apikey.delete": "No entry matches.",
	} {
		v.open(path).at(http.StatusOK, "The next page goes on.")
		for strings.Contains(v.page.Body.String(), "Next page") {
			v.at(http.StatusOK, "The next page goes on.").link("Next page")
		}
		v.at(http.StatusOK, none)
	}
}

// LOGIN-12: the button of the console ends the undo that a change of address has mailed.
func TestConsoleKeepsTheAddress(t *testing.T) {
	b := mailed(t)
	ada, err := b.users.ByIdentifier(t.Context(), "ada@example.com")
	must(t, err)
	_, err = b.users.Update(t.Context(), rights.Owner(), ada.ID, audit.Act{}, func(u *directory.User) error { u.Verified = time.Now(); return nil })
	must(t, err)
	asked, err := b.users.AskAddress(t.Context(), b.session(ada.ID, issuer.Request{}).Session, audit.Act{}, "new@example.com", "en")
	must(t, err)
	_, err = b.users.VerifyAddress(t.Context(), audit.Act{}, directory.Verification{Token: asked.Token, User: ada.ID})
	must(t, err)
	undo := `{"token":"` + b.box.last(t).Token.Reveal() + `"}`
	v := b.console(time.Minute, "admin")
	v.open("/admin/users/"+ada.ID).link("Keep the address").at(http.StatusOK, "Every such link becomes void.")
	v.send("/admin/users/"+ada.ID+"/undos", typed()).gone(http.StatusOK, says+"No link gives an earlier address back any more.").at(http.StatusOK, "new@example.com")
	if w := b.answer("POST", "/v1/address/undo", undo); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "link-over") {
		t.Errorf("the undo = %d %s, want 401 link-over", w.Code, w.Body)
	}
}

// keepsForm is a visitor on the way back to the form of the console that an old login has sent.
func (b *bench) keepsForm() *visitor {
	v := b.console(2*time.Hour, "admin")
	v.open("/admin/new/user").send("/admin/new/user", typed("identifier", "bob", "name", "Bob's \"<name>\"", "roles", "staff", "confirm", "bob"))
	v.at(http.StatusUnauthorized, "Enter your password again").send("/session/step-up", typed("password", "not the one at all")).at(http.StatusUnauthorized, "not right")
	return v.send("/session/step-up", typed("password", pass)).at(http.StatusOK, "What you had typed is still there")
}

var keptField = regexp.MustCompile(`name="kept" value="([^"]*)"`)

// An old login proves again, by a second step as well, and goes on where it was: the form is filled in as
// before, and nothing was done yet.
func TestConsoleProvesAgain(t *testing.T) {
	b, _, _, _ := furnished(t)
	v := b.keepsForm()
	v.send("/admin/new/user", typed()).at(http.StatusOK, "Nothing was done yet").at(http.StatusOK, `value="bob"`)
	v.at(http.StatusOK, `value="Bob&#39;s &#34;&lt;name&gt;&#34;"`)
	if _, err := b.users.ByIdentifier(t.Context(), "bob"); err == nil {
		t.Error("the user was made without a click")
	}
	v.send("/admin/new/user", typed("identifier", "bob", "name", "Bob", "roles", "staff")).at(http.StatusCreated, "/welcome#")

	// A form that is much longer than an address may be.
	v = b.console(2*time.Hour, "admin")
	origins := strings.Repeat("https://one-of-many.example\n", 120)
	long := typed("id", "shop", "origin_lines", origins)
	v.open("/admin/new/client").send("/admin/new/client", long).send("/session/step-up", typed("password", pass)).send("/admin/new/client", typed())
	if v.at(http.StatusOK, "Nothing was done yet"); !strings.Contains(v.page.Body.String(), strings.TrimSpace(origins)) {
		t.Errorf("a long form comes back as %s", v.page.Body)
	}
	long.Set("audience_lines", origins+origins)
	b.console(2*time.Hour, "admin").open("/admin/new/client").send("/admin/new/client", long).at(http.StatusUnauthorized, "in another tab")
}

// The second step of the proof has the form, too, and can be begun again. So has the sign-in of somebody who
// has no password here. Who signs in as somebody else gets the form empty.
func TestConsoleProvesAgainInSteps(t *testing.T) {
	b, _, _, _ := furnished(t)
	alice, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	_, err = b.users.Update(t.Context(), rights.Owner(), alice.ID, audit.Act{}, func(u *directory.User) error { u.Roles = []string{"admin"}; return nil })
	must(t, err)
	b.riddled()
	old := func(subject string) *visitor {
		rev, err := b.issuer.SubjectRev(t.Context(), subject)
		must(t, err)
		got, err := b.issuer.Login(t.Context(), login.Proof{Subject: subject, Methods: []string{"pwd"}, At: time.Now().Add(-2 * time.Hour), SubjectRev: rev, Roles: []string{"admin"}}, issuer.Request{Carrier: counterfoil.CarrierCookie})
		must(t, err)
		v := b.visitor()
		v.cookies[source.InsecureCookieName] = got.Access.Reveal()
		return v.open("/admin/new/user").send("/admin/new/user", typed("identifier", "bob"))
	}
	v := old(alice.ID).send("/session/step-up", typed("password", pass)).at(http.StatusOK, "One more step")
	again := b.visitor()
	again.cookies, again.page = v.cookies, v.page
	again.send("/admin/new/user", typed()).at(http.StatusOK, `value="bob"`)
	v.send("/login/continue", typed("answer", "a sphinx")).at(http.StatusUnauthorized, "Enter your password again")
	v.send("/session/step-up", typed("password", pass)).send("/login/continue", typed("answer", "a man")).send("/admin/new/user", typed()).at(http.StatusOK, `value="bob"`)

	v = old("usr_of_a_program").at(http.StatusUnauthorized, `action="/login"`)
	v.send("/login", typed("identifier", "alice", "password", pass)).send("/login/continue", typed("answer", "a man")).gone(http.StatusOK, "New user")
	if strings.Contains(v.page.Body.String(), "bob") {
		t.Errorf("somebody else gets what was typed: %s", v.page.Body)
	}
}

// CSRF-01: what is kept is for this form and this visitor alone, and no address brings it: none has it, and
// none is asked for it.
func TestConsoleKeepsFormsToTheirOwner(t *testing.T) {
	b, _, _, _ := furnished(t)
	old, other := b.console(2*time.Hour, "admin"), b.console(time.Minute, "admin")
	old.open("/admin/new/user").send("/admin/new/user", typed("identifier", "zzyzx", "confirm", "zzyzx"))
	field := keptField.FindStringSubmatch(old.page.Body.String())
	if field == nil || old.page.Header().Get("Location") != "" {
		t.Fatalf("nothing is kept: %s", old.page.Body)
	}
	text, err := base64.RawURLEncoding.DecodeString(field[1])
	if err != nil || !strings.HasSuffix(string(text), "identifier=zzyzx") || strings.Contains(string(text), "confirm") {
		t.Fatalf("%q is kept, %v", text, err)
	}
	post := func(v *visitor, path, kept string) *visitor {
		v.page = v.form(path, typed("kept", kept), append(v.headers(), "Origin", v.url)...)
		return v.at(http.StatusOK, `action="`+path+`"`)
	}
	post(old, "/admin/new/user", field[1]).at(http.StatusOK, `value="zzyzx"`)
	for name, v := range map[string]func() *visitor{
		"another visitor": func() *visitor { return post(other, "/admin/new/user", field[1]) },
		"another form":    func() *visitor { return post(old, "/admin/new/apikey", field[1]) },
		"changed":         func() *visitor { return post(old, "/admin/new/user", field[1]+"A") },
		"a link":          func() *visitor { return old.open("/admin/new/user?kept=" + field[1]) },
		"a sign-in":       func() *visitor { return old.open("/login?max_age=0&return_to=%2Fadmin%2Fnew%2Fuser&kept=" + field[1]) },
	} {
		if body := v().page.Body.String(); strings.Contains(body, "zzyzx") || strings.Contains(body, "Nothing was done yet") || strings.Contains(body, field[1]) {
			t.Errorf("%s fills in the form: %s", name, body)
		}
	}
	for _, from := range []string{"https://evil.test", "null"} {
		if w := b.form("/admin/new/user", typed("kept", field[1]), append(old.headers(), "Origin", from)...); w.Code != http.StatusForbidden {
			t.Errorf("from %s = %d %s", from, w.Code, w.Body)
		}
	}
	// The proof leads to nothing but the form that it was kept for.
	old.open("/login?max_age=0&return_to=%2Flogout")
	old.page = old.form("/session/step-up", typed("password", pass, "return_to", "/logout", "kept", field[1]), append(old.headers(), "Origin", old.url)...)
	old.sentTo("/logout")
}

// A value in a command is one word for a real shell, whatever it is.
func TestConsoleQuotes(t *testing.T) {
	for _, text := range []string{"it's", "'", "''", `'\''`, "$(touch hacked)", "`touch hacked`", "a\nb", "\\", `"`, "; touch hacked #", "$HOME", "!!", "-o hacked", "", "@/etc/passwd", hostile, "\t \r", "العربية"} {
		line, err := server.Curl("POST", "http://127.0.0.1:8080", []string{"users", text}, text)
		must(t, err)
		got := shellWords(t, line)
		want := []string{"-X", "POST", "http://127.0.0.1:8080/v1/admin/users/" + url.PathEscape(text), "-H", "Authorization: Bearer the-key", "-H", "Content-Type: application/json", "-d"}
		if len(got) != len(want)+1 || fmt.Sprintf("%q", got[:len(want)]) != fmt.Sprintf("%q", want) {
			t.Errorf("%q: a shell reads %q, want %q and a body", text, got, want)
		}
		var body string
		if err := json.Unmarshal([]byte(got[len(got)-1]), &body); err != nil || body != text {
			t.Errorf("%q: the body is %q, %v", text, body, err)
		}
	}
}

// The console is a client of the API: it uses nothing of the server that decides about users, sessions,
// keys or clients, or that keeps them.
func TestConsoleOnlyCallsTheAPI(t *testing.T) {
	names, err := filepath.Glob("console*.go")
	must(t, err)
	if len(names) < 5 {
		t.Fatalf("files: %v", names)
	}
	may := []string{
		"routed", "adminRoutes", "right", "console", // the calls, and who may make them
		"askToSignIn", "back", "base", "done", "finish", "form", "keep", "kept", "now", "origins", "render", "seeOther", "url", // what a page is made of
		"at", "from", "to", // of a span
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, used := range regexp.MustCompile(`\bs\.(\w+)`).FindAllStringSubmatch(read(t, name), -1) {
			if !slices.Contains(may, used[1]) {
				t.Errorf("%s uses %s", name, used[0])
			}
		}
	}
}

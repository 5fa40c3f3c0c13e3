package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
)

// admin calls with the key that may do everything, and wants that status.
func (b *bench) admin(want int, method, path, body string) map[string]any {
	b.Helper()
	res, text := b.call(method, path, body, "Authorization", "Bearer "+b.key)
	if res.StatusCode != want {
		b.Fatalf("%s %s = %d %s, want %d", method, path, res.StatusCode, text, want)
	}
	got := map[string]any{}
	if text != "" {
		must(b.T, json.Unmarshal([]byte(text), &got))
	}
	return got
}

// LOGIN-15, LOGIN-16: the first administrator comes in by the local door, chooses the
// password, and nobody else ever could.
func TestFirstAdministrator(t *testing.T) {
	b := newBench(t)
	local := func(method, path, body string) (int, map[string]any) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		b.server.LocalAdmin(func(*http.Request) string { return audit.ByLocal }).ServeHTTP(w, r)
		got := map[string]any{}
		_ = json.Unmarshal(w.Body.Bytes(), &got)
		return w.Code, got
	}
	status, made := local("POST", "/v1/admin/users", `{"identifier":"root@example.org","roles":["admin"]}`)
	if status != http.StatusCreated {
		t.Fatalf("create = %d %v", status, made)
	}
	token := made["invitation"].(map[string]any)["token"].(string)
	id := made["user"].(map[string]any)["id"].(string)
	if status, _ := local("POST", "/v1/admin/users", `{"identifier":"eve","password":"the administrator chose this"}`); status != http.StatusBadRequest {
		t.Errorf("create with a password = %d, want 400", status)
	}
	const chosen = "a password of my own choice"
	if res, body := b.call("POST", "/v1/login", `{"identifier":"root@example.org","password":""}`); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("login without a password = %d %s", res.StatusCode, body)
	}
	for _, c := range []struct {
		body string
		want int
	}{
		{`{"token":"cfi_` + strings.Repeat("A", 43) + `","password":"` + chosen + `"}`, http.StatusUnauthorized},
		{`{"token":"` + token + `","password":"short"}`, http.StatusUnprocessableEntity},
		{`{"token":"` + token + `","password":"` + chosen + `"}`, http.StatusNoContent},
		{`{"token":"` + token + `","password":"` + chosen + `"}`, http.StatusGone}, // whatever the password
		{`{"token":"` + token + `","password":"` + chosen + ` now"}`, http.StatusGone},
	} {
		if res, body := b.call("POST", "/v1/invitations", c.body); res.StatusCode != c.want {
			t.Errorf("redeem = %d %s, want %d", res.StatusCode, body, c.want)
		}
	}
	got := b.issued(b.call("POST", "/v1/login", `{"identifier":"root@example.org","password":"`+chosen+`","carrier":"bearer","client":"console"}`))
	if res, body := b.call("GET", "/v1/admin/users/"+id, "", "Authorization", "Bearer "+got.Access); res.StatusCode != http.StatusOK || !strings.Contains(body, `"has_password":true`) {
		t.Errorf("the administrator gets %d %s", res.StatusCode, body)
	}
	page := b.admin(http.StatusOK, "GET", "/v1/admin/audit?subject="+id+"&limit=200", "")
	text, err := json.Marshal(page)
	must(t, err)
	for _, want := range []string{`"user.create"`, `"user.invite"`, `"password.change"`, `"login"`, `"by":"local"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the trail has no %s: %s", want, text)
		}
	}
	if strings.Contains(string(text), token) {
		t.Error("the trail holds the invitation")
	}
}

// Every route of administration names a right, and refuses who has not got it. What changes
// something takes a login of the last five minutes.
func TestAdministrationIsForAdministrators(t *testing.T) {
	b := newBench(t)
	login := func(role string, age time.Duration) string {
		rev, err := b.issuer.SubjectRev(t.Context(), "someone")
		must(t, err)
		got, err := b.issuer.Login(t.Context(), login.Proof{Subject: "someone", At: time.Now().Add(-age), SubjectRev: rev, Roles: []string{role}}, issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer})
		must(t, err)
		return "Bearer " + got.Access.Reveal()
	}
	key := func(scope string) string {
		return "Bearer " + b.admin(http.StatusCreated, "POST", "/v1/admin/apikeys", `{"client":"`+strings.ReplaceAll(scope, ":", "-")+`","scopes":["`+scope+`"]}`)["key"].(string)
	}
	const both = "read audit "
	type who struct{ credential, rights, refused string }
	callers := map[string]who{
		"nobody":           {"", "", "no-credential"},
		"junk":             {"Bearer cfk_" + strings.Repeat("A", 43), "", "invalid-token"},
		"user":             {login("user", 0), "", "forbidden"},
		"support":          {login("support", 0), "read revoke", "forbidden"},
		"auditor":          {login("auditor", 0), both, "forbidden"},
		"admin":            {login("admin", 0), both + "revoke write", ""},
		"old login":        {login("admin", 5*time.Minute+10*time.Second), both, "step-up"},
		"reading key":      {key("admin:read"), both, "forbidden"},
		"key of a service": {key("introspect"), "", "forbidden"},
		"the bench's key":  {"Bearer " + b.key, both + "revoke write", ""},
	}
	for _, pattern := range b.server.AdminPatterns() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "nobody", "{sid}", "ses_none").Replace(path)
		if strings.HasSuffix(path, "/events") {
			path += "?surprise=1" // who may see a stream need not wait for its end
		}
		right := b.server.RightOf(pattern)
		if !slices.Contains(rights.All(), right) {
			t.Errorf("%s needs the right %q: name one in routes.go", pattern, right)
		}
		if changes := right == rights.Revoke || right == rights.Write; changes && method == "GET" || !changes && method != "GET" && right != rights.Audit {
			t.Errorf("%s needs the right %s", pattern, right)
		}
		for name, c := range callers {
			if name == "admin" || name == "the bench's key" {
				continue // what they may is done below: TestEveryOperationAsDocumented
			}
			may := slices.Contains(strings.Fields(c.rights), string(right))
			_, body := b.call(method, path, "{}", "Authorization", c.credential)
			var p struct{ Type string }
			_ = json.Unmarshal([]byte(body), &p)
			slug := strings.TrimPrefix(p.Type, "urn:counterfoil:problem:")
			if may && slices.Contains([]string{"forbidden", "step-up", "no-credential", "invalid-token"}, slug) || !may && slug != c.refused {
				t.Errorf("%s by %s = %s, may: %v", pattern, name, body, may)
			}
		}
		if res, body := b.call(method, path, "{}", "Authorization", "Bearer "+b.key, "Cookie", "cf=x"); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s with a key and a cookie = %d %s, want 400", pattern, res.StatusCode, body)
		}
	}
	if res, body := b.call("GET", "/v1/admin/users", "", "Authorization", callers["admin"].credential); res.StatusCode != http.StatusOK {
		t.Errorf("users by an administrator = %d %s", res.StatusCode, body)
	}
}

// Support ends the session of a user, and not that of an administrator; the last administrator
// cannot be taken away. The answers say why.
func TestWhatSupportMayEnd(t *testing.T) {
	b := newBench(t)
	support := "Bearer " + b.session("helper", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, "support").Access.Reveal()
	made := b.admin(http.StatusCreated, "POST", "/v1/admin/users", `{"identifier":"root","roles":["admin"]}`)
	root := made["user"].(map[string]any)["id"].(string)
	boss, alice := b.session(root, issuer.Request{}, "admin").Session.ID, b.login("cookie")
	for path, want := range map[string]int{
		"/v1/admin/sessions/" + boss:                http.StatusForbidden,
		"/v1/admin/users/" + root + "/sessions":     http.StatusForbidden,
		"/v1/admin/sessions/" + alice.Session.ID:    http.StatusOK,
		"/v1/admin/users/usr_someone-else/sessions": http.StatusOK,
	} {
		if res, body := b.call("DELETE", path, "", "Authorization", support); res.StatusCode != want || want != http.StatusOK && !strings.Contains(body, "only the role admin") {
			t.Errorf("support: DELETE %s = %d %s, want %d", path, res.StatusCode, body, want)
		}
	}
	for method, body := range map[string]string{"PATCH": `{"roles":["auditor"]}`, "DELETE": ""} {
		if got := b.admin(http.StatusConflict, method, "/v1/admin/users/"+root, body); got["type"] != "urn:counterfoil:problem:last-administrator" {
			t.Errorf("%s of the last administrator = %v", method, got)
		}
	}
}

// SES-14: what an administrator takes away is gone at once, no matter who holds it.
func TestUserLifeCycle(t *testing.T) {
	b := newBench(t)
	users := b.admin(http.StatusOK, "GET", "/v1/admin/users", "")["users"].([]any)
	id := users[0].(map[string]any)["id"].(string)
	key := b.admin(http.StatusCreated, "POST", "/v1/admin/apikeys", `{"client":"cron","scopes":["introspect"],"user":"`+id+`"}`)["key"].(string)
	works := func() bool {
		res, _ := b.call("POST", "/oauth/introspect", "token=x", "Authorization", "Bearer "+key)
		return res.StatusCode == http.StatusOK
	}
	if !works() {
		t.Fatal("the new key does not work")
	}
	all := []issued{b.login("cookie"), b.login("bearer"), b.login("jwt-cookie"), b.login("jwe")}
	if n := len(b.admin(http.StatusOK, "GET", "/v1/admin/users/"+id+"/sessions", "")["sessions"].([]any)); n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
	sid := all[0].Session.ID
	if got := b.admin(http.StatusOK, "GET", "/v1/admin/sessions/"+sid, ""); got["subject"] != id || got["grant"] != nil {
		t.Errorf("session = %v", got)
	}
	b.admin(http.StatusOK, "DELETE", "/v1/admin/sessions/"+sid, "")
	b.admin(http.StatusNotFound, "GET", "/v1/admin/sessions/"+sid, "")
	if b.status(all[0]) != http.StatusUnauthorized || b.status(all[1]) != http.StatusOK {
		t.Error("ending one session ended another, or not itself")
	}
	b.admin(http.StatusUnprocessableEntity, "PATCH", "/v1/admin/users/"+id, `{"status":"asleep"}`)
	b.admin(http.StatusBadRequest, "PATCH", "/v1/admin/users/"+id, `{"password":"$argon2id$"}`)
	b.admin(http.StatusOK, "PATCH", "/v1/admin/users/"+id, `{"status":"disabled","roles":["staff"]}`)
	for n, got := range all {
		if b.status(got) != http.StatusUnauthorized {
			t.Errorf("session %d outlived the disabling", n)
		}
	}
	if works() {
		t.Error("the key of a disabled user works")
	}
	b.admin(http.StatusConflict, "POST", "/v1/admin/sessions", `{"subject":"`+id+`"}`)
	if res, _ := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("login of a disabled user = %d", res.StatusCode)
	}
	b.admin(http.StatusOK, "PATCH", "/v1/admin/users/"+id, `{"status":"active","name":"A."}`)
	again := b.login("bearer")
	if res, body := b.call("GET", "/v1/session", "", "Authorization", "Bearer "+again.Access); !strings.Contains(body, `"roles":["staff"]`) {
		t.Errorf("session after enabling = %d %s, want the role that was set", res.StatusCode, body)
	}
	b.admin(http.StatusNoContent, "DELETE", "/v1/admin/users/"+id, "")
	if b.status(again) != http.StatusUnauthorized || works() {
		t.Error("a session or a key outlived its user")
	}
	b.admin(http.StatusNotFound, "GET", "/v1/admin/users/"+id, "")
	b.admin(http.StatusNotFound, "DELETE", "/v1/admin/users/"+id, "")
}

func TestRegistry(t *testing.T) {
	b := newBench(t)
	b.admin(http.StatusOK, "PUT", "/v1/admin/clients/shop", `{"name":"Shop","carriers":["bearer"],"scopes":["read"],"origins":["https://shop.test"]}`)
	b.admin(http.StatusBadRequest, "PUT", "/v1/admin/clients/shop", `{"origins":["*"]}`)
	b.admin(http.StatusBadRequest, "PUT", "/v1/admin/clients/shop", `{"generation":0}`)
	for _, bad := range []string{`{"access_ttl":"6m"}`, `{"idle":"2m"}`, `{"refresh_idle":"8760h1s"}`, `{"absolute":"25h"}`, `{"idle":600}`, `{"idle":"10"}`, `{"idle":"-10m"}`} {
		b.admin(http.StatusBadRequest, "PUT", "/v1/admin/clients/shop", bad)
	}
	if got := b.admin(http.StatusOK, "GET", "/v1/admin/clients/shop", ""); got["name"] != "Shop" {
		t.Errorf("client = %v", got)
	}
	for body, want := range map[string]int{
		`"client":"shop","carrier":"cookie"`: http.StatusBadRequest, `"client":"nobody"`: http.StatusBadRequest,
		`"client":"shop","scope":"write"`: http.StatusBadRequest, `"client":"shop","scope":"read"`: http.StatusOK,
	} {
		if res, text := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`",`+body+`}`); res.StatusCode != want {
			t.Errorf("login with %s = %d %s, want %d", body, res.StatusCode, text, want)
		}
	}
	b.admin(http.StatusNoContent, "DELETE", "/v1/admin/clients/shop", "")
	b.admin(http.StatusNotFound, "GET", "/v1/admin/clients/shop", "")
	b.admin(http.StatusBadRequest, "DELETE", "/v1/admin/clients/default", "")

	before := b.admin(http.StatusOK, "GET", "/v1/admin/keys", "")["keys"].([]any)
	after := b.admin(http.StatusOK, "POST", "/v1/admin/keys/rotate", "{}")["keys"].([]any)
	if len(before) != 1 || len(after) != 2 || after[0].(map[string]any)["status"] != "active" || after[1].(map[string]any)["status"] != "next" {
		t.Errorf("keys before %v, after %v", before, after)
	}
	made := b.admin(http.StatusCreated, "POST", "/v1/admin/apikeys", `{"client":"svc","scopes":["revocation:read"]}`)
	b.admin(http.StatusUnprocessableEntity, "POST", "/v1/admin/apikeys", `{"client":"svc","scopes":["everything"]}`)
	b.admin(http.StatusNotFound, "POST", "/v1/admin/apikeys", `{"client":"svc","scopes":["admin"],"user":"usr_nobody"}`)
	b.admin(http.StatusNoContent, "DELETE", "/v1/admin/apikeys/"+made["id"].(string), "")
	if res, _ := b.call("GET", "/v1/log", "", "Authorization", "Bearer "+made["key"].(string)); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a deleted key gets %d", res.StatusCode)
	}
	b.admin(http.StatusNotFound, "DELETE", "/v1/admin/apikeys/"+made["id"].(string), "")
}

// KEY-13: a cursor is good for the listing and the filter that gave it, as it is.
func TestCursors(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"u1", "u2", "u3", "u4"} {
		b.admin(http.StatusCreated, "POST", "/v1/admin/users", `{"identifier":"`+name+`"}`)
	}
	seen, path := map[string]bool{}, "/v1/admin/users?limit=2"
	first := ""
	for path != "" {
		page := b.admin(http.StatusOK, "GET", path, "")
		for _, u := range page["users"].([]any) {
			seen[u.(map[string]any)["identifier"].(string)] = true
		}
		next, _ := page["next"].(string)
		if path = ""; next != "" {
			path = "/v1/admin/users?limit=2&cursor=" + next
			first = next
		}
	}
	if len(seen) != 5 {
		t.Errorf("the pages hold %v, want 5 users", seen)
	}
	flipped := []byte(first)
	flipped[3] ^= 1
	for _, bad := range []string{
		"users?cursor=" + string(flipped), "users?cursor=" + first + "A", "users?cursor=AAAA", "users?cursor=" + first + "&cursor=" + first,
		"audit?cursor=" + first, "users?limit=0", "users?limit=201", "users?limit=x", "users?limit=1&limit=2", "users?surprise=1", "users?a;b", "keys?limit=1",
		"audit?action=logn", "audit?action=login,", "audit?from=yesterday", "audit?to=2026-11-30", "audit?since=2026-11-30T12:00:00Z",
		"audit?outcome=good", "audit?format=xml", "audit?format=csv&limit=2", "users?format=xml", "users?format=csv&limit=2", "users?format=csv&count=true",
		"users?format=csv&disabled=maybe", "sessions?format=xml", "sessions?format=jsonl&limit=2", "sessions?format=csv&count=false", "sessions?format=csv&user=*", "audit?format=csv&cursor=" + first,
	} {
		b.admin(http.StatusBadRequest, "GET", "/v1/admin/"+bad, "")
	}
}

// LOGIN-12, LOGIN-13: an invitation is redeemed on a page, once, under the configured
// URL whatever the Host of a request says. Its token is in the fragment of the link, which no
// browser sends, and in a form: no path and no query has it, so no log does.
func TestWelcomePage(t *testing.T) {
	b := newBench(t)
	made := b.admin(http.StatusCreated, "POST", "/v1/admin/users", `{"identifier":"wendy"}`)["invitation"].(map[string]any)
	link, token := made["url"].(string), made["token"].(string)
	if link != b.url+"/welcome#"+token {
		t.Fatalf("the link is %q, want the fragment of a page under %s", link, b.url)
	}
	for _, path := range []string{"/welcome", "/welcome?token=" + token} { // a link of before shows the same page
		if res, body := b.call("GET", path, ""); res.StatusCode != http.StatusOK || !strings.Contains(body, `name="token" value=""`) || strings.Contains(body, token) {
			t.Errorf("GET %s = %d %s", path, res.StatusCode, body)
		}
	}
	choose := func(query, token, password string) (*http.Response, string) {
		return b.call("POST", "/welcome"+query, url.Values{"token": {token}, "password": {password}}.Encode(), "Origin", b.url)
	}
	for _, c := range []struct {
		query, token, password, text string
		want                         int
	}{
		{"", "cfi_" + strings.Repeat("A", 43), "a quiet evening at home", "no longer good", http.StatusUnauthorized},
		{"", `"><script>`, "a quiet evening at home", "no longer good", http.StatusUnauthorized},
		{"?token=" + token, "", "a quiet evening at home", "no longer good", http.StatusUnauthorized},
		{"", token, "short", "That password is too short", http.StatusUnprocessableEntity},
		{"", " " + link + "\n", "short", `name="token" value="` + token + `"`, http.StatusUnprocessableEntity}, // the whole link, as it was copied
		{"", token, "a quiet evening at home", `action="/login"`, http.StatusOK},
		{"", token, "short", "was used", http.StatusGone}, // at once, whatever the password
	} {
		res, body := choose(c.query, c.token, c.password)
		if res.StatusCode != c.want || !strings.Contains(body, c.text) || strings.Contains(body, "<script>") {
			t.Errorf("choose %q = %d %s, want %d %q", c.password, res.StatusCode, body, c.want, c.text)
		}
	}
	if res, _ := b.call("POST", "/welcome", "token="+token, "Origin", "https://evil.test"); res.StatusCode != http.StatusForbidden {
		t.Errorf("from elsewhere = %d, want 403", res.StatusCode)
	}
	if res, body := b.call("POST", "/v1/login", `{"identifier":"wendy","password":"a quiet evening at home"}`); res.StatusCode != http.StatusOK {
		t.Errorf("login with the chosen password = %d %s", res.StatusCode, body)
	}
	if strings.Contains(b.log.String(), token[4:]) {
		t.Error("the log holds the invitation")
	}
}

// LOGIN-15: the link of the first administrator leads to the page of invitations, which then
// also asks what the person will sign in with. A link that was used says so.
func TestFirstAdministratorByLink(t *testing.T) {
	b := newBench(t)
	made, _, err := b.embedded.FirstAdministrator(t.Context())
	must(t, err)
	link := made.Reveal()
	token, found := strings.CutPrefix(link, b.url+"/welcome#")
	if !found {
		t.Fatalf("the link is %q", link)
	}
	if res, body := b.call("POST", "/v1/invitations/check", `{"token":"`+token+`"}`); res.StatusCode != http.StatusOK || body != `{"identifier":true}` {
		t.Errorf("check = %d %s", res.StatusCode, body)
	}
	const chosen = "a quiet evening at home"
	choose := func(identifier string) (*http.Response, string) {
		return b.call("POST", "/welcome", url.Values{"token": {link}, "identifier": {identifier}, "password": {chosen}}.Encode(), "Origin", b.url)
	}
	if _, body := b.call("GET", "/welcome", ""); !strings.Contains(body, `id="founder" hidden`) {
		t.Errorf("the page asks everybody for an identifier: %s", body)
	}
	for _, c := range []struct {
		identifier, text string
		want             int
	}{
		{"", `id="founder">`, http.StatusUnprocessableEntity},
		{"alice", `id="founder">`, http.StatusConflict},
		{"", "<h1>Become the first administrator</h1>", http.StatusUnprocessableEntity},
		{"root@example.org", `name="return_to" value="/admin"`, http.StatusOK}, // the console is where they go on
		{"other", `action="/login"`, http.StatusGone},
	} {
		if res, body := choose(c.identifier); res.StatusCode != c.want || !strings.Contains(body, c.text) {
			t.Errorf("choose %q = %d %s, want %d %s", c.identifier, res.StatusCode, body, c.want, c.text)
		}
	}
	if res, _ := b.call("POST", "/v1/invitations", `{"token":"`+token+`","identifier":"third","password":"`+chosen+`"}`); res.StatusCode != http.StatusGone {
		t.Errorf("by the API, once more = %d", res.StatusCode)
	}
	got := b.issued(b.call("POST", "/v1/login", `{"identifier":"root@example.org","password":"`+chosen+`","carrier":"bearer","client":"console"}`))
	if res, body := b.call("GET", "/v1/admin/audit?action=user.create,user.invite", "", "Authorization", "Bearer "+got.Access); res.StatusCode != http.StatusOK || !strings.Contains(body, "there is no administrator") || !strings.Contains(body, "roles=admin") {
		t.Errorf("the administrator gets %d %s", res.StatusCode, body)
	}
	if strings.Contains(b.log.String()+b.dump(), token[4:]) {
		t.Error("the link was logged or kept")
	}
	if made, _, err := b.embedded.FirstAdministrator(t.Context()); err != nil || made.Reveal() != "" {
		t.Errorf("there is an administrator, and another link, %v", err)
	}
}

// SES-04: a key that makes sessions of users must not come to hold one of an
// administrator, whatever becomes of the user and in whatever order.
func TestMakingSessionsIsNoAdministration(t *testing.T) {
	b := newBench(t)
	key := b.admin(http.StatusCreated, "POST", "/v1/admin/apikeys", `{"client":"maker","scopes":["sessions:create"],"clients":["console"]}`)["key"].(string)
	made := func(id, more string) (int, issued) {
		t.Helper()
		var got issued
		res, body := b.call("POST", "/v1/admin/sessions", `{"subject":"`+id+`","carrier":"bearer"`+more+`}`, "Authorization", "Bearer "+key)
		if res.StatusCode == http.StatusCreated {
			must(t, json.Unmarshal([]byte(body), &got))
		}
		return res.StatusCode, got
	}
	administers := func(i issued) bool {
		t.Helper()
		if res, body := b.call("POST", "/v1/refresh", `{"refresh_token":"`+i.Refresh+`","client":"console"}`); res.StatusCode == http.StatusOK {
			i = b.issued(res, body)
		}
		res, _ := b.call("GET", "/v1/admin/users", "", "Authorization", "Bearer "+i.Access)
		return res.StatusCode == http.StatusOK
	}
	for name, c := range map[string]struct{ roles, change string }{
		"promoted":                    {`[]`, `{"roles":["admin"]}`},
		"promoted from another role":  {`["staff"]`, `{"roles":["admin"]}`},
		"administrator from birth":    {`["admin"]`, `{"roles":["admin","staff"]}`},
		"administrator losing a role": {`["admin","staff"]`, `{"roles":["admin"]}`},
		"the same again":              {`["admin"]`, `{"roles":["admin"]}`},
		"enabled":                     {`["admin"]`, `{"status":"active"}`},
	} {
		identifier := strings.ReplaceAll(name, " ", "-")
		user := b.admin(http.StatusCreated, "POST", "/v1/admin/users", `{"identifier":"`+identifier+`","roles":`+c.roles+`}`)["user"].(map[string]any)
		id := user["id"].(string)
		status, i := made(id, "")
		if status != http.StatusCreated {
			t.Fatalf("%s: session = %d", name, status)
		}
		b.admin(http.StatusOK, "PATCH", "/v1/admin/users/"+id, c.change)
		if administers(i) {
			t.Errorf("%s: a session that the key made administers", name)
		}
		if status, i := made(id, ""); status == http.StatusCreated && administers(i) {
			t.Errorf("%s: a session that the key makes afterwards administers", name)
		}
	}
	b.client("shop", clients.Client{})
	if status, _ := made("somebody", `,"client":"shop"`); status != http.StatusForbidden {
		t.Errorf("a session of a client that is not the key's = %d, want 403", status)
	}
	if status, _ := made("somebody", `,"roles":["admin"]`); status != http.StatusForbidden {
		t.Errorf("asking for the role = %d, want 403", status)
	}
}

// A new store has no user: the owner of the machine makes the first one.
func TestNewStoreHasNoUser(t *testing.T) {
	e, _ := counted(t)
	users, _, err := e.Users().List(t.Context(), "", 10)
	if err != nil || len(users) > 0 {
		t.Errorf("a new store lists %v, %v", users, err)
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

// canary stands where secrets do. It must come out nowhere.
const canary = "canary-5f3c9a"

// dump is all that the store holds.
func (b *bench) dump() string {
	b.Helper()
	var out strings.Builder
	for _, kind := range []store.Kind{
		"session", "grant", "subject", "client", "cutoff", "notice", "user", "identifier", "apikey", "invitation", "audit", "keyring", "attempt", "credential",
	} {
		for rec, err := range b.db.List(b.Context(), kind, "*", "") {
			must(b.T, err)
			fmt.Fprintf(&out, "%s %s %s %d %s %s\n", rec.Kind, rec.ID, rec.Owner, rec.Rev, rec.Expires, rec.Value)
		}
	}
	_, head, err := b.db.Log(b.Context(), counterfoil.Cursor{}, 1)
	must(b.T, err)
	return out.String() + head.String()
}

// sent is a request that must be refused.
type sent struct {
	name, body string
	header     []string // replaces Content-Type
	want       []int
}

var (
	malformed  = []int{http.StatusBadRequest}
	wrongMedia = []int{http.StatusUnsupportedMediaType}
	tooLarge   = []int{http.StatusRequestEntityTooLarge}
	// What is well-formed is refused for what it says, or for coming too soon.
	someRefusal = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests}
)

// badJSON is what no endpoint with members may take.
func badJSON(members schema) []sent {
	names := slices.Sorted(maps.Keys(members))
	first := names[0]
	all := []sent{
		{"empty", "", nil, malformed},
		{"not JSON", canary, nil, malformed},
		{"cut off", `{"` + first + `":"` + canary, nil, malformed},
		{"cut off in an escape", `{"` + first + `":"` + canary + `\`, nil, malformed},
		{"cut off in a code point", `{"` + first + `":"` + canary + `\u00`, nil, malformed},
		{"array", `["` + canary + `"]`, nil, malformed},
		{"null", `null`, nil, malformed},
		{"string", `"` + canary + `"`, nil, malformed},
		{"two objects", `{}{}`, nil, malformed},
		{"BOM", "\ufeff{}", nil, malformed},
		{"comment", "{}//", nil, malformed},
		{"unknown member", `{"surprise":"` + canary + `"}`, nil, malformed},
		{"prototype", `{"__proto__":{"admin":true}}`, nil, malformed},
		{"mass assignment", `{"id":"x","password_hash":"x","created":"x"}`, nil, malformed},
		{"deep", `{"` + first + `":` + strings.Repeat("[", 7000) + strings.Repeat("]", 7000) + `}`, nil, malformed},
		{"wide", `{` + strings.Repeat(`"a":1,`, 100) + `"b":1}`, nil, malformed},
		{"oversized", `{"` + first + `":"` + strings.Repeat("a", 65<<10) + `"}`, nil, tooLarge},
		{"text/plain", `{}`, []string{"Content-Type", "text/plain"}, wrongMedia},
		{"form", `{}`, []string{"Content-Type", urlencoded}, wrongMedia},
		{"no media type", `{}`, []string{"Content-Type", " "}, wrongMedia},
		{"two media types", `{}`, []string{"Content-Type", "application/json", "Content-Type", "text/plain"}, wrongMedia},
		{"media type list", `{}`, []string{"Content-Type", "application/json, text/plain"}, wrongMedia},
	}
	for _, name := range names {
		m := members[name].(schema)
		text := m["type"] == "string" || m["$ref"] != nil
		bad := map[string]string{"number": "1e999", "object": `{"a":1}`, "null": "null"}
		if text {
			bad["list"], bad["boolean"] = `["`+canary+`"]`, "true"
		} else {
			bad["string"], bad["list of numbers"] = `"`+canary+`"`, "[1]"
		}
		if m["type"] == "object" {
			delete(bad, "object")
		}
		for kind, value := range bad {
			all = append(all, sent{name + " is a " + kind, `{"` + name + `":` + value + `}`, nil, malformed})
		}
		all = append(all,
			sent{name + " twice", `{"` + name + `":"` + canary + `","` + name + `":"x"}`, nil, malformed},
			sent{name + " in capitals", `{"` + strings.ToUpper(name) + `":"` + canary + `"}`, nil, malformed},
			sent{name + " is not UTF-8", `{"` + name + `":"` + canary + "\xff" + `"}`, nil, malformed},
			sent{name + " is half a surrogate pair", `{"` + name + `":"` + canary + `\ud800"}`, nil, malformed},
		)
		if text {
			all = append(all, sent{name + " has a NUL", `{"` + name + `":"` + canary + `\u0000"}`, nil, someRefusal})
			all = append(all, sent{name + " has a line break", `{"` + name + `":"` + canary + `\r\nSet-Cookie: a=b"}`, nil, someRefusal})
		}
	}
	return all
}

func badForm(members schema) []sent {
	as := []string{"Content-Type", urlencoded}
	all := []sent{
		{"json", `{"token":"` + canary + `"}`, []string{"Content-Type", "application/json"}, wrongMedia},
		{"two media types", "", append(slices.Clone(as), as...), wrongMedia},
		{"not encoded", "a=%zz" + canary, as, malformed},
		{"semicolon", "a=1;b=2", as, malformed},
		{"oversized", "token=" + strings.Repeat("a", 65<<10), as, tooLarge},
	}
	for name := range members {
		all = append(all, sent{name + " twice", name + "=" + canary + "&" + name + "=x", as, malformed})
	}
	return all
}

// OPS-01, OPS-05, CSRF-09, LOGIN-16: whatever is wrong with a body gets its problem, changes
// nothing, and what may have been a secret comes out nowhere.
func TestBadInput(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true, Monitor: checks(t, "http://127.0.0.1:1/")})
	bearer := []string{"Authorization", "Bearer " + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()}
	key := []string{"Authorization", "Bearer " + b.key}
	boss := []string{"Authorization", "Bearer " + b.boss()}
	alice, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	before, tried := b.dump(), 0
	refuse := func(method, path string, s sent, who []string) {
		t.Helper()
		tried++
		w := b.answer(method, path, s.body, append(slices.Clone(who), s.header...)...)
		if !slices.Contains(s.want, w.Code) {
			t.Errorf("%s %s, %s: %d %.200s, want %v", method, path, s.name, w.Code, w.Body, s.want)
		}
		if strings.Contains(w.Body.String(), canary) || w.Body.Len() > 1000 {
			t.Errorf("%s %s, %s: the answer repeats what was sent: %.300s", method, path, s.name, w.Body)
		}
		if w.Header().Get("Set-Cookie") != "" && w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s, %s: sets a cookie", method, path, s.name)
		}
		if after := b.dump(); after != before {
			t.Errorf("%s %s, %s: the store was changed", method, path, s.name)
			before = after
		}
	}
	for path, methods := range readDocument().Paths {
		target := strings.NewReplacer("{id}", alice.ID, "{sid}", "ses_none").Replace(path)
		for method, op := range methods {
			who := bearer
			if strings.HasPrefix(path, "/v1/admin/") || path == "/oauth/introspect" {
				who = key
			}
			if strings.HasSuffix(path, "/impersonation") {
				who = boss // no key may do it
			}
			if strings.HasPrefix(path, "/oauth/") || !slices.Contains([]string{"/v1/password"}, path) && len(op.Security) == 0 {
				who = slices.Clone(who[:0])
				if path == "/oauth/introspect" {
					who = key
				}
			}
			if method != "get" && !strings.HasPrefix(path, "/oauth/") { // it changes something: what it does not take is not ignored
				for _, query := range []string{"client=" + canary, "wait=" + canary, "=", "%zz"} {
					refuse(strings.ToUpper(method), target+"?"+query, sent{"?" + query, "", nil, malformed}, who)
				}
				if len(op.RequestBody.Content) == 0 {
					refuse(strings.ToUpper(method), target, sent{"a body where there is none", `{"client":"` + canary + `"}`, nil, malformed}, who)
					refuse(strings.ToUpper(method), target, sent{"a body that is too large", strings.Repeat(" ", 300<<10), nil, tooLarge}, who)
				}
			}
			for media, content := range op.RequestBody.Content {
				s := content.Schema
				if r, ok := s["$ref"].(string); ok {
					s = readDocument().Components.Schemas[strings.TrimPrefix(r, "#/components/schemas/")]
				}
				bad := badForm(s["properties"].(schema))
				if media == "application/json" {
					bad = badJSON(s["properties"].(schema))
				}
				for _, one := range bad {
					if one.body == "" && !op.RequestBody.Required {
						continue
					}
					refuse(strings.ToUpper(method), target, one, who)
				}
			}
		}
	}
	b.client("bearer", clients.Client{Carriers: []counterfoil.Carrier{counterfoil.CarrierBearer}})
	before = b.dump()
	for _, rest := range []string{`"client":"nobody"`, `"client":"bearer","carrier":"cookie"`, `"scope":"everything"`, `"client":"` + canary + `"`} {
		for _, path := range []string{"/v1/login", "/v1/register"} {
			refuse("POST", path, sent{rest, `{"identifier":"newcomer","password":"` + pass + `",` + rest + `}`, nil, malformed}, nil)
		}
	}
	if tried < 500 {
		t.Errorf("only %d requests were made", tried)
	}
	if strings.Contains(b.log.String(), canary) {
		_, rest, _ := strings.Cut(b.log.String(), canary)
		t.Errorf("the log holds a canary before %.200s", rest)
	}
	for line := range strings.Lines(b.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a log line is not JSON: %s", line)
		}
	}
}

// TOK-33, TOK-34, SES-08, SES-09: credentials that are twice there, or where none is
// looked for.
func TestBadCredentials(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Monitor: checks(t, "http://127.0.0.1:1/")})
	jwt := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	opaque := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	before := b.dump()
	for _, c := range []struct {
		name, path string
		header     []string
	}{
		{"in the query", "?access_token=" + jwt, nil},
		{"two headers", "", []string{"Authorization", "Bearer " + jwt, "Authorization", "Bearer " + jwt}},
		{"header and cookie", "", []string{"Authorization", "Bearer " + jwt, "Cookie", "cf=" + opaque}},
		{"two cookies", "", []string{"Cookie", "cf=" + opaque + "; cf=" + opaque}},
		{"two cookie headers", "", []string{"Cookie", "cf=" + opaque, "Cookie", "cf=" + opaque}},
		{"list", "", []string{"Authorization", "Bearer " + jwt + ", Bearer " + jwt}},
		{"no scheme", "", []string{"Authorization", jwt}},
		{"another scheme", "", []string{"Authorization", "Digest " + jwt}},
		{"quoted cookie", "", []string{"Cookie", `cf="` + opaque + `"`}},
		{"cookie with a version", "", []string{"Cookie", `$Version=1; $cf=` + opaque}},
		{"cookie behind a space", "", []string{"Cookie", "\u2000cf=" + opaque}},
		{"the production name", "", []string{"Cookie", "__Host-Http-cf=" + opaque}},
		{"line break", "", []string{"Authorization", "Bearer " + jwt[:20] + "\n" + jwt[20:]}},
		{"short", "", []string{"Authorization", "Bearer " + jwt[:len(jwt)-1]}},
		{"an invitation", "", []string{"Authorization", "Bearer cfi_" + strings.Repeat("A", 43)}},
		{"an API key", "", []string{"Authorization", "Bearer " + b.key}},
	} {
		for _, path := range []string{"/v1/session", "/v1/sessions", "/v1/csrf", "/v1/admin/users"} {
			if path == "/v1/admin/users" && c.name == "an API key" {
				continue
			}
			w := b.answer("GET", path+c.path, "", c.header...)
			if w.Code != http.StatusUnauthorized && w.Code != http.StatusBadRequest {
				t.Errorf("%s, %s: %d %s", path, c.name, w.Code, w.Body)
			}
			if body := w.Body.String(); strings.Contains(body, jwt) || strings.Contains(body, opaque) {
				t.Errorf("%s, %s: the answer holds the credential", path, c.name)
			}
		}
	}
	if after := b.dump(); after != before {
		t.Error("the store was changed")
	}
	if log := b.log.String(); strings.Contains(log, jwt) || strings.Contains(log, opaque) {
		t.Error("the log holds a credential")
	}
}

// SES-11: cookies that are too long to read are no sign-out. The page that planted them decides
// about none of the others.
func TestTooManyCookies(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	own := "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	for name, cookies := range map[string]string{
		"5000": strings.Repeat("a=b; ", 5000) + own, "300 long ones": own + strings.Repeat("; a="+strings.Repeat("b", 60), 300),
		"one of 17 KiB": own + "; a=" + strings.Repeat("b", 17<<10),
	} {
		for _, pattern := range append(b.server.PagePatterns(), "GET /v1/session", "POST /v1/logout", "GET /v1/admin/users") {
			method, path, _ := strings.Cut(pattern, " ")
			w := b.answer(method, strings.TrimSuffix(path, "{$}"), "", "Cookie", cookies, "Origin", "http://127.0.0.1:8080", "Content-Type", "application/x-www-form-urlencoded")
			if len(w.Header().Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %s = %d, sets %q", name, pattern, w.Code, w.Header().Values("Set-Cookie"))
			}
			if strings.Contains(path, "session") && w.Code != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%s: %s = %d %s, want 431", name, pattern, w.Code, w.Body)
			}
		}
	}
	own = "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	if w := b.answer("GET", "/v1/session", "", "Cookie", own+strings.Repeat("; a=b", 3000)); w.Code != http.StatusOK {
		t.Errorf("3001 short cookies = %d %s", w.Code, w.Body)
	}
}

// A path that is not clean is not found: a redirect would take the credential along.
func TestUncleanPaths(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	for _, path := range []string{"//v1/session", "/v1//session", "/v1/./session", "/v1/../v1/session", "/v1/admin/../session", "//", "/./", "//evil.test/../login", "/login/", "/v1/session/"} {
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/", strings.NewReader("{}"))
			r.URL.Path = path
			w := httptest.NewRecorder()
			b.server.ServeHTTP(w, r)
			if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
				t.Errorf("%s %s = %d, to %q, want 404", method, path, w.Code, w.Header().Get("Location"))
			}
		}
	}
}

// boss returns the token of an administrator, for what no API key may do.
func (b *bench) boss() string {
	b.Helper()
	return b.session("boss", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleAdmin).Access.Reveal()
}

// Ids in paths that cannot be ids name nothing, whatever they look like.
func TestBadPaths(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	bearer := "Bearer " + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	boss := "Bearer " + b.boss()
	before := b.dump()
	for _, id := range []string{"*", "%00", "%0d%0a", "%ff", "..%2f..%2fkeys", "%20", strings.Repeat("x", 300), "%e2%80%ae", "a%2fb", "'or'1'='1", "$(id)"} {
		for _, pattern := range b.server.ProgramPatterns() {
			method, path, _ := strings.Cut(pattern, " ")
			if !strings.Contains(path, "{") || method == "PUT" && (id == "$(id)" || id == "'or'1'='1" || id == "a%2fb" || id == "..%2f..%2fkeys") {
				continue // a client may be called so
			}
			path = strings.NewReplacer("{id}", id, "{sid}", id).Replace(path)
			who, body := bearer, "{}"
			if strings.HasPrefix(path, "/v1/admin/") {
				who = "Bearer " + b.key
			}
			if strings.HasSuffix(path, "/impersonation") {
				who, body = boss, `{"reason":"ticket 7"}` // no key may do it
			}
			w := b.answer(method, path, body, "Authorization", who)
			listing := method == "GET" && strings.HasSuffix(path, "/sessions") && w.Code == http.StatusOK && strings.Contains(w.Body.String(), `"sessions":[]`)
			ending := method == "DELETE" && strings.HasSuffix(path, "/sessions") && w.Code == http.StatusOK
			if w.Code != http.StatusNotFound && !listing && !ending {
				t.Errorf("%s %s = %d %s, want 404", method, path, w.Code, w.Body)
			}
			if ending {
				before = b.dump() // revoking a subject nobody has heard of is no error: it may be the application's
			}
		}
	}
	if after := b.dump(); after != before {
		t.Error("the store was changed")
	}
}

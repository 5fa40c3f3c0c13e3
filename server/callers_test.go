package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
)

// basic is the field of client_secret_basic as libraries write it that follow RFC 6749 section
// 2.3.1 to the letter: every character but letters and digits is escaped.
func basic(client, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(escaped(client)+":"+escaped(secret)))
}

func escaped(text string) string {
	return strings.NewReplacer("_", "%5F", "-", "%2D", ".", "%2E").Replace(url.QueryEscape(text))
}

// plainBasic is the field as other libraries and curl write it.
func plainBasic(client, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(client+":"+secret))
}

func query(pairs ...string) string {
	values := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		values.Add(pairs[n], pairs[n+1])
	}
	return values.Encode()
}

// programKey makes a key that may introspect, for a client of that name.
func (b *bench) programKey(client string) string {
	b.Helper()
	_, key, err := b.users.NewKey(b.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: client, Scopes: []string{directory.ScopeIntrospect}})
	must(b.T, err)
	return key.Reveal()
}

// RFC 6749 sections 2.3 and 2.3.1: a program shows its client and its key in either way, encoded
// as its library does, in one way alone; and the client is the key's.
func TestClientAuthentication(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	const odd = "svc:a+b%2F_~"
	oddKey := b.programKey(odd)
	live := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	flipped := []byte(b.key)
	flipped[len(flipped)-2] ^= 1
	post := func(client, secret string) string { return query("client_id", client, "client_secret", secret) }
	for _, c := range []struct {
		name, form string
		header     []string // of Authorization
		status     int
		code       string // of the error
	}{
		{"basic, every character escaped", "", []string{basic("bench", b.key)}, 200, ""},
		{"basic, as it stands", "", []string{plainBasic("bench", b.key)}, 200, ""},
		{"basic, scheme in capitals", "", []string{strings.Replace(basic("bench", b.key), "Basic", "BASIC", 1)}, 200, ""},
		{"basic, several spaces", "", []string{strings.Replace(basic("bench", b.key), " ", "   ", 1)}, 200, ""},
		{"basic, and client_id beside it", query("client_id", "bench"), []string{basic("bench", b.key)}, 200, ""},
		{"basic, an odd name escaped", "", []string{basic(odd, oddKey)}, 200, ""},
		{"post", post("bench", b.key), nil, 200, ""},
		{"post, an odd name", post(odd, oddKey), nil, 200, ""},
		{"bearer", "", []string{"Bearer " + b.key}, 200, ""},
		{"bearer in lower case, several spaces", "", []string{"bearer    " + b.key}, 200, ""},
		{"bearer, and client_id beside it", query("client_id", "bench"), []string{"Bearer " + b.key}, 200, ""},
		{"an empty field, and post", post("bench", b.key), []string{""}, 200, ""},
		{"an empty client_secret is none", query("client_id", "bench", "client_secret", ""), []string{basic("bench", b.key)}, 200, ""},

		{"basic, another client", "", []string{basic(canary, b.key)}, 401, "invalid_client"},
		{"basic, no client", "", []string{basic("", b.key)}, 401, "invalid_client"},
		{"basic, another case", "", []string{basic("Bench", b.key)}, 401, "invalid_client"},
		{"basic, another's key", "", []string{basic("bench", oddKey)}, 401, "invalid_client"},
		{"basic, no key", "", []string{basic("bench", "")}, 401, "invalid_client"},
		{"basic, a wrong key", "", []string{basic("bench", string(flipped))}, 401, "invalid_client"},
		{"basic, a key escaped twice", "", []string{basic("bench", escaped(b.key))}, 401, "invalid_client"},
		{"basic, no colon", "", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(b.key))}, 401, "invalid_client"},
		{"basic, no base64", "", []string{"Basic bench:" + b.key}, 401, "invalid_client"},
		{"post, another client", post(canary, b.key), nil, 401, "invalid_client"},
		{"post, no client", query("client_secret", b.key), nil, 401, "invalid_client"},
		{"post, a wrong key", post("bench", string(flipped)), nil, 401, "invalid_client"},
		{"bearer, another client", query("client_id", canary), []string{"Bearer " + b.key}, 401, "invalid_client"},
		{"a client alone", query("client_id", "bench"), nil, 401, "invalid_client"},
		{"nothing", "", nil, 401, "invalid_client"},
		{"another scheme", "", []string{"Digest " + b.key}, 401, "invalid_client"},

		{"basic and post", post("bench", b.key), []string{basic("bench", b.key)}, 400, "invalid_request"},
		{"basic without a key, and post", post("bench", b.key), []string{basic("bench", "")}, 400, "invalid_request"},
		{"bearer and post", post("bench", b.key), []string{"Bearer " + b.key}, 400, "invalid_request"},
		{"basic, another client_id", query("client_id", canary), []string{basic("bench", b.key)}, 400, "invalid_request"},
		{"basic twice", "", []string{basic("bench", b.key), basic("bench", b.key)}, 400, "invalid_request"},
		{"client_secret twice", post("bench", b.key) + "&client_secret=" + b.key, nil, 400, "invalid_request"},
	} {
		header := []string{"Content-Type", urlencoded}
		for _, field := range c.header {
			header = append(header, "Authorization", field)
		}
		w := b.answer("POST", "/oauth/introspect", c.form+"&"+query("token", live), header...)
		body := w.Body.String()
		if w.Code != c.status || c.code == "" && !strings.Contains(body, `"active":true`) || c.code != "" && !strings.HasPrefix(body, `{"error":"`+c.code+`"`) {
			t.Errorf("introspect, %s = %d %s, want %d %s", c.name, w.Code, body, c.status, c.code)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
			t.Errorf("introspect, %s: WWW-Authenticate %q", c.name, challenge)
		}
		if strings.Contains(body, b.key) || strings.Contains(b.log.String(), b.key) {
			t.Errorf("introspect, %s: the key was repeated", c.name)
		}
	}
	// The operator is told, once a day, and not what was sent.
	if log := b.log.String(); strings.Count(log, "came with another client's name") != 2 || strings.Contains(log, canary) {
		t.Errorf("the log: %s", log)
	}
	// The same Basic everywhere, and a secret in a query nowhere (TOK-33).
	for _, c := range []struct {
		path, field string
		want        int
	}{
		{"/v1/log", basic("bench", b.key), 200}, {"/v1/log", plainBasic("bench", b.key), 200}, {"/v1/log", basic(canary, b.key), 401},
		{"/v1/admin/users", basic("bench", b.key), 200}, {"/v1/admin/users", plainBasic("bench", b.key), 200}, {"/v1/admin/users", basic(canary, b.key), 401},
		{"/v1/admin/users", "bearer   " + b.key, 200},
	} {
		if w := b.answer("GET", c.path, "", "Authorization", c.field); w.Code != c.want {
			t.Errorf("GET %s with %s = %d %s, want %d", c.path, c.field, w.Code, w.Body, c.want)
		}
	}
	if w := b.answer("POST", "/oauth/introspect?client_id=bench&client_secret="+b.key, query("token", live), "Content-Type", urlencoded); w.Code != 401 {
		t.Errorf("a secret in the query = %d %s", w.Code, w.Body)
	}
}

// A client that shows a secret must show the right one, and acts as the client whose it is. One
// that shows none is public.
func TestClientOfRefreshAndRevocation(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	const shop = "shop:a+b"
	b.client(shop, clients.Client{})
	b.client("other", clients.Client{})
	shopKey, otherKey := b.programKey(shop), b.programKey("other")
	access := b.session("alice", issuer.Request{Client: shop, Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	for _, c := range []struct {
		name, form string
		header     []string // of Authorization
		status     int
		code       string
	}{
		{"public, in the form", query("client_id", shop), nil, 200, ""},
		{"public, in Authorization", "", []string{basic(shop, "")}, 200, ""},
		{"public, in Authorization as it stands", "", []string{plainBasic(shop, "")}, 200, ""},
		{"public, in both", query("client_id", shop), []string{basic(shop, "")}, 200, ""},
		{"public, and an access token for something else", query("client_id", shop), []string{"Bearer " + access}, 200, ""},
		{"public, an empty secret", query("client_id", shop, "client_secret", ""), nil, 200, ""},
		{"basic", "", []string{basic(shop, shopKey)}, 200, ""},
		{"basic as it stands", "", []string{plainBasic(shop, shopKey)}, 200, ""},
		{"post", query("client_id", shop, "client_secret", shopKey), nil, 200, ""},
		{"resource twice", query("client_id", shop, "resource", "https://a.test", "resource", "https://b.test"), nil, 200, ""},

		{"public, another in the form", query("client_id", "other"), []string{basic(shop, "")}, 400, "invalid_request"},
		{"basic and post", query("client_id", shop, "client_secret", shopKey), []string{basic(shop, shopKey)}, 400, "invalid_request"},
		{"basic, another's secret", "", []string{basic(shop, otherKey)}, 401, "invalid_client"},
		{"post, another's secret", query("client_id", shop, "client_secret", otherKey), nil, 401, "invalid_client"},
		{"post, no secret of anybody", query("client_id", shop, "client_secret", "x"), nil, 401, "invalid_client"},
	} {
		header := []string{"Content-Type", urlencoded}
		for _, field := range c.header {
			header = append(header, "Authorization", field)
		}
		held := b.session("alice", issuer.Request{Client: shop, Carrier: counterfoil.CarrierBearer})
		w := b.answer("POST", "/oauth/token", c.form+"&"+query("grant_type", "refresh_token", "refresh_token", held.Refresh.Reveal()), header...)
		if body := w.Body.String(); w.Code != c.status || c.code != "" && !strings.HasPrefix(body, `{"error":"`+c.code+`"`) {
			t.Errorf("refresh, %s = %d %s, want %d %s", c.name, w.Code, body, c.status, c.code)
		}
		held = b.session("alice", issuer.Request{Client: shop, Carrier: counterfoil.CarrierBearer})
		w = b.answer("POST", "/oauth/revoke", c.form+"&"+query("token", held.Refresh.Reveal()), header...)
		if body := w.Body.String(); w.Code != c.status || c.code != "" && !strings.HasPrefix(body, `{"error":"`+c.code+`"`) {
			t.Errorf("revoke, %s = %d %s, want %d %s", c.name, w.Code, body, c.status, c.code)
		}
		if over := b.answer("GET", "/v1/admin/sessions/"+held.Session.ID, "", "Authorization", "Bearer "+b.key).Code == 404; over != (c.status == 200) {
			t.Errorf("revoke, %s: the session is over: %v", c.name, over)
		}
	}
	// RVK-01: of another client's session nothing ends, and nothing is said.
	held := b.session("alice", issuer.Request{Client: shop, Carrier: counterfoil.CarrierBearer})
	if w := b.answer("POST", "/oauth/revoke", query("token", held.Refresh.Reveal()), "Content-Type", urlencoded, "Authorization", basic("other", otherKey)); w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("another client revokes = %d %s", w.Code, w.Body)
	}
	if w := b.answer("POST", "/oauth/token", query("grant_type", "refresh_token", "refresh_token", held.Refresh.Reveal()), "Content-Type", urlencoded, "Authorization", basic("other", otherKey)); w.Code != 400 || !strings.Contains(w.Body.String(), "invalid_grant") {
		t.Errorf("another client refreshes = %d %s", w.Code, w.Body)
	}
	if w := b.answer("GET", "/v1/admin/sessions/"+held.Session.ID, "", "Authorization", "Bearer "+b.key); w.Code != 200 {
		t.Errorf("the session after that = %d %s", w.Code, w.Body)
	}
}

// What clients learn of the ways in which they may show who they are.
func TestMetadataNamesTheMethods(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	var got map[string]any
	must(t, json.Unmarshal(b.answer("GET", "/.well-known/oauth-authorization-server", "").Body.Bytes(), &got))
	for name, want := range map[string][]string{
		"token": {"none", "client_secret_basic", "client_secret_post"}, "revocation": {"none", "client_secret_basic", "client_secret_post"},
		"introspection": {"client_secret_basic", "client_secret_post"},
	} {
		list, _ := got[name+"_endpoint_auth_methods_supported"].([]any)
		var methods []string
		for _, one := range list {
			methods = append(methods, one.(string))
		}
		if !slices.Equal(methods, want) {
			t.Errorf("%s: %q, want %q", name, methods, want)
		}
	}
}

// Requests that are spelled unlike most, and mean the same. Each has its right answer here, those
// that stay refused too.
func TestOddRequests(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	jwt := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	cookie := "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	bearer, many := "Bearer "+jwt, strings.Repeat("a=b; ", 5000)
	const signed = "application/token-introspection+jwt"
	login := `{"identifier":"nobody","password":"` + pass + `"}`
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		media                    string // of the answer; empty: any
	}{
		// Authorization: RFC 9110 sections 11.1, 11.4, 5.5.
		{"bearer in lower case", "GET", "/v1/session", "", []string{"Authorization", "bearer " + jwt}, 200, ""},
		{"bearer in capitals", "GET", "/v1/session", "", []string{"Authorization", "BEARER " + jwt}, 200, ""},
		{"bearer, several spaces", "GET", "/v1/session", "", []string{"Authorization", "Bearer    " + jwt}, 200, ""},
		{"bearer, spaces around", "GET", "/v1/session", "", []string{"Authorization", "  " + bearer + " \t"}, 200, ""},
		{"an empty field, and a cookie", "GET", "/v1/session", "", []string{"Authorization", "", "Cookie", cookie}, 200, ""},
		{"an empty field, and a bearer", "GET", "/v1/session", "", []string{"Authorization", "", "Authorization", bearer}, 200, ""},
		{"bearer twice", "GET", "/v1/session", "", []string{"Authorization", bearer, "Authorization", bearer}, 400, ""},
		{"bearer without a token", "GET", "/v1/session", "", []string{"Authorization", "Bearer"}, 401, ""},
		{"bearer behind a tab", "GET", "/v1/session", "", []string{"Authorization", "Bearer\t" + jwt}, 401, ""},

		// Cookies: RFC 6265 sections 4.2, 5.4, 6.1.
		{"300 cookies", "GET", "/v1/session", "", []string{"Cookie", strings.Repeat("a=b; ", 300) + cookie}, 200, ""},
		{"cookies in several fields", "GET", "/v1/session", "", []string{"Cookie", "a=b", "Cookie", cookie}, 200, ""},
		{"odd cookies beside", "GET", "/v1/session", "", []string{"Cookie", `;; a; =; b="; é=1;` + cookie + `; c={"d": "e,f"}`}, 200, ""},
		{"an empty cookie", "GET", "/v1/session", "", []string{"Cookie", "cf="}, 401, ""},
		{"an empty cookie, and a good one", "GET", "/v1/session", "", []string{"Cookie", "cf=; " + cookie}, 200, ""},
		{"bearer, an empty cookie", "GET", "/v1/session", "", []string{"Authorization", bearer, "Cookie", "cf="}, 200, ""},
		{"bearer, too many cookies", "GET", "/v1/session", "", []string{"Authorization", bearer, "Cookie", many + cookie}, 200, ""},
		{"bearer, odd cookies", "GET", "/v1/session", "", []string{"Authorization", bearer, "Cookie", `;; a; =; b="; é=1`}, 200, ""},
		{"bearer, and a session's cookie", "GET", "/v1/session", "", []string{"Authorization", bearer, "Cookie", cookie}, 400, ""},
		{"a key, too many cookies", "GET", "/v1/log", "", []string{"Authorization", "Bearer " + b.key, "Cookie", many}, 200, ""},
		{"a key, an empty field beside it", "GET", "/v1/admin/users", "", []string{"Authorization", "", "Authorization", "Bearer " + b.key}, 200, ""},
		{"a key, an empty cookie", "GET", "/v1/admin/users", "", []string{"Authorization", "Bearer " + b.key, "Cookie", "cf="}, 200, ""},
		{"too many cookies", "GET", "/v1/session", "", []string{"Cookie", many + cookie}, 431, ""},

		// Content-Type: RFC 9110 section 8.3. The login is refused, but for who it is.
		{"JSON with a charset", "POST", "/v1/login", login, []string{"Content-Type", "application/json; charset=utf-8"}, 401, ""},
		{"JSON in capitals", "POST", "/v1/login", login, []string{"Content-Type", "APPLICATION/JSON; CHARSET=UTF-8"}, 401, ""},
		{"JSON, a quoted charset", "POST", "/v1/login", login, []string{"Content-Type", `application/json;charset="utf-8"`}, 401, ""},
		{"JSON, a semicolon at the end", "POST", "/v1/login", login, []string{"Content-Type", "application/json;"}, 401, ""},
		{"form with a charset", "POST", "/oauth/introspect", "token=x", []string{"Content-Type", urlencoded + "; charset=UTF-8", "Authorization", "Bearer " + b.key}, 200, "application/json"},
		{"form in capitals", "POST", "/oauth/introspect", "token=x", []string{"Content-Type", strings.ToUpper(urlencoded), "Authorization", "Bearer " + b.key}, 200, "application/json"},
		{"form, the hint is not known", "POST", "/oauth/introspect", "token=x&token_type_hint=odd", []string{"Content-Type", urlencoded, "Authorization", "Bearer " + b.key}, 200, ""},
		{"form, parameters that are not known", "POST", "/oauth/introspect", "token=x&a=&b=1&resource=1&resource=2", []string{"Content-Type", urlencoded, "Authorization", "Bearer " + b.key}, 200, ""},
		{"JSON at an OAuth endpoint", "POST", "/oauth/introspect", `{"token":"x"}`, []string{"Authorization", "Bearer " + b.key}, 415, "application/json"},

		// Methods and paths.
		{"HEAD", "HEAD", "/v1/session", "", []string{"Authorization", bearer}, 200, ""},
		{"HEAD of the key set", "HEAD", "/.well-known/jwks.json", "", nil, 200, ""},
		{"HEAD of the token endpoint", "HEAD", "/oauth/token", "", nil, 405, ""},
		{"OPTIONS without an origin", "OPTIONS", "/oauth/token", "", nil, 405, ""},
		{"a slash at the end", "POST", "/oauth/token/", "grant_type=refresh_token", []string{"Content-Type", urlencoded}, 404, "application/json"},
		{"two slashes", "POST", "//oauth/token", "grant_type=refresh_token", []string{"Content-Type", urlencoded}, 404, ""},
		{"a query at the token endpoint", "POST", "/oauth/token?grant_type=refresh_token", "", []string{"Content-Type", urlencoded}, 400, ""},
		{"OpenID discovery", "GET", "/.well-known/openid-configuration", "", nil, 404, "application/problem+json"},

		// Accept: RFC 9110 section 12.5.1, RFC 9701.
		{"Accept: signed", "POST", "/oauth/introspect", "token=x", []string{"Accept", signed}, 200, signed},
		{"Accept: capitals", "POST", "/oauth/introspect", "token=x", []string{"Accept", strings.ToUpper(signed)}, 200, signed},
		{"Accept: signed or anything", "POST", "/oauth/introspect", "token=x", []string{"Accept", signed + ", */*;q=0.1"}, 200, signed},
		{"Accept: both", "POST", "/oauth/introspect", "token=x", []string{"Accept", "application/json, " + signed}, 200, signed},
		{"Accept: both in two fields", "POST", "/oauth/introspect", "token=x", []string{"Accept", "text/html", "Accept", " " + signed + " ;q=1.000"}, 200, signed},
		{"Accept: rather JSON", "POST", "/oauth/introspect", "token=x", []string{"Accept", "application/json, " + signed + ";q=0.9"}, 200, "application/json"},
		{"Accept: rather signed", "POST", "/oauth/introspect", "token=x", []string{"Accept", "application/json ; Q=0.8," + signed + ";q=0.9"}, 200, signed},
		{"Accept: not signed", "POST", "/oauth/introspect", "token=x", []string{"Accept", "*/*, " + signed + ";q=0"}, 200, "application/json"},
		{"Accept: rather anything", "POST", "/oauth/introspect", "token=x", []string{"Accept", "application/*, " + signed + ";q=0.5"}, 200, "application/json"},
		{"Accept: anything", "POST", "/oauth/introspect", "token=x", []string{"Accept", "*/*"}, 200, "application/json"},
		{"Accept: what is not known", "POST", "/oauth/introspect", "token=x", []string{"Accept", "text/html, x, ;q, application/;q=2"}, 200, "application/json"},
	} {
		header := c.header
		if strings.HasPrefix(c.name, "Accept") {
			header = append(slices.Clone(header), "Content-Type", urlencoded, "Authorization", "Bearer "+b.key)
		}
		w := b.answer(c.method, c.path, c.body, header...)
		if w.Code != c.status || c.media != "" && w.Header().Get("Content-Type") != c.media {
			t.Errorf("%s: %s %s = %d %s, want %d %s", c.name, c.method, c.path, w.Code, w.Body, c.status, c.media)
		}
	}
	if w := b.answer("GET", "/.well-known/openid-configuration", ""); !strings.Contains(w.Body.String(), "oauth-authorization-server") {
		t.Errorf("OpenID discovery: %s, want what there is instead", w.Body)
	}
	if w := b.answer("GET", "/v1/session", "", "Cookie", "cf="); !strings.Contains(w.Body.String(), "no-credential") {
		t.Errorf("an empty cookie: %s, want what an absent one gets", w.Body)
	}
}

// Tools that follow requests through many programs add fields to those of a page. A preflight
// that asks for them is granted.
func TestPreflightOfTracing(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	app := "capacitor://localhost"
	b.client("app", clients.Client{Origins: []string{"https://app.test", app}})
	for _, origin := range []string{"https://app.test", app} {
		for _, path := range []string{"/v1/login", "/v1/session", "/oauth/token", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"} {
			w := b.answer("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "baggage,content-type,sentry-trace,traceparent,tracestate")
			allowed := strings.Split(strings.ToLower(w.Header().Get("Access-Control-Allow-Headers")), ", ")
			for _, field := range []string{"authorization", "content-type", "traceparent", "tracestate", "baggage", "sentry-trace"} {
				if w.Code != 204 || !slices.Contains(allowed, field) {
					t.Errorf("preflight of %s to %s = %d, allows %q, want %s", origin, path, w.Code, allowed, field)
				}
			}
		}
		refresh := b.session("alice", issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer}).Refresh.Reveal()
		w := b.answer("POST", "/oauth/token", query("grant_type", "refresh_token", "client_id", "app", "refresh_token", refresh), "Content-Type", urlencoded, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("refresh by %s = %d %s", origin, w.Code, w.Body)
		}
		w = b.answer("GET", "/.well-known/oauth-authorization-server", "", "Origin", origin)
		if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != origin || !strings.Contains(w.Header().Get("Vary"), "Origin") {
			t.Errorf("metadata for %s = %d %v", origin, w.Code, w.Header())
		}
	}
	if w := b.answer("GET", "/.well-known/jwks.json", "", "Origin", "capacitor://other"); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("an origin that nobody lists may read: %v", w.Header())
	}
}

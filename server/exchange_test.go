package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// RFC 8693: an API key with the scope gets a token of its own client for the cookie of a browser, and
// nothing for anything else. What went wrong is told apart, so that a program knows whether the person
// must sign in, or an operator must change something.
func TestTokenExchange(t *testing.T) {
	b := newBench(t)
	b.client("orders", clients.Client{Audience: []string{"https://orders.test"}, Scopes: []string{"read"}})
	b.client("shop", clients.Client{})
	b.client("off", clients.Client{Disabled: true})
	made := func(k directory.APIKey) string {
		t.Helper()
		_, key, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, k)
		must(t, err)
		return key.Reveal()
	}
	key := made(directory.APIKey{Client: "gateway", Scopes: []string{directory.ScopeExchange}, Clients: []string{"orders", "off", "nowhere", clients.Default}})
	in := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}, "staff")
	bearer := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	ended := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	if _, err := b.issuer.Revoke(t.Context(), source.ScopeSession, ended.Session.ID, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {in.Access.Reveal()},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	res, body := b.call("POST", "/oauth/token", form.Encode(), "Authorization", "Bearer "+key)
	var got struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
		Issued string `json:"issued_token_type"`
		Scope  string
		Life   int `json:"expires_in"`
	}
	must(t, json.Unmarshal([]byte(body), &got))
	if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" || got.Type != "Bearer" || got.Issued != form.Get("subject_token_type") || got.Scope != "read" || got.Life < 60 || strings.Contains(body, "refresh_token") {
		t.Fatalf("exchange = %d %s", res.StatusCode, body)
	}
	s, err := b.issuer.Lookup(t.Context(), got.Access)
	must(t, err)
	if s.Client != "orders" || s.Audience[0] != "https://orders.test" || s.ID != in.Session.ID || !s.HasRole("staff") {
		t.Errorf("the token is of %+v", s)
	}
	for _, path := range []string{"/v1/session", "/v1/sessions"} { // it opens no account (TOK-21)
		if res, body := b.call("GET", path, "", "Authorization", "Bearer "+got.Access); res.StatusCode/100 != 4 {
			t.Errorf("%s with it = %d %s", path, res.StatusCode, body)
		}
	}
	for name, c := range map[string]struct {
		key    string
		change []string
		status int
		code   string
	}{
		"a token":                    {key, []string{"subject_token", bearer.Access.Reveal()}, 400, "invalid_request"},
		"a token of an exchange":     {key, []string{"subject_token", got.Access}, 400, "invalid_request"},
		"a refresh token":            {key, []string{"subject_token", bearer.Refresh.Reveal()}, 400, "invalid_request"},
		"an ended session":           {key, []string{"subject_token", ended.Access.Reveal()}, 400, "invalid_request"},
		"nothing":                    {key, []string{"subject_token", ""}, 400, "invalid_request"},
		"another type":               {key, []string{"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"}, 400, "invalid_request"},
		"an actor":                   {key, []string{"actor_token", "x"}, 400, "invalid_request"},
		"a client that is not there": {key, []string{"client", "nowhere"}, 400, "invalid_target"},
		"a disabled client":          {key, []string{"client", "off"}, 400, "invalid_target"},
		"the client of the cookie":   {key, []string{"client", "default"}, 400, "invalid_target"},
		"a client of others":         {key, []string{"client", "shop"}, 403, "unauthorized_client"},
		"another audience":           {key, []string{"audience", "https://shop.test"}, 400, "invalid_target"},
		"another resource":           {key, []string{"resource", "https://orders.test/"}, 400, "invalid_target"},
		"one audience too many":      {key, []string{"audience", "https://orders.test", "resource", "https://shop.test"}, 400, "invalid_target"},
		"a scope of others":          {key, []string{"scope", "read write"}, 400, "invalid_scope"},
		"no key":                     {"", nil, 401, "invalid_client"},
		"a key that is none":         {"cfk_x", nil, 401, "invalid_client"},
		"a key for other things":     {made(directory.APIKey{Client: "orders", Scopes: []string{directory.ScopeIntrospect, directory.ScopeSessions}}), nil, 403, "unauthorized_client"},
		"the credential as the key":  {in.Access.Reveal(), nil, 401, "invalid_client"},
	} {
		ask := url.Values{}
		for name, values := range form {
			ask[name] = values
		}
		for n := 0; n < len(c.change); n += 2 {
			ask.Set(c.change[n], c.change[n+1])
		}
		var header []string
		if c.key != "" {
			header = []string{"Authorization", "Bearer " + c.key}
		}
		res, body := b.call("POST", "/oauth/token", ask.Encode(), header...)
		if res.StatusCode != c.status || !strings.Contains(body, `"error":"`+c.code+`"`) {
			t.Errorf("%s = %d %s, want %d %s", name, res.StatusCode, body, c.status, c.code)
		}
	}
	// What the token is and may do anyway may be asked for (RFC 8693 section 2.1, RFC 8707 section 2).
	for _, more := range []string{"&audience=https://orders.test", "&resource=https://orders.test", "&scope=read", "&audience=&scope=", "&scope=read&audience=https://orders.test&audience=https://orders.test"} {
		if res, body := b.call("POST", "/oauth/token", form.Encode()+more, "Authorization", "Bearer "+key); res.StatusCode != http.StatusOK {
			t.Errorf("exchange with %s = %d %s", more, res.StatusCode, body)
		}
	}
}

package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// ask introspects token as key, and wants an answer that nobody keeps (INTRO-03).
func (b *bench) ask(key, token string, header ...string) string {
	b.Helper()
	form := url.Values{"token": {token}}.Encode()
	res, body := b.call("POST", "/oauth/introspect", form, append(header, "Authorization", "Bearer "+key)...)
	if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		b.Errorf("introspect = %d %s, Cache-Control %q", res.StatusCode, body, res.Header.Get("Cache-Control"))
	}
	return body
}

// INTRO-01: whatever is not a live credential for the caller gets the same bytes,
// no matter to whom it belonged and what became of it; and only who may ask is answered.
func TestIntrospectionTellsNothing(t *testing.T) {
	b := newBench(t)
	live := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	ended := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	if _, err := b.issuer.Revoke(t.Context(), source.ScopeSession, ended.Session.ID, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	_, elsewhere, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{
		Client: "shop", Scopes: []string{directory.ScopeIntrospect}, Audience: []string{"https://shop.test"},
	})
	must(t, err)
	if body := b.ask(b.key, live.Access.Reveal()); !strings.Contains(body, `"active":true`) || !strings.Contains(body, live.Session.ID) {
		t.Fatalf("a live one: %s", body)
	}
	for name, c := range map[string]struct{ key, token string }{
		"garbage":           {b.key, "garbage"},
		"empty":             {b.key, ""},
		"revoked":           {b.key, ended.Access.Reveal()},
		"cut short":         {b.key, live.Access.Reveal()[:200]},
		"a refresh token":   {b.key, live.Refresh.Reveal()},
		"an API key":        {b.key, b.key},
		"for somebody else": {elsewhere.Reveal(), live.Access.Reveal()},
	} {
		if body := b.ask(c.key, c.token); body != `{"active":false}` {
			t.Errorf("%s: %s", name, body)
		}
	}
	_, feedOnly, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "feed", Scopes: []string{directory.ScopeFeed}})
	must(t, err)
	for name, header := range map[string][]string{
		"nobody": nil, "a key for other things": {"Authorization", "Bearer " + feedOnly.Reveal()},
		"a user": {"Authorization", "Bearer " + live.Access.Reveal()},
	} {
		if res, body := b.call("POST", "/oauth/introspect", "token=x", header...); res.StatusCode/100 != 4 || strings.Contains(body, "active") {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
}

// INTRO-02, KEY-13: a signed answer is for the caller alone, and is no credential
// itself, although the same key has signed it.
func TestSignedIntrospection(t *testing.T) {
	b := newBench(t)
	live := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	jwks, err := b.issuer.Keys(t.Context())
	must(t, err)
	keys, _, err := token.ParseJWKS(jwks)
	must(t, err)
	find := func(string) (token.Key, bool) { return keys[0], true }
	v := b.verifier()
	for name, credential := range map[string]string{"live": live.Access.Reveal(), "garbage": "garbage"} {
		signed := b.ask(b.key, credential, "Accept", "application/token-introspection+jwt")
		payload, _, err := token.VerifyJWS(signed, "token-introspection+jwt", find)
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, signed)
		}
		var answer struct {
			Iss, Aud string
			Iat      int64
			Answer   struct {
				Active bool
				SID    string
			} `json:"token_introspection"`
		}
		must(t, json.Unmarshal([]byte(payload), &answer))
		if answer.Iss != b.url || answer.Aud != "bench" || answer.Iat == 0 || answer.Answer.Active != (name == "live") || strings.Contains(payload, `"sub"`) != (name == "live") {
			t.Errorf("%s: %s", name, payload)
		}
		if _, _, err := token.VerifyJWS(signed, "at+jwt", find); err == nil {
			t.Errorf("%s: it passes for an access token", name)
		}
		if got, err := v.Verify(t.Context(), signed); !errors.Is(err, counterfoil.ErrInvalidToken) || got != nil {
			t.Errorf("%s: a verifier says %v, %v", name, got, err)
		}
		if res, _ := b.call("GET", "/v1/session", "", "Authorization", "Bearer "+signed); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the server says %d", name, res.StatusCode)
		}
		if body := b.ask(b.key, signed); body != `{"active":false}` {
			t.Errorf("%s: introspected itself: %s", name, body)
		}
	}
}

// A key for a service that keeps answers until they expire gets answers that expire soon, signed ones
// too, and no other key does. The list of keys says so.
func TestIntrospectionExp(t *testing.T) {
	b := newBench(t)
	jwks, err := b.issuer.Keys(t.Context())
	must(t, err)
	keys, _, err := token.ParseJWKS(jwks)
	must(t, err)
	res, body := b.call("POST", "/v1/admin/apikeys", `{"client":"apache","scopes":["introspect"],"introspection_exp":"bound"}`, "Authorization", "Bearer "+b.key)
	var made struct {
		Key string
		Exp string `json:"introspection_exp"`
	}
	must(t, json.Unmarshal([]byte(body), &made))
	if res.StatusCode != http.StatusCreated || made.Exp != "bound" {
		t.Fatalf("make a key = %d %s", res.StatusCode, body)
	}
	if _, body := b.call("GET", "/v1/admin/apikeys", "", "Authorization", "Bearer "+b.key); strings.Count(body, `"introspection_exp":"bound"`) != 1 {
		t.Errorf("the list of keys: %s", body)
	}
	if res, body := b.call("POST", "/v1/admin/apikeys", `{"client":"apache","scopes":["introspect"],"introspection_exp":"never"}`, "Authorization", "Bearer "+b.key); res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an unknown introspection_exp = %d %s", res.StatusCode, body)
	}
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierCookie} {
		access := b.session("alice", issuer.Request{Carrier: carrier}).Access.Reveal()
		for key, bounded := range map[string]bool{made.Key: true, b.key: false} {
			for _, accept := range []string{"application/json", "application/token-introspection+jwt"} {
				answer := b.ask(key, access, "Accept", accept)
				if accept != "application/json" {
					answer, _, err = token.VerifyJWS(answer, "token-introspection+jwt", func(string) (token.Key, bool) { return keys[0], true })
					must(t, err)
				}
				var got struct {
					Exp    int64
					Answer struct{ Exp int64 } `json:"token_introspection"`
				}
				must(t, json.Unmarshal([]byte(answer), &got))
				if exp := time.Unix(max(got.Exp, got.Answer.Exp), 0); !exp.After(time.Now().Add(10*time.Second)) != bounded {
					t.Errorf("%v, %s, bounded %t: it expires %v\n%s", carrier, accept, bounded, exp, answer)
				}
			}
		}
	}
}

// INTRO-03: by POST alone, and what was asked about is not logged.
func TestIntrospectionIsNotLogged(t *testing.T) {
	b := newBench(t)
	live := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	b.ask(b.key, live)
	for _, method := range []string{"GET", "PUT", "HEAD"} {
		if res, _ := b.call(method, "/oauth/introspect?token="+live, "", "Authorization", "Bearer "+b.key); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s = %d, want 405", method, res.StatusCode)
		}
	}
	if strings.Contains(b.log.String(), live) {
		t.Error("the log holds the token")
	}
}

// REV-16: the log is for verifiers that may read it: an API key with that scope, and
// nobody else.
func TestFeedIsForVerifiers(t *testing.T) {
	b := newBench(t)
	made := map[string]string{}
	for _, scope := range []string{directory.ScopeFeed, directory.ScopeIntrospect, directory.ScopeSessions} {
		_, key, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "c", Scopes: []string{scope}})
		must(t, err)
		made[scope] = key.Reveal()
	}
	user := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}, "admin").Access.Reveal()
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"nobody":               {nil, http.StatusUnauthorized},
		"a verifier":           {[]string{"Authorization", "Bearer " + made[directory.ScopeFeed]}, http.StatusOK},
		"who may introspect":   {[]string{"Authorization", "Bearer " + made[directory.ScopeIntrospect]}, http.StatusForbidden},
		"who may make session": {[]string{"Authorization", "Bearer " + made[directory.ScopeSessions]}, http.StatusForbidden},
		"an administrator":     {[]string{"Authorization", "Bearer " + user}, http.StatusUnauthorized},
		"a key cut short":      {[]string{"Authorization", "Bearer " + made[directory.ScopeFeed][:40]}, http.StatusUnauthorized},
	} {
		res, body := b.call("GET", "/v1/log", "", c.header...)
		if res.StatusCode != c.want || res.StatusCode != http.StatusOK && strings.Contains(body, "entries") {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, c.want)
		}
	}
}

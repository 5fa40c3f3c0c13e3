package gateway_test

import (
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

// GW-14: Envoy keeps the credential from the service, and nothing else of the visitor.
func TestEnvoyKeepsCredentialsBack(t *testing.T) {
	is := counterfoiltest.New(t)
	g, err := gateway.New(gateway.Options{Verifier: is.Verifier(), TrustedProxies: loopback, Routes: []gateway.Route{
		{Origin: app, Prefix: "/"}, {Origin: app, Prefix: "/public", Anonymous: true}, {Origin: app, Prefix: "/kept", KeepCredentials: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	token := "Bearer " + is.Token("alice")
	cookie := func(text string) string {
		return text + source.InsecureCookieName + "=x; " + source.InsecureRefreshCookieName + "=y"
	}
	for name, h := range map[string]http.Handler{"HTTP": g.ExtAuthz("/ext-authz"), "gRPC": overGRPC(g)} {
		for what, c := range map[string]struct {
			path, authorization string
			cookies             []string
			gone, left          string
		}{
			"a token":                     {"/", token, nil, "authorization", ""},
			"a token, other cookies":      {"/", token, []string{"theme=dark; a=1"}, "authorization", ""},
			"a token, on a public page":   {"/public", token, nil, "authorization", ""},
			"a token that is kept":        {"/kept", token, []string{"theme=dark"}, "", ""},
			"cookies":                     {"/public", "", []string{cookie("")}, "cookie", ""},
			"cookies, and others":         {"/public", "", []string{cookie("theme=dark; a=1; ")}, "", "theme=dark; a=1"},
			"cookies, and others, in two": {"/public", "", []string{"theme=dark", cookie("a=1; ")}, "", "theme=dark; a=1"},
			"both":                        {"/public", token, []string{cookie("")}, "authorization, cookie", ""},
			"a password of the service":   {"/public", "Basic YTpi", nil, "", ""},
			"a password, a token in case": {"/public", "bearer " + token[7:], nil, "authorization", ""},
			"nothing":                     {"/public", "", nil, "", ""},
			"cookies of others":           {"/public", "", []string{"theme=dark"}, "", ""},
			"a refusal":                   {"/", "", []string{"theme=dark"}, "", ""},
		} {
			r := askEnvoy("GET", app+c.path)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if c.cookies != nil {
				r.Header["Cookie"] = c.cookies
			}
			got := answer(h, r).Result().Header
			if got.Get(gateway.RemoveHeader) != c.gone || got.Get("Cookie") != c.left {
				t.Errorf("%s, %s: Envoy removes %q and the cookies are %q, want %q and %q", name, what, got.Get(gateway.RemoveHeader), got.Get("Cookie"), c.gone, c.left)
			}
		}
	}
	b := newBench(t)
	for _, k := range b.kinds()[:2] {
		if got := answer(k.handler, signed(k.ask("GET", app+"/public"), "x")).Result().Header; got[gateway.RemoveHeader] != nil {
			t.Errorf("%s is told what Envoy removes: %v", k.name, got)
		}
	}
}

// GW-01, CSRF-11: Envoy keeps from the service whatever a visitor says of who they are and what they
// ask for, by names that no configuration lists as well. What Envoy itself writes stays.
func TestEnvoyKeepsClaimsBack(t *testing.T) {
	b := newBench(t)
	for _, k := range b.kinds()[2:] {
		r := k.ask("GET", app+"/public")
		for _, name := range []string{
			"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Client-Cert", "Accept", "User-Agent", "X-Request-Id", "Counterfoil-Subject", "Remote-User",
			"X-Auth-Anything", "Remote-Anything", "X-Forwarded-User", "X-Original-Url", "X-Http-Method-Override", "Forwarded", "My_header",
		} {
			r.Header.Set(name, "x")
		}
		got := answer(k.handler, r).Result().Header
		const want = "forwarded, my_header, remote-anything, x-auth-anything, x-forwarded-user, x-http-method-override, x-original-url"
		if got.Get(gateway.RemoveHeader) != want || len(got["Counterfoil-Subject"]) != 1 || got.Get("Counterfoil-Subject") != "" {
			t.Errorf("%s: Envoy removes %q, want %q", k.name, got.Get(gateway.RemoveHeader), want)
		}
	}
}

package gateway_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
)

// RFC 9728: a client that was refused follows the challenge to the metadata of the very URL that it asked
// for (section 3.3). A client that knows the resource finds them at the same place (section 3.1).
func TestResourceMetadata(t *testing.T) {
	is := counterfoiltest.New(t)
	g, err := gateway.New(gateway.Options{
		Verifier: is.Verifier(), TrustedProxies: loopback,
		Routes: []gateway.Route{
			{Origin: app, Prefix: "/", Anonymous: true},
			{Origin: app, Prefix: "/api", Scopes: []string{"read"}, Allow: []gateway.Oddity{gateway.EncodedSlash}},
			{Origin: app, Prefix: "/api/write", Scopes: []string{"write", "read"}},
			{Origin: app, Path: "/api/open", Anonymous: true},
			{Origin: "https://public.example.com", Prefix: "/", Anonymous: true},
			{Origin: "http://127.0.0.1:8088", Prefix: "/"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, is, g, nil}
	get := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Host, r.RequestURI = host, path
		return answer(g.Handler(), r)
	}
	const at = "https://app.example.com/.well-known/oauth-protected-resource"
	for _, c := range []struct {
		target, metadata, resource string
		scopes                     []any
	}{
		{app + "/api", at + "/api", app + "/api", []any{"read"}},
		{app + "/api/x?y", at + "/api/x", app + "/api/x", []any{"read"}},
		{app + "/api/%78", at + "/api/x", app + "/api/x", []any{"read"}},
		{app + "/api/write/1", at + "/api/write/1", app + "/api/write/1", []any{"read", "write"}},
		{app + "/api/\"", at, app, []any{"read", "write"}},
		{app + "/api/a%2fb", at, app, []any{"read", "write"}},
		{app + "/api/" + strings.Repeat("a", 1000), at, app, []any{"read", "write"}},
		{"http://127.0.0.1:8088/", "http://127.0.0.1:8088/.well-known/oauth-protected-resource", "http://127.0.0.1:8088", nil},
	} {
		for _, k := range b.kinds() {
			w := answer(k.handler, k.ask("GET", c.target))
			if got, want := w.Result().Header["Www-Authenticate"], `Bearer resource_metadata="`+c.metadata+`"`; w.Code != 401 || len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s = %d %q, want %q", k.name, c.target, w.Code, got, want)
			}
		}
		u, err := url.Parse(c.metadata)
		if err != nil {
			t.Fatal(err)
		}
		w := get(u.Host, u.Path)
		want := map[string]any{"resource": c.resource, "authorization_servers": []any{is.URL}, "bearer_methods_supported": []any{"header"}}
		if c.scopes != nil {
			want["scopes_supported"] = c.scopes
		}
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || !reflect.DeepEqual(got, want) || w.Result().Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %v, want %v", c.metadata, w.Code, got, err, want)
		}
	}
	for host, path := range map[string]string{
		"other.example.com": "", "public.example.com": "", "app.example.com": "/x", "app.example.com:443": "/api/open", "app.example.com.": "/api/../api",
		"APP.example.com": "/api//x", "app.example.com:8443": "/api", "alice@app.example.com": "/api", "": "",
	} {
		if w := get(host, gateway.MetadataPath+path); w.Code != 404 {
			t.Errorf("%s%s = %d %s, want 404", host, path, w.Code, w.Body)
		}
	}
	if w := get("app.example.com", gateway.MetadataPath+"s"); w.Code != 404 {
		t.Errorf("another path: %d", w.Code)
	}
}

// A gateway that is the proxy itself answers for the resources that it protects, and the service is not asked. What it
// does not protect is the service's.
func TestProxiedMetadata(t *testing.T) {
	p := newProxied(t, nothing, gateway.Route{Prefix: "/", Anonymous: true}, gateway.Route{Prefix: "/api"})
	if challenge := p.ask("GET", "/api/x", "").Header.Get("Www-Authenticate"); challenge != `Bearer resource_metadata="`+p.origin+gateway.MetadataPath+`/api/x"` {
		t.Error(challenge)
	}
	res := p.ask("GET", gateway.MetadataPath+"/api/x", "")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !strings.HasPrefix(string(body), `{"resource":"`+p.origin+`/api/x",`) {
		t.Error(res.StatusCode, string(body), err)
	}
	if res := p.ask("POST", gateway.MetadataPath+"/api/x", ""); res.StatusCode != 405 {
		t.Errorf("POST: %d", res.StatusCode)
	}
	if len(p.got) != 0 {
		t.Errorf("the service was asked: %v", p.got)
	}
	if res := p.ask("GET", gateway.MetadataPath+"/other", ""); res.StatusCode != 200 || len(p.got) != 1 {
		t.Errorf("metadata of what is open: %d, and the service was asked %d times", res.StatusCode, len(p.got))
	}
}

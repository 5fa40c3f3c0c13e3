package counterfoil_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
)

// RFC 9728: a refusal of a token names the metadata of the service, which name the issuer. A refusal of a
// cookie asks for no token.
func TestResourceMetadata(t *testing.T) {
	is := counterfoiltest.New(t)
	source, err := counterfoil.Remote(is.URL, counterfoil.RemoteOptions{Credential: is.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	open := func(resource string) (*counterfoil.Verifier, error) {
		return counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: is.URL, Audience: is.URL, Resource: resource, ResourceScopes: []string{"read", "write"}})
	}
	for resource, path := range map[string]string{
		"https://api.example.com": "/.well-known/oauth-protected-resource", "https://api.example.com/v1": "/.well-known/oauth-protected-resource/v1",
	} {
		v, err := open(resource)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		service := v.Require(http.NotFoundHandler())
		for credential, want := range map[string]string{
			"":            `Bearer resource_metadata="https://api.example.com` + path + `"`,
			"Bearer junk": `Bearer error="invalid_token", resource_metadata="https://api.example.com` + path + `"`,
			"cookie":      "",
		} {
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			if r.Header.Set("Authorization", credential); credential == "cookie" {
				r.Header.Del("Authorization")
				r.AddCookie(&http.Cookie{Name: "cf", Value: "junk"})
			}
			if credential == "" {
				r.Header.Del("Authorization")
			}
			service.ServeHTTP(w, r)
			if got := w.Result().Header["Www-Authenticate"]; w.Code != 401 || want != "" && (len(got) != 1 || got[0] != want) || want == "" && got != nil {
				t.Errorf("%s: %q = %d %q, want %q", resource, credential, w.Code, got, want)
			}
		}
		w := httptest.NewRecorder()
		v.ServeResourceMetadata(w, httptest.NewRequest("GET", path, nil))
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"resource": resource, "authorization_servers": []any{is.URL}, "scopes_supported": []any{"read", "write"}, "bearer_methods_supported": []any{"header"}}
		if !reflect.DeepEqual(got, want) || w.Result().Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v, want %v", resource, got, want)
		}
		w = httptest.NewRecorder()
		if v.ServeResourceMetadata(w, httptest.NewRequest("GET", path+"/x", nil)); w.Code != 404 {
			t.Errorf("the metadata of another resource: %d", w.Code)
		}
	}
	for _, bad := range []string{"api.example.com", "https://api.example.com/", "http://api.example.com", "https://api.example.com/a?b", "https://api.example.com/a\"b", "https://API.example.com", "https://api.example.com//a", "https://api.example.com/%61"} {
		if _, err := open(bad); err == nil {
			t.Errorf("%s: nil error", bad)
		}
	}
	w := httptest.NewRecorder()
	if is.Verifier().ServeResourceMetadata(w, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil)); w.Code != 404 {
		t.Errorf("without a resource: %d", w.Code)
	}
}

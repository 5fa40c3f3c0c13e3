package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/server"
)

// CSRF-02: a page whose own name resolves to this server (DNS rebinding) reads nothing of it.
func TestHostIsANameOfThisServer(t *testing.T) {
	b := assemble(t, server.Config{URL: "https://auth.test:8443", Hosts: []string{"auth.internal"}})
	get := func(host, path string) int {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		b.server.ServeHTTP(w, r)
		return w.Code
	}
	for host, named := range map[string]bool{
		"auth.test:8443": true, "auth.test": true, "AUTH.test.:1": true, "auth.internal:80": true,
		"127.0.0.1:8443": true, "[::1]:8443": true, "localhost:8443": true, "10.1.2.3": true,
		"evil.test": false, "evil.test:8443": false, "auth.test.evil.test": false, "xauth.test": false, "": false,
		"localhost.evil.test": false, "127.0.0.1.evil.test": false, "auth.test@evil.test": false,
	} {
		for _, path := range []string{"/", "/login", "/v1/session", "/v1/admin/users", "/oauth/token"} {
			if refused := get(host, path) == http.StatusMisdirectedRequest; refused == named {
				t.Errorf("%q: GET %s is refused: %v, want %v", host, path, refused, !named)
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/v1/log", "/.well-known/jwks.json"} {
			if get(host, path) == http.StatusMisdirectedRequest {
				t.Errorf("%q: GET %s is refused, and is for programs", host, path)
			}
		}
	}
	for _, bad := range []string{"", "auth.test:80", "https://auth.test", "a b", "Auth.test", "auth.test."} {
		if _, err := server.Open(t.Context(), server.Config{Store: b.db, URL: b.url, SealKey: [32]byte{1}, InsecureHashes: true, Hosts: []string{bad}}); err == nil {
			t.Errorf("Config.Hosts with %q was taken", bad)
		}
	}
}

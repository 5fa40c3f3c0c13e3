package server_test

import (
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil/clients"
)

// An app whose client was registered before clients said what they open refreshes, signs out
// and gives up its tokens as before. Its cookie opens the account. A token in a header opens
// it only if the client says so: services have that token, too.
func TestClientThatSaysNothing(t *testing.T) {
	b := newBench(t)
	b.client("plain", clients.Client{})
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		in := func() issued {
			t.Helper()
			return b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","client":"plain","carrier":"`+carrier+`"}`))
		}
		want := func(status int, got issued, method, path, body string) (*http.Response, string) {
			t.Helper()
			res, answer := b.call(method, path, body, append(got.credential(), "Origin", b.url)...)
			if res.StatusCode != status {
				t.Errorf("%s: %s %s = %d %s, want %d", carrier, method, path, res.StatusCode, answer, status)
			}
			return res, answer
		}
		got, account := in(), http.StatusOK
		if carrier == "bearer" || carrier == "jwe" {
			account = http.StatusForbidden
		}
		for _, path := range []string{"/v1/session", "/v1/sessions"} {
			want(account, got, "GET", path, "")
		}
		want(http.StatusForbidden, got, "GET", "/v1/admin/users", "")
		switch carrier {
		case "bearer", "jwe":
			res, body := b.call("POST", "/v1/refresh", `{"refresh_token":"`+got.Refresh+`","client":"plain"}`)
			if res.StatusCode != http.StatusOK {
				t.Fatalf("%s: refresh = %d %s", carrier, res.StatusCode, body)
			}
			got = b.issued(res, body)
		case "jwt-cookie":
			res, body := want(http.StatusOK, got, "POST", "/v1/refresh", `{"client":"plain"}`)
			got = b.issued(res, body)
		}
		want(http.StatusNoContent, got, "POST", "/v1/logout", "")
		if status := b.status(got); status != http.StatusUnauthorized {
			t.Errorf("%s: after signing out = %d", carrier, status)
		}
	}
}

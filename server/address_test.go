package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/counterfoil/counterfoil/server"
)

// LOGIN-10: a request whose address is not known, or is written without a port, as some middleware
// does, is a stranger's. Only the handler for administration on this machine knows of callers for
// whom no rate holds, and who wait in the line of administrators.
func TestNoAddressIsNoPrivilege(t *testing.T) {
	for _, from := range []string{"198.51.100.7", "2001:db8::7", "@", "", "unix", "198.51.100.7:http"} {
		synctest.Test(t, func(t *testing.T) { // no time passes, and with it no other attempt is allowed
			b := assemble(t, server.Config{URL: authURL, Registration: true, LoginsPerSecond: 1000})
			slowed := 0
			for range 30 {
				r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/register", strings.NewReader(`{"identifier":"alice","password":"`+pass+`"}`))
				r.RemoteAddr = from
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				if b.server.ServeHTTP(w, r); w.Code == http.StatusTooManyRequests {
					slowed++
				}
			}
			if slowed != 10 {
				t.Errorf("%q: %d of 30 registrations were slowed down, want 10", from, slowed)
			}
		})
	}
}

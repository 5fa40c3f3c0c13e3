package counterfoiltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
)

// A service is tested against a real issuer, and what it does once a session is
// revoked is a test like any other.
func TestService(t *testing.T) {
	is := counterfoiltest.New(t)
	service := is.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", s.Subject)
	}), counterfoil.Role("staff"))
	call := func(r *http.Request) int {
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE} {
		r := httptest.NewRequest("POST", "/", nil)
		is.Authorize(r, "alice", c, "staff")
		if got := call(r); got != http.StatusOK {
			t.Errorf("%v: status %d", c, got)
		}
		is.Revoke(counterfoil.ScopeSubject, "alice")
		if got := call(r); got != http.StatusUnauthorized {
			t.Errorf("%v: status %d after the revocation, want 401", c, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	is.Authorize(r, "bob", counterfoil.CarrierBearer)
	if got := call(r); got != http.StatusForbidden {
		t.Errorf("without the role: status %d, want 403", got)
	}
}

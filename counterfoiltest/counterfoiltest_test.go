package counterfoiltest_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/source"
)

// A test of a service uses a real issuer. It can also test what the service does after a
// revocation.
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
		is.Revoke(source.ScopeSubject, "alice")
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

// When SetRoles returns, the subject has lost the role, and is still signed in.
func TestSetRoles(t *testing.T) {
	is := counterfoiltest.New(t)
	roles := func(c counterfoil.Carrier, access string) ([]string, error) {
		r := httptest.NewRequest("GET", "/", nil)
		if c.Transport == counterfoil.Cookie {
			r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: access})
		} else {
			r.Header.Set("Authorization", "Bearer "+access)
		}
		s, err := is.Verifier().VerifyRequest(r)
		if err != nil {
			return nil, err
		}
		return s.Roles, nil
	}
	token, cookie := is.Token("alice", "staff"), is.Login("alice", counterfoil.CarrierCookie, "staff").Access.Reveal()
	for c, access := range map[counterfoil.Carrier]string{counterfoil.CarrierBearer: token, counterfoil.CarrierCookie: cookie} {
		if got, err := roles(c, access); err != nil || len(got) != 1 {
			t.Errorf("%v: roles %q, %v", c, got, err)
		}
	}
	is.SetRoles("alice")
	if _, err := roles(counterfoil.CarrierBearer, token); !errors.Is(err, counterfoil.ErrStaleClaims) {
		t.Errorf("a copy with the old roles: %v, want ErrStaleClaims", err)
	}
	if got, err := roles(counterfoil.CarrierCookie, cookie); err != nil || len(got) != 0 {
		t.Errorf("an opaque session: roles %q, %v; want none", got, err)
	}
}

// exampleT replaces a *testing.T in an Example.
type exampleT struct {
	testing.TB // nil: New calls only the methods below
	cleanups   []func()
}

func (*exampleT) Helper()            {}
func (*exampleT) Fatal(args ...any)  { log.Fatal(args...) }
func (e *exampleT) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (e *exampleT) end() {
	for _, f := range slices.Backward(e.cleanups) {
		f()
	}
}

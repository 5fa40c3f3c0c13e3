package counterfoiltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/source"
)

// reports is the handler under test. Only staff may call it.
func reports(w http.ResponseWriter, r *http.Request) {
	session, _ := counterfoil.FromContext(r.Context())
	fmt.Fprintf(w, "reports for %s", session.Subject)
}

// A test calls the handler with any subject and roles, and with a revoked session.
func Example() {
	t := new(exampleT) // in a test: its *testing.T
	defer t.end()

	is := counterfoiltest.New(t)
	handler := is.Verifier().Require(http.HandlerFunc(reports), counterfoil.Role("staff"))
	get := func(token string) int {
		r := httptest.NewRequest("GET", "/reports", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}

	alice, bob := is.Token("alice", "staff"), is.Token("bob")
	fmt.Println("alice, of the staff:", get(alice))
	fmt.Println("bob, who is not:", get(bob))
	is.Revoke(source.ScopeSubject, "alice")
	fmt.Println("alice, revoked:", get(alice))
	// Output:
	// alice, of the staff: 200
	// bob, who is not: 403
	// alice, revoked: 401
}

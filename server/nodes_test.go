package server_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// SES-14: two servers on one store change the same user, one between any two steps of
// the other. Afterwards the sessions may what is written, whoever was last.
func TestTwoNodesChangeOneUser(t *testing.T) {
	changes := []string{`{"roles":[]}`, `{"roles":["a"]}`, `{"roles":["a","b"]}`, `{"roles":["admin"]}`, `{"status":"disabled"}`, `{"status":"active"}`, `{"status":"disabled","roles":["b"]}`}
	db := memory.New()
	t.Cleanup(func() { db.Close() })
	faulty := storetest.Faulty(db)
	open := func(s store.Store) *server.Embedded {
		e, err := server.Open(t.Context(), server.Config{Store: s, URL: "https://auth.test", SealKey: [32]byte{1}, Audit: func(audit.Entry) {}, KeepAudit: -1})
		must(t, err)
		t.Cleanup(e.Close)
		return e
	}
	first, second := open(faulty), open(db)
	patch := func(node *server.Embedded, id, body string) {
		t.Helper()
		r := httptest.NewRequest("PATCH", "/v1/admin/users/"+id, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if node.LocalAdmin().ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	for _, a := range changes {
		for _, b := range changes {
			for step := range 4 {
				user, err := second.Users().Create(t.Context(), audit.Act{}, directory.User{Identifier: strings.ToLower(rand.Text()), Roles: []string{"a"}})
				must(t, err)
				patch(second, user.ID, `{"roles":["a","c"]}`)
				faulty.Inject(storetest.Fault{Op: storetest.OpCommit, After: step, Times: 1, Slow: true, Before: func() { patch(second, user.ID, b) }})
				patch(first, user.ID, a)
				faulty.Heal()
				written, err := second.Users().ByID(t.Context(), user.ID)
				must(t, err)
				held, err := second.Issuer().Subject(t.Context(), user.ID)
				must(t, err)
				if held.Disabled != (written.Status == directory.Disabled) || !slices.Equal(held.Roles, written.Roles) {
					t.Errorf("%s, and before its commit %d by another node %s: written is %s %q, in force disabled %v %q", a, step, b, written.Status, written.Roles, held.Disabled, held.Roles)
				}
			}
		}
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
)

// A problem that is about one member of the body names it, and no other does. A member of an object in the body is
// named by its path.
func TestProblemNamesTheField(t *testing.T) {
	b := mailed(t)
	in := b.answer("POST", "/v1/login", `{"identifier":"ada@example.com","password":"`+pass+`","carrier":"bearer"}`)
	token := []string{"Authorization", "Bearer " + textOf(in.Body.String(), "access_token")}
	admin := []string{"Authorization", "Bearer " + b.key}
	proven := directory.User{Identifier: "bob", Address: "bob@example.com", Verified: time.Now()}
	_, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, proven)
	must(t, err)
	carol, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "carol"})
	must(t, err)
	for _, c := range []struct {
		method, path, body, field string
		status                    int
		header                    []string
	}{
		{"POST", "/v1/register", `{"identifier":"ada@example.com","password":"a long afternoon at sea"}`, "identifier", http.StatusConflict, nil},
		{"POST", "/v1/register", `{"identifier":"a b","password":"a long afternoon at sea"}`, "identifier", http.StatusUnprocessableEntity, nil},
		{"POST", "/v1/register", `{"identifier":"dave","password":"short"}`, "password", http.StatusUnprocessableEntity, nil},
		{"POST", "/v1/login", `{"identifier":"ada@example.com","pass":"x"}`, "pass", http.StatusBadRequest, nil},
		{"POST", "/v1/login", `{"identifier":null}`, "identifier", http.StatusBadRequest, nil},
		{"POST", "/v1/login", `{"identifier":7}`, "identifier", http.StatusBadRequest, nil},
		{"POST", "/v1/login", `{"identifier":"ada@example.com","password":"not the one"}`, "", http.StatusUnauthorized, nil},
		{"POST", "/v1/login", `[]`, "", http.StatusBadRequest, nil},
		{"POST", "/v1/password", `{"current":"not the one","next":"a long afternoon at sea"}`, "current", http.StatusUnauthorized, token},
		{"POST", "/v1/password", `{"current":"` + pass + `","next":"short"}`, "next", http.StatusUnprocessableEntity, token},
		{"POST", "/v1/address", `{"address":"nowhere"}`, "address", http.StatusUnprocessableEntity, token},
		{"POST", "/v1/invitations", `{"token":"x","password":"a long afternoon at sea"}`, "token", http.StatusUnauthorized, nil},
		{"POST", "/v1/admin/users", `{"identifier":"dave","address":"bob@example.com","address_verified":true}`, "address", http.StatusUnprocessableEntity, admin},
		{"POST", "/v1/admin/users", `{"identifier":"dave","address":"nowhere"}`, "address", http.StatusUnprocessableEntity, admin},
		{"POST", "/v1/admin/users", `{"identifier":"carol"}`, "identifier", http.StatusConflict, admin},
		{"PATCH", "/v1/admin/users/" + carol.ID, `{"address":"bob@example.com","address_verified":true}`, "address", http.StatusUnprocessableEntity, admin},
		{"PATCH", "/v1/admin/users/" + carol.ID, `{"status":7}`, "status", http.StatusBadRequest, admin},
		{"POST", "/v1/admin/users/import", `{"users":[{"identifier":"dave"},{"pass":1}]}`, "users[1].pass", http.StatusBadRequest, admin},
		{"POST", "/v1/admin/users/import", `{"users":[{"identifier":"dave"},7]}`, "users[1]", http.StatusBadRequest, admin},
		{"POST", "/v1/admin/users/import", `{"users":[]}`, "users", http.StatusBadRequest, admin},
		{"POST", "/v1/admin/revocations", `{"filter":{"client":7},"dry_run":true}`, "filter.client", http.StatusBadRequest, admin},
		{"POST", "/v1/admin/revocations", `{"filter":{"carrier":"fax"},"dry_run":true}`, "filter", http.StatusBadRequest, admin},
		{"POST", "/v1/admin/revocations", `{"filter":7,"dry_run":true}`, "filter", http.StatusBadRequest, admin},
	} {
		w := b.answer(c.method, c.path, c.body, c.header...)
		var p struct{ Field string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Field != c.field {
			t.Errorf("%s %s %s = %d %s, want %d about %q", c.method, c.path, c.body, w.Code, w.Body, c.status, c.field)
		}
	}
}

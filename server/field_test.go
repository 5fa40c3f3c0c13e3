package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

// A problem that is about one member of the body names it, and no other does.
func TestProblemNamesTheField(t *testing.T) {
	b := mailed(t)
	in := b.answer("POST", "/v1/login", `{"identifier":"ada@example.com","password":"`+pass+`","carrier":"bearer"}`)
	token := []string{"Authorization", "Bearer " + textOf(in.Body.String(), "access_token")}
	for _, c := range []struct {
		path, body, field string
		status            int
		header            []string
	}{
		{"/v1/register", `{"identifier":"ada@example.com","password":"a long afternoon at sea"}`, "identifier", http.StatusConflict, nil},
		{"/v1/register", `{"identifier":"a b","password":"a long afternoon at sea"}`, "identifier", http.StatusUnprocessableEntity, nil},
		{"/v1/register", `{"identifier":"carol","password":"short"}`, "password", http.StatusUnprocessableEntity, nil},
		{"/v1/login", `{"identifier":"ada@example.com","pass":"x"}`, "pass", http.StatusBadRequest, nil},
		{"/v1/login", `{"identifier":null}`, "identifier", http.StatusBadRequest, nil},
		{"/v1/login", `{"identifier":7}`, "identifier", http.StatusBadRequest, nil},
		{"/v1/login", `{"identifier":"ada@example.com","password":"not the one"}`, "", http.StatusUnauthorized, nil},
		{"/v1/login", `[]`, "", http.StatusBadRequest, nil},
		{"/v1/password", `{"current":"not the one","next":"a long afternoon at sea"}`, "current", http.StatusUnauthorized, token},
		{"/v1/password", `{"current":"` + pass + `","next":"short"}`, "next", http.StatusUnprocessableEntity, token},
		{"/v1/address", `{"address":"nowhere"}`, "address", http.StatusUnprocessableEntity, token},
	} {
		w := b.answer("POST", c.path, c.body, c.header...)
		var p struct{ Field string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Field != c.field {
			t.Errorf("%s %s = %d %s, want %d about %q", c.path, c.body, w.Code, w.Body, c.status, c.field)
		}
	}
}

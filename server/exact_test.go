package server_test

import (
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
)

// A parameter that a call does not have names less than the caller believes: DELETE …/sessions?client=shop ended the sessions of
// every client. It is refused, and the sessions live. An empty object is no body: many programs send one.
func TestWhatACallDoesNotTake(t *testing.T) {
	b := newBench(t)
	key := []string{"Authorization", "Bearer " + b.key}
	for _, target := range []string{"?client=shop", "?", "?client=shop&client=other"} {
		row := b.session("user-1", issuer.Request{Carrier: counterfoil.CarrierBearer})
		want := http.StatusBadRequest
		if target == "?" {
			want = http.StatusOK
		}
		if w := b.answer("DELETE", "/v1/admin/users/user-1/sessions"+target, "", key...); w.Code != want {
			t.Errorf("DELETE %s: %d %s, want %d", target, w.Code, w.Body, want)
		}
		if _, err := b.issuer.Session(t.Context(), row.Session.ID); (err == nil) == (want == http.StatusOK) {
			t.Errorf("after DELETE %s: the session: %v", target, err)
		}
	}
	if w := b.answer("DELETE", "/v1/admin/users/user-1/sessions", `{"client":"shop"}`, key...); w.Code != http.StatusBadRequest {
		t.Errorf("DELETE with a body: %d %s", w.Code, w.Body)
	}
	if w := b.answer("DELETE", "/v1/admin/users/user-1/sessions", " {}\n", key...); w.Code != http.StatusOK {
		t.Errorf("DELETE with an empty object: %d %s", w.Code, w.Body)
	}
}

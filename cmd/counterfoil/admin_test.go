package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// What a server cannot do now it says in a problem, and the command says what to do about that.
func TestHintForABusyServer(t *testing.T) {
	for problem, want := range map[string]string{"busy": "nothing was done", "store-unavailable": "log says why"} {
		s := httptest.NewServer(&refusal.Problem{Status: http.StatusServiceUnavailable, Type: problem, Title: "Anything"})
		_, err := (&api.Client{URL: s.URL, HTTP: s.Client()}).User(t.Context(), "usr_1")
		if hint := hintFor(err); !strings.Contains(hint, want) {
			t.Errorf("%s: %q, want %q", problem, hint, want)
		}
		s.Close()
	}
	if hint := hintFor(errors.New("another")); hint != "" {
		t.Errorf("another error: %q", hint)
	}
}

// A list of events says which verifiers do not have a revocation yet, and how many it does not name.
func TestConfirmedBy(t *testing.T) {
	behind := []api.Follower{{ID: "1f2e3d4c", Client: "orders"}, {ID: "aabbccdd"}}
	for want, in := range map[string]*api.InLog{
		"":            nil,
		"no verifier": {},
		"by all 3":    {Confirmed: 3, Verifiers: 3},
		"1 of 3, not yet: orders 1f2e3d4c, in the server aabbccdd":         {Confirmed: 1, Verifiers: 3, Behind: behind},
		"0 of 3, not yet: orders 1f2e3d4c, in the server aabbccdd, 1 more": {Verifiers: 3, Behind: behind},
	} {
		if got := confirmedBy(in); got != want {
			t.Errorf("confirmedBy(%v) = %q, want %q", in, got, want)
		}
	}
}

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

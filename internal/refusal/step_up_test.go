package refusal_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// parameters reads a challenge of one scheme (RFC 9110 section 11.6.1).
func parameters(challenge string) (scheme string, all map[string]string) {
	scheme, rest, _ := strings.Cut(strings.Join(strings.Fields(challenge), " "), " ")
	all = map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(rest, -1) {
		all[m[1]] = m[2]
	}
	return scheme, all
}

// A step-up is asked for exactly as the examples of RFC 9470 section 3 do it.
func TestStepUpChallenge(t *testing.T) {
	five := 5 * time.Second
	for _, c := range []struct {
		err     *refusal.StepUpError
		example string
	}{
		{&refusal.StepUpError{ACR: []string{"myACR"}}, `Bearer error="insufficient_user_authentication",
		  error_description="A different authentication level is required",
		  acr_values="myACR"`},
		{&refusal.StepUpError{MaxAge: &five}, `Bearer error="insufficient_user_authentication",
		  error_description="More recent authentication is required",
		  max_age="5"`},
	} {
		w := httptest.NewRecorder()
		refusal.For(c.err, false).ServeHTTP(w, nil)
		scheme, got := parameters(w.Result().Header.Get("WWW-Authenticate"))
		if wantScheme, want := parameters(c.example); w.Code != http.StatusUnauthorized || scheme != wantScheme || !maps.Equal(got, want) {
			t.Errorf("%d %s %v, want 401 %s %v", w.Code, scheme, got, wantScheme, want)
		}
	}
	both := refusal.For(&refusal.StepUpError{MaxAge: &five, ACR: []string{"a", "b"}}, false).At("https://api.example.com/x")
	if _, got := parameters(both.Challenge); got["acr_values"] != "a b" || got["max_age"] != "5" || got["resource_metadata"] != "https://api.example.com/x" {
		t.Errorf("both demands: %s", both.Challenge)
	}
}

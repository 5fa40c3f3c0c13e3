package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/gateway"
)

// askAll has a gateway ask the auth server at url all that it asks for visitors, and returns the answers that it took.
func askAll(t *testing.T, url string) (taken []string) {
	t.Helper()
	handover, err := gateway.RemoteHandover(url, "cfk_canary", nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := gateway.RemoteExchange(url, "cfk_canary", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := handover.Redeem(t.Context(), gateway.Redemption{Code: "canary", Verifier: "canary", Origin: app}); err == nil {
		taken = append(taken, c.Value)
	}
	if err := handover.End(t.Context(), "canary"); err == nil {
		taken = append(taken, "end")
	}
	if token, err := exchange(t.Context(), "canary", "web"); err == nil {
		taken = append(taken, token.Value)
	}
	return taken
}

// GW-15: what a gateway sends to the auth server, with its key and with secrets of visitors, goes nowhere else when that
// answers with a redirection.
func TestRemoteFollowsNoRedirection(t *testing.T) {
	var reached atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = w.Write([]byte(`{"credential":"x","access_token":"x"}`))
	}))
	t.Cleanup(stranger.Close)
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		auth := httptest.NewServer(http.RedirectHandler(stranger.URL, status))
		t.Cleanup(auth.Close)
		if taken := askAll(t, auth.URL); taken != nil || reached.Load() != 0 {
			t.Errorf("%d: %d requests went elsewhere, and %q was taken", status, reached.Load(), taken)
		}
	}
}

// GW-16: the answers have a bound.
func TestRemoteAnswerTooLong(t *testing.T) {
	for size, want := range map[int]string{0: "x|end|x", 100 << 10: "end"} { // nothing of the answer to an end is read
		auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"credential":"x","access_token":"x","more":"` + strings.Repeat("x", size) + `"}`))
		}))
		t.Cleanup(auth.Close)
		if taken := strings.Join(askAll(t, auth.URL), "|"); taken != want {
			t.Errorf("with %d bytes more, %q was taken, want %q", size, taken, want)
		}
	}
}

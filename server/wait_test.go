package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
)

// RVK-03, docs/revocation.md 4.7: wait "all" names the verifiers that it did not wait for,
// and is confirmed for all others.
func TestWaitAllNamesWhoServesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
		sid := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Session.ID
		key := []string{"Authorization", "Bearer " + b.key}
		for _, follow := range []string{"verifier=fails-closed&bound=5s", "verifier=serves-stale&bound=5s&serve_stale=true"} {
			if w := b.answer("GET", "/v1/log?"+follow, "", key...); w.Code != http.StatusOK {
				t.Fatalf("log = %d %s", w.Code, w.Body)
			}
		}
		w := b.answer("POST", "/v1/admin/revocations", `{"scope":"session","id":"`+sid+`","wait":"all"}`, key...)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(body, `"confirmed":true`) || !strings.Contains(body, `"not_waited_for":["serves-s"]`) {
			t.Errorf("revoke = %d %s", w.Code, body)
		}
		for n := range api.MaxNotWaitedFor + 2 { // beside the one that is there
			if w := b.answer("GET", fmt.Sprintf("/v1/log?verifier=stale-%03d&bound=5s&serve_stale=true", n), "", key...); w.Code != http.StatusOK {
				t.Fatalf("log = %d %s", w.Code, w.Body)
			}
		}
		w = b.answer("POST", "/v1/admin/revocations", `{"scope":"session","id":"`+sid+`","wait":"all"}`, key...)
		if body := w.Body.String(); !strings.Contains(body, `"not_waited_for_more":3`) {
			t.Errorf("with %d more, revoke = %d %s", api.MaxNotWaitedFor+2, w.Code, body)
		}
	})
}

// A verifier that accepts a sequence gets one (RFC 7464); one that does not, or does not wait, gets
// one page, as ever.
func TestLogIsASequenceForWhoAcceptsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
		for _, c := range []struct{ query, accept, media string }{
			{"?wait=1s", "application/json-seq, application/json", "application/json-seq"},
			{"?wait=1s", "Application/JSON-Seq;q=0.9, */*;q=0.1", "application/json-seq"},
			{"?wait=1s", "application/json-seq;q=0.5, application/json;q=0.8", "application/json"},
			{"?wait=1s", "*/*, application/json-seq;q=0", "application/json"},
			{"?wait=1s", "application/json", "application/json"},
			{"?wait=0s", "application/json-seq", "application/json"},
		} {
			w := b.answer("GET", "/v1/log"+c.query, "", "Authorization", "Bearer "+b.key, "Accept", c.accept)
			body := w.Body.String()
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != c.media || strings.HasPrefix(body, "\x1e{") != (c.media == "application/json-seq") {
				t.Errorf("%s, accepting %s: %d %v %q", c.query, c.accept, w.Code, w.Header(), body)
			}
		}
	})
}

// A verifier that says that it serves stale is not waited for: no word may be taken for a no
// that was meant as a yes, nor the other way.
func TestServeStaleIsOneWord(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	for query, want := range map[string]int{
		"": http.StatusOK, "&serve_stale=1": http.StatusOK, "&serve_stale=true": http.StatusOK,
		"&serve_stale=": http.StatusBadRequest, "&serve_stale=0": http.StatusBadRequest, "&serve_stale=false": http.StatusBadRequest,
		"&serve_stale=True": http.StatusBadRequest, "&serve_stale=yes": http.StatusBadRequest, "&serve_stale=1&serve_stale=1": http.StatusBadRequest,
	} {
		w := b.answer("GET", "/v1/log?verifier=somebody&bound=5s"+query, "", "Authorization", "Bearer "+b.key)
		if w.Code != want || want != http.StatusOK && !strings.Contains(w.Body.String(), "serve_stale") {
			t.Errorf("log with %q = %d %s, want %d", query, w.Code, w.Body, want)
		}
	}
}

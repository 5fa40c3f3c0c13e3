package ops

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// OPS-02, LOGIN-10: one line per request, with the client that the proxy names, and without any
// text of the request that could be a secret.
func TestAccessLog(t *testing.T) {
	var lines bytes.Buffer
	var draining atomic.Bool
	o := &observer{
		log: slog.New(slog.NewJSONHandler(&lines, nil)), metrics: NewMetrics(nil), quiet: []string{"GET /healthz"},
		trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, draining: &draining, base: "/auth",
	}
	mux := http.NewServeMux()
	seen := ""
	mux.HandleFunc("POST /v1/things/{id}", func(w http.ResponseWriter, r *http.Request) {
		seen = r.RemoteAddr
		w.Header().Set("X-Request-Id", "0123456789abcdef")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("short and stout"))
	})
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	h := o.wrap(mux)
	send := func(method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader("canary"))
		r.RemoteAddr = "10.0.0.1:4711"
		r.Header.Set("X-Forwarded-For", "canary, 203.0.113.9")
		r.Header.Set("Authorization", "Bearer canary")
		r.Header.Set("Cookie", "cf=canary")
		r.Header.Set("Referer", "https://a.test/canary")
		r.Header.Set("User-Agent", "canary")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if r.RemoteAddr != "10.0.0.1:4711" {
			t.Errorf("the caller's request was changed: %s", r.RemoteAddr)
		}
		return w
	}
	send("POST", "/v1/things/canary?token=canary")
	if seen != "203.0.113.9:0" {
		t.Errorf("the handler sees the peer %s", seen)
	}
	var got map[string]any
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, lines.Bytes())
	}
	for key, want := range map[string]any{
		"msg": "request", "request": "0123456789abcdef", "route": "POST /v1/things/{id}", "status": 418.0, "bytes": 15.0, "address": "203.0.113.9", "level": "INFO",
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
	send("GET", "/canary")
	send("BREW", "/x")
	if text := lines.String(); strings.Contains(text, "canary") || !strings.Contains(text, `"route":"none","status":404`) {
		t.Errorf("log: %s", text)
	}
	before := lines.Len()
	send("GET", "/healthz")
	if lines.Len() != before {
		t.Errorf("a probe is logged at info: %s", lines.String()[before:])
	}
	draining.Store(true)
	for _, path := range []string{"/readyz", "/auth/readyz"} {
		if w := send("GET", path); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Connection") != "close" {
			t.Errorf("%s while stopping = %d %v", path, w.Code, w.Header())
		}
	}
	// Envoy asks the gateway about a visitor's path, which may be the probe of another program.
	// The answer tells the client not to use its connection again, which is about to close.
	if w := send("GET", "/ext-authz/app/readyz"); w.Code != http.StatusNotFound || w.Header().Get("Connection") != "close" {
		t.Errorf("the probe of another program while stopping = %d %v, want the answer of the handler", w.Code, w.Header())
	}
}

// OPS-02: the line about a connection that was hijacked is written at its end, and says who ended it. So does
// that about an answer that was cut.
func TestAccessLogOfLongConnections(t *testing.T) {
	var lines bytes.Buffer
	o := &observer{log: slog.New(slog.NewJSONHandler(&lines, nil)), metrics: NewMetrics(nil), draining: new(atomic.Bool)}
	var end func(by string)
	h := o.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Pattern = r.URL.Path; r.Pattern == "/socket" {
			end = Detach(wrapped{w})
			return
		}
		EndedBy(wrapped{w}, "revoked")
		panic(http.ErrAbortHandler)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/socket", nil))
	if lines.Len() > 0 {
		t.Errorf("a line is written before the end: %s", lines.String())
	}
	end("client")
	func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/events", nil))
	}()
	for _, want := range []string{`"route":"/socket","status":101,`, `"ended_by":"client"}`, `"route":"/events","status":200,`, `"ended_by":"revoked"}`} {
		if strings.Count(lines.String(), want) != 1 {
			t.Errorf("the lines lack %s: %s", want, lines.String())
		}
	}
	Detach(httptest.NewRecorder())("client") // not the writer of an observer: nothing is logged
	EndedBy(httptest.NewRecorder(), "client")
}

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login/password"
)

const opsToken = "0123456789abcdef0123456789abcdef"

func newOps(t *testing.T, token string, public bool) (*state, http.Handler) {
	t.Helper()
	m := newMetrics()
	s := &state{
		now:  time.Now,
		load: func() password.Load { return password.Load{Slots: 2, Running: 1} },
		status: func(context.Context) (issuer.Status, error) {
			return issuer.Status{Head: counterfoil.Cursor{Epoch: 1, Seq: 9}, Entries: 3, Followers: []issuer.Follower{
				{ID: "verifier-one-whole-id", Acked: counterfoil.Cursor{Epoch: 1, Seq: 7}, Until: time.Now().Add(time.Hour)},
				{ID: "verifier-two-whole-id", Acked: counterfoil.Cursor{Epoch: 1, Seq: 2}, Until: time.Now().Add(-time.Minute)},
				{ID: "verifier-of-yesterday", Acked: counterfoil.Cursor{Epoch: 1, Seq: 1}, Until: time.Now().Add(-time.Hour)},
			}}, nil
		},
	}
	m.registry.MustRegister(s)
	m.request("GET /healthz", 200, time.Millisecond)
	m.connection(1, true)
	m.commits.WithLabelValues(outcome(nil)).Observe(1)
	m.sweeps.WithLabelValues(outcome(nil)).Observe(1)
	m.audited(func(audit.Entry) {})(audit.Entry{Action: audit.Login, Outcome: audit.Refused})
	probes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return s, opsHandler(m, s, probes, secret.New(token), public)
}

func ask(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://127.0.0.1:9464"+path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestOpsGuard(t *testing.T) { // OPS-07
	_, local := newOps(t, "", false)
	_, remote := newOps(t, opsToken, true)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/revocation"} {
		for name, c := range map[string]struct {
			handler http.Handler
			header  []string
			want    int
		}{
			"loopback":                       {local, nil, 200},
			"loopback by name":               {local, []string{"Host", "localhost:9464"}, 200},
			"a name bound to 127.0.0.1":      {local, []string{"Host", "evil.test"}, 403},
			"another site's page":            {local, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			"another port's page":            {local, []string{"Sec-Fetch-Site", "same-site"}, 403},
			"the address bar":                {local, []string{"Sec-Fetch-Site", "none"}, 200},
			"no token":                       {remote, nil, 401},
			"another token":                  {remote, []string{"Authorization", "Bearer " + opsToken + "0"}, 401},
			"the token as another scheme":    {remote, []string{"Authorization", "Basic " + opsToken}, 401},
			"an empty token":                 {remote, []string{"Authorization", "Bearer "}, 401},
			"the token":                      {remote, []string{"Authorization", "Bearer " + opsToken, "Host", "node7:9464"}, 200},
			"the token from another's page":  {remote, []string{"Authorization", "Bearer " + opsToken, "Sec-Fetch-Site", "cross-site"}, 403},
			"loopback without Host is no go": {local, []string{"Host", ""}, 403},
		} {
			if got := ask(c.handler, path, c.header...); got.Code != c.want {
				t.Errorf("%s from %s = %d, want %d", path, name, got.Code, c.want)
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := ask(remote, path); got.Code != http.StatusNoContent {
			t.Errorf("%s = %d, want the probe's answer", path, got.Code)
		}
	}
}

func TestOpsFigures(t *testing.T) { // REV-20
	s, h := newOps(t, "", false)
	body := ask(h, "/metrics").Body.String()
	for _, want := range []string{
		"counterfoil_build_info{", "counterfoil_log_head 9\n", "counterfoil_log_entries 3\n", "counterfoil_verifiers_following 1\n",
		"counterfoil_verifiers_lost 1\n", "counterfoil_verifiers_behind_entries 2\n", "counterfoil_store_reachable 1\n",
		"counterfoil_password_hash_slots 2\n", "counterfoil_password_hashes_running 1\n", "go_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	page := ask(h, "/debug/revocation").Body.String()
	if !strings.Contains(page, `"verifier": "verifier"`) || !strings.Contains(page, `"behind": 2`) || strings.Contains(page, "whole-id") {
		t.Errorf("/debug/revocation = %s", page)
	}
	s.status = func(context.Context) (issuer.Status, error) { return issuer.Status{}, errors.New("gone") }
	body = ask(h, "/metrics").Body.String()
	if !strings.Contains(body, "counterfoil_store_reachable 0\n") || strings.Contains(body, "counterfoil_log_head 9") {
		t.Error("/metrics without the store shows old figures")
	}
	if got := ask(h, "/debug/revocation"); got.Code != http.StatusServiceUnavailable {
		t.Errorf("/debug/revocation without the store = %d", got.Code)
	}
}

func TestConnectionsPerAddress(t *testing.T) { // OPS-06
	open, refused := 0, 0
	l := &limited{most: 2, held: map[netip.Addr]int{}, exempt: func(a netip.Addr) bool { return a.String() == "10.0.0.1" },
		count: func(n int, no bool) {
			open = n
			if no {
				refused++
			}
		}}
	from := func(addr string) *heldConn {
		c, _ := l.admit(fakeConn{addr: netip.MustParseAddrPort(addr)}).(*heldConn)
		return c
	}
	first := from("192.0.2.1:1")
	if first == nil || from("192.0.2.1:2") == nil || from("192.0.2.1:3") != nil || refused != 1 {
		t.Errorf("the third connection of an address was not refused (%d)", refused)
	}
	if from("192.0.2.2:1") == nil {
		t.Error("another address was refused")
	}
	for range 5 {
		if from("10.0.0.1:1") == nil {
			t.Error("a trusted proxy was refused")
		}
	}
	if from("[2001:db8::1]:1") == nil || from("[2001:db8::2]:1") == nil || from("[2001:db8::3]:1") != nil {
		t.Error("one /64 is not one address")
	}
	_ = first.Close()
	_ = first.Close() // gives the place back once
	if from("192.0.2.1:4") == nil || from("192.0.2.1:5") != nil {
		t.Error("closing did not give one place back")
	}
	if open != 10 {
		t.Errorf("open = %d, want 10", open)
	}
}

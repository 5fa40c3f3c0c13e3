package server_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// Readiness follows the store, and liveness does not: a restart would bring no store back.
func TestReadiness(t *testing.T) {
	b := newOutageBench(t)
	probe := func(path string, want int) {
		t.Helper()
		res, body := b.call("GET", path, "")
		if res.StatusCode != want || strings.Contains(body, storetest.ErrInjected.Error()) {
			t.Errorf("%s = %d %s, want %d and no cause", path, res.StatusCode, body, want)
		}
		if want == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s = %d without Retry-After", path, res.StatusCode)
		}
	}
	for range 2 {
		probe("/readyz", http.StatusOK)
		b.store.Inject(storetest.Fault{})
		probe("/readyz", http.StatusServiceUnavailable)
		probe("/healthz", http.StatusOK)
		b.store.Heal()
	}
	probe("/readyz", http.StatusOK)
}

// LOGIN-06: when the process that hashes dies over its work, and the next one too, that is
// an outage. It says nothing about the password or the user, is no failed attempt, and is
// over when hashing works again.
func TestHashingOutage(t *testing.T) {
	var dying atomic.Bool
	var started []*exec.Cmd
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true, HashSlots: 1, HashWorker: func(int) *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "SERVER_TEST_WORKER=1")
		if dying.Load() {
			c = exec.Command("sh", "-c", "read -r job") // takes it, and ends without having done it
		}
		started = append(started, c)
		return c
	}})
	login := func(identifier, password string) (int, string, http.Header) {
		w := b.answer("POST", "/v1/login", `{"identifier":"`+identifier+`","password":"`+password+`"}`)
		return w.Code, w.Body.String(), w.Header()
	}
	dying.Store(true)
	if err := started[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, first, _ := login("alice", pass)
	for range 4 { // more than an account may fail
		for identifier, password := range map[string]string{"alice": "not the password of alice", "nobody": pass} {
			code, body, header := login(identifier, password)
			if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || body != first || len(header.Values("Set-Cookie")) > 0 {
				t.Fatalf("login as %s = %d %v %s, want what alice got: %s", identifier, code, header, body, first)
			}
		}
	}
	if !strings.Contains(first, "urn:counterfoil:problem:unavailable") {
		t.Errorf("alice gets %s", first)
	}
	w := b.answer("POST", "/v1/register", `{"identifier":"newcomer","password":"`+pass+`"}`)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("register = %d %s", w.Code, w.Body)
	}
	page := b.form("/login", map[string][]string{"identifier": {"alice"}, "password": {pass}}, "Origin", "http://127.0.0.1:8080")
	if page.Code != http.StatusServiceUnavailable || page.Header().Get("Retry-After") == "" {
		t.Errorf("the page = %d %v", page.Code, page.Header())
	}
	dying.Store(false)
	if code, body, _ := login("alice", pass); code != http.StatusOK {
		t.Errorf("login when hashing works again = %d %s", code, body)
	}
	if log := b.log.String(); strings.Contains(log, pass) || !strings.Contains(log, "the process that hashes") {
		t.Errorf("the log does not tell why, or holds the password: %s", log)
	}
}

package faultnet_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

// Each request goes to the next target. When a target fails, no GET is lost, and no other
// request is done twice.
func TestBalancer(t *testing.T) {
	var served [3]atomic.Int64
	var dropped atomic.Int64
	var targets []string
	var servers []*httptest.Server
	for n := range served {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/readyz" {
				return
			}
			served[n].Add(1)
			if r.URL.Path == "/drop" && dropped.CompareAndSwap(0, 1) {
				panic(http.ErrAbortHandler)
			}
		}))
		defer s.Close()
		servers, targets = append(servers, s), append(targets, strings.TrimPrefix(s.URL, "http://"))
	}
	b, err := faultnet.Balance(targets...)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	status := func(method, path string) int { return statusOf(t, method, "http://"+b.Addr()+path) }
	for range 30 {
		if got := status("GET", "/"); got != http.StatusOK {
			t.Fatalf("GET = %d", got)
		}
	}
	for n := range served {
		if got := served[n].Load(); got < 5 {
			t.Errorf("target %d served %d of 30", n, got)
		}
	}
	before := served[0].Load() + served[1].Load() + served[2].Load()
	if got := status("POST", "/drop"); got != http.StatusBadGateway {
		t.Errorf("POST whose answer is lost = %d, want 502", got)
	}
	if n := served[0].Load() + served[1].Load() + served[2].Load() - before; n != 1 {
		t.Errorf("a POST was done %d times", n)
	}
	dropped.Store(0)
	if got := status("GET", "/drop"); got != http.StatusOK {
		t.Errorf("GET whose answer is lost once = %d", got)
	}
	servers[1].Close()
	for range 30 {
		for _, method := range []string{"GET", "POST"} {
			if got := status(method, "/"); got != http.StatusOK {
				t.Errorf("%s without one target = %d", method, got)
			}
		}
	}
}

func statusOf(t *testing.T, method, url string) int {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

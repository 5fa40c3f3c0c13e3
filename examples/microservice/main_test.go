package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/source"
)

func TestService(t *testing.T) {
	is := counterfoiltest.New(t)
	ctx, stop := context.WithCancel(t.Context())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- run(ctx, listener, is.URL, is.APIKey) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	call := func(path, token string) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	token := is.Token("alice")
	for path, want := range map[string]int{"/me": http.StatusOK, "/reports": http.StatusForbidden} {
		if got := call(path, token).StatusCode; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := call("/me", "junk").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("junk: %d, want 401", got)
	}

	// REV-18: the stream ends when the session is revoked.
	lines := bufio.NewScanner(call("/ticks", token).Body)
	if !lines.Scan() || lines.Text() != "data: tick" {
		t.Fatalf("stream begins with %q", lines.Text())
	}
	is.Revoke(source.ScopeSubject, "alice")
	last := ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if !strings.Contains(last, counterfoil.ErrRevoked.Error()) {
		t.Errorf("stream ends with %q", last)
	}
}

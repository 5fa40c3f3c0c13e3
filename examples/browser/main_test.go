package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
)

// The calls of the page, one after the other.
func TestPage(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- run(ctx, listener) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	base := "http://" + listener.Addr().String()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	call := func(method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin") // as a browser does for fetch
		r.Header.Set("Origin", base)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
		contains           string
	}{
		{"GET", "/app/", "", 200, "page.js"},
		{"GET", "/app/page.js", "", 200, "navigator.locks"},
		{"POST", "/api/hello", "", 401, "no-credential"},
		{"POST", "/v1/login", `{"identifier":"alice","password":"blue kettle under the stairs","carrier":"jwt-cookie"}`, 200, "session"},
		{"POST", "/api/hello", "", 200, "by jwt-cookie"},
		{"POST", "/v1/refresh", `{"refresh_nonce":"4fb0a5ee-0d5a-4a43-9d8e-5fbf3a2c7c11"}`, 200, "session"},
		{"POST", "/api/hello", "", 200, "by jwt-cookie"},
		{"POST", "/v1/logout", "", 204, ""},
		{"POST", "/api/hello", "", 401, ""},
	} {
		if got, body := call(c.method, c.path, c.body); got != c.want || !strings.Contains(body, c.contains) {
			t.Errorf("%s %s = %d %s, want %d and %q", c.method, c.path, got, body, c.want, c.contains)
		}
	}
}

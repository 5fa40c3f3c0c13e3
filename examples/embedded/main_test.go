package main

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

func TestApp(t *testing.T) {
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
	for _, c := range []struct {
		user string
		want int // of saving a note
	}{{"alice", http.StatusOK}, {"bob", http.StatusForbidden}} {
		jar, _ := cookiejar.New(nil)
		client := &http.Client{Jar: jar}
		post := func(path string, form url.Values) *http.Response {
			r, err := http.NewRequestWithContext(ctx, "POST", base+path, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", base)
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res
		}
		res, err := client.Get(base + "/notes?page=2")
		if err != nil || res.Request.URL.Path != "/login" {
			t.Fatalf("/notes without a session = %v, %v, want the sign-in page", res, err)
		}
		where := res.Request.URL.Query().Get("return_to")
		res = post("/login", url.Values{"identifier": {c.user}, "password": {"blue kettle under the stairs"}, "return_to": {where}})
		if got := res.Request.URL.RequestURI(); res.StatusCode != http.StatusOK || got != "/notes?page=2" {
			t.Errorf("after signing in %s is at %s, %s, want the page that was asked for", c.user, got, res.Status)
		}
		if got := post("/notes", nil).StatusCode; got != c.want {
			t.Errorf("%s saves a note: %d, want %d", c.user, got, c.want)
		}
		post("/logout", nil)
		if res, err := client.Get(base + "/notes"); err != nil || res.Request.URL.Path != "/login" {
			t.Errorf("%s is still signed in after signing out", c.user)
		}
	}
}

package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
)

// OPS-01: a body that a server has read prints no secret, and does not contain the secret when
// it is written again.
func TestHidden(t *testing.T) {
	sent, err := json.Marshal(api.Login[string]{Identifier: "alice", Password: "canary"})
	if err != nil {
		t.Fatal(err)
	}
	var read api.Login[api.Hidden]
	if err := json.Unmarshal(sent, &read); err != nil || read.Identifier != "alice" || read.Password.Reveal() != "canary" {
		t.Fatalf("read %v, %v", read, err)
	}
	again, err := json.Marshal(read)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", read, read, read), string(again)} {
		if strings.Contains(text, "canary") || err != nil {
			t.Errorf("%s, %v", text, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"password":["canary"]}`), &read); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a list as the password: %v", err)
	}
}

// The tests of cmd/counterfoil and prove call the real handlers by each method. This test has
// the answers that the handlers do not give.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"a problem":        {404, `{"title":"Not found","status":200}`, "not found"},
		"with detail":      {400, `{"title":"Bad request","detail":"Name it."}`, "bad request: Name it"},
		"an abbreviation":  {422, `{"title":"API key is not acceptable"}`, "API key is not acceptable"},
		"an article":       {400, `{"title":"A sign-in may not"}`, "a sign-in may not"},
		"a proxy's page":   {502, `<html>`, "status 502 Bad Gateway"},
		"another's JSON":   {500, `{"error":"x"}`, "status 500 Internal Server Error"},
		"nothing":          {503, ``, "status 503 Service Unavailable"},
		"2xx without JSON": {200, `<html>`, "answer to GET /v1/admin/users/usr_a: invalid character"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		_, err := (&api.Client{URL: s.URL, HTTP: s.Client()}).User(t.Context(), "usr_a")
		s.Close()
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		refused, isError := errors.AsType[*api.Error](err)
		if isError != (c.status != 200) || isError && (refused.Status != c.status || refused.RetryAfter != 3*time.Second) {
			t.Errorf("%s: %#v", name, err)
		}
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := (&api.Client{URL: "http://127.0.0.1:1", HTTP: http.DefaultClient}).DeleteUser(ended, "usr_a"); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("no server: %v", err)
	}
}

// An id with special characters stays one element of the path, and a value stays one value of
// the query.
func TestPaths(t *testing.T) {
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI
		fmt.Fprint(w, `{}`)
	}))
	defer s.Close()
	c := &api.Client{URL: s.URL, HTTP: s.Client()}
	if _, _, err := c.UserSessions(t.Context(), "../a?b#c"); err != nil || asked != "/v1/admin/users/..%2Fa%3Fb%23c/sessions?limit=200" {
		t.Errorf("asked for %s, %v", asked, err)
	}
	for _, err := range c.Audit(t.Context(), api.Events{Subject: "a&limit=1", Actions: []string{"login", "x&y"}}) {
		t.Error(err)
	}
	if asked != "/v1/admin/audit?action=login%2Cx%26y&limit=200&subject=a%26limit%3D1" {
		t.Errorf("asked for %s", asked)
	}
}

// A list goes on after a page without entries, ends with an error, and asks for no page that
// nobody wants. A count says whether there is more.
func TestPages(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cursor := r.FormValue("cursor")
		asked = append(asked, cursor)
		body, ok := map[string]string{
			"":  `{"users":[{"id":"a"},{"id":"b"}],"sessions":3,"next":"2"}`,
			"2": `{"users":[],"sessions":0,"next":"3"}`,
			"3": `{"users":[{"id":"c"}],"sessions":1,"next":"4"}`,
		}[cursor]
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, body)
	}))
	defer s.Close()
	c := &api.Client{URL: s.URL, HTTP: s.Client()}
	list := func(most int) (got string) {
		asked = nil
		for u, err := range c.Users(t.Context()) {
			if err != nil {
				return got + "!"
			}
			if got += u.ID; len(got) == most {
				break
			}
		}
		return got
	}
	if got := list(0); got != "abc!" || len(asked) != 4 {
		t.Errorf("listed %q by %q", got, asked)
	}
	if got := list(2); got != "ab" || len(asked) != 1 {
		t.Errorf("two of them: %q by %q", got, asked)
	}
	asked = nil
	if n, more, err := c.WouldEnd(t.Context(), "all", "", 3); n.Sessions != 4 || !more || err != nil || len(asked) != 3 {
		t.Errorf("WouldEnd = %+v, %t, %v by %q", n, more, err, asked)
	}
}

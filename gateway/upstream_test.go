package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
)

// balanced is a gateway in front of several upstreams, for everybody.
type balanced struct {
	*testing.T
	gateway *gateway.Gateway
	route   gateway.Route
}

func newBalanced(t *testing.T, route gateway.Route) *balanced {
	route.Origin, route.Prefix, route.Anonymous = app, "/", true
	g, err := gateway.New(gateway.Options{Verifier: counterfoiltest.New(t).Verifier(), Routes: []gateway.Route{route}})
	if err != nil {
		t.Fatal(err)
	}
	return &balanced{t, g, route}
}

func (b *balanced) ask(method, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, app+"/x", strings.NewReader(body))
	r.RequestURI = "/x" // as a server has it; the URL has made its TLS
	r.Host = "app.example.com"
	w := httptest.NewRecorder()
	b.gateway.Proxy().ServeHTTP(w, r)
	return w
}

// named starts an upstream that answers with its name and the body that it got.
func named(t *testing.T, name string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, name+string(body))
	}))
	t.Cleanup(s.Close)
	return s
}

// rude starts an upstream that reads a request and then ends the connection. It counts them.
func rude(t *testing.T, before string) (url string, asked *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				asked.Add(1)
				_, _ = io.WriteString(c, before)
			}
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); served.Wait() })
	return "http://" + l.Addr().String(), asked
}

// closed is the URL of an upstream at which nothing listens.
func closed(t *testing.T) string {
	s := httptest.NewServer(nil)
	s.Close()
	return s.URL
}

// The upstream with fewer requests under way gets the next one.
func TestLeastPending(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		_, _ = io.WriteString(w, "busy")
	}))
	t.Cleanup(busy.Close)
	b := newBalanced(t, gateway.Route{Upstreams: []string{busy.URL, named(t, "free").URL}})
	first := make(chan string)
	for taken := false; !taken; { // the first or the second request goes there
		go func() { first <- b.ask("GET", "").Body.String() }()
		select {
		case <-entered:
			taken = true
		case <-first:
		}
	}
	for range 10 {
		if got := b.ask("GET", "").Body.String(); got != "free" {
			t.Errorf("%q answers, want the upstream that has nothing to do", got)
		}
	}
	close(leave)
	if got := <-first; got != "busy" {
		t.Errorf("the first answer is %q", got)
	}
}

// A request that no upstream can have got goes to another one, whatever it is. One that may have
// arrived goes there only if it may be done twice.
func TestAnotherUpstream(t *testing.T) {
	silent, asked := rude(t, "")
	half, _ := rude(t, "HTTP/1.1 200 OK\r\nContent-Le")
	for _, c := range []struct {
		first, method, body string
		status              int
		want                string
	}{
		{closed(t), "GET", "", 200, "good"},
		{closed(t), "POST", "body", 200, "goodbody"},
		{silent, "GET", "", 200, "good"},
		{silent, "DELETE", "", 200, "good"},
		{silent, "POST", "", 502, ""},
		{silent, "PUT", "body", 502, ""},
		{half, "GET", "", 502, ""}, // an answer had begun
	} {
		good := named(t, "good")
		b := newBalanced(t, gateway.Route{Upstreams: []string{c.first, good.URL}})
		failed := false
		for range 2 { // one after the other: one of the two begins with the first
			w := b.ask(c.method, c.body)
			if w.Code == 200 && w.Body.String() != "good"+c.body {
				t.Errorf("%s %s: %q", c.first, c.method, w.Body)
			}
			failed = failed || w.Code != 200
			if w.Code != 200 && w.Code != c.status {
				t.Errorf("%s %s = %d, want %d", c.first, c.method, w.Code, c.status)
			}
		}
		if failed != (c.status != 200) {
			t.Errorf("%s %s: failed %v, want %d", c.first, c.method, failed, c.status)
		}
	}
	if got := asked.Load(); got != 4 {
		t.Errorf("the silent upstream got %d requests, want each once", got)
	}
	if w := newBalanced(t, gateway.Route{Upstreams: []string{closed(t), closed(t)}}).ask("GET", ""); w.Code != 502 {
		t.Errorf("no upstream at all = %d, want 502", w.Code)
	}
}

// An upstream that does not answer in time is 504, and it is not asked twice.
func TestUpstreamTooSlow(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(slow.Close)
	b := newBalanced(t, gateway.Route{Upstreams: []string{slow.URL, named(t, "good").URL}, Timeouts: gateway.Timeouts{Answer: 50 * time.Millisecond}})
	late := 0
	for range 2 {
		if w := b.ask("GET", ""); w.Code == 504 {
			late++
		}
	}
	if late != 1 {
		t.Errorf("%d answers are 504, want 1", late)
	}
}

// An upstream that is ill gets nothing until it is well again. If all are ill, the answer is 503.
func TestHealth(t *testing.T) {
	var ill atomic.Bool
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" && ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, "sick")
	}))
	t.Cleanup(sick.Close)
	well := named(t, "well")
	b := newBalanced(t, gateway.Route{Upstreams: []string{sick.URL, well.URL}, Health: gateway.Health{Path: "/health", Interval: 100 * time.Millisecond}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.gateway.CheckHealth(ctx) }()
	answers := func() (all string) {
		for range 4 {
			w := b.ask("GET", "")
			all += w.Body.String()
			if w.Code == 503 {
				all += "none"
			}
		}
		return all
	}
	until := func(what string, good func(string) bool) {
		t.Helper()
		for range 5000 {
			if good(answers()) {
				return
			}
		}
		t.Errorf("%s: %s", what, answers())
	}
	ill.Store(true)
	until("one is ill", func(all string) bool { return all == "wellwellwellwell" })
	well.Close()
	until("both are ill", func(all string) bool { return strings.Count(all, "none") == 4 })
	ill.Store(false)
	until("one is well again", func(all string) bool { return all == "sicksicksicksick" })
	// New routes are looked at, too.
	ill.Store(true)
	b.route.Health.Path = "/other"
	if err := b.gateway.SetRoutes([]gateway.Route{b.route}); err != nil {
		t.Fatal(err)
	}
	until("the new path says that it is well", func(all string) bool { return all == "sicksicksicksick" })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// New routes take the place of the old ones at once, keep connections to upstreams that stay, and
// change nothing if one of them is wrong.
func TestSetRoutes(t *testing.T) {
	var connections atomic.Int64
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	service.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	service.Start()
	t.Cleanup(service.Close)
	b := newBalanced(t, gateway.Route{Upstreams: []string{service.URL}})
	ask := func() int { return b.ask("GET", "").Code }
	if got := ask(); got != 200 {
		t.Fatal(got)
	}
	closer := b.route
	closer.Methods = []string{"POST"}
	noExchange := []gateway.Route{{Origin: app, Prefix: "/", BFF: "web", Upstreams: []string{"http://other.example"}, Timeouts: gateway.Timeouts{Connect: time.Second}}}
	for _, wrong := range [][]gateway.Route{nil, {closer, {Origin: app, Prefix: "/x", Upstreams: []string{"http://a/b"}}}, {{Origin: app, Prefix: "x"}}, noExchange} {
		if err := b.gateway.SetRoutes(wrong); err == nil || ask() != 200 {
			t.Errorf("%v: %v, then %d", wrong, err, ask())
		}
	}
	if err := b.gateway.SetRoutes([]gateway.Route{closer}); err != nil || ask() != 403 {
		t.Errorf("a rule that is new: %v, then %d", err, ask())
	}
	if err := b.gateway.SetRoutes([]gateway.Route{b.route}); err != nil || ask() != 200 || connections.Load() != 1 {
		t.Errorf("back: %v, then %d, with %d connections, want 1", err, ask(), connections.Load())
	}
}

package server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

// The page and the JSON name the target of a check that has show_target, and no form names another one. A check in a
// maintenance is shown as such, whether it works or not.
func TestStatusOfTargets(t *testing.T) {
	r := newRunning(t)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(target.Close)
	f, err := monitor.Parse("monitor.yaml", []byte(`
inside: [127.0.0.1]
checks:
  - {name: web, http: '`+target.URL+`/shown', down: 1, public: true, show_target: true}
  - {name: blog, http: '`+target.URL+`/canary', down: 1, public: true}
  - {name: wiki, http: '`+target.URL+`/canary', down: 1, public: true}
maintenance:
  - {name: move, checks: [wiki], once: '`+time.Now().Add(-time.Hour).Format(time.RFC3339)+`', for: 24h}
status: {}
`))
	must(t, err)
	f.Channels = slices.Clone(r.embedded.Monitor().File().Channels)
	f.Channels[0].Only = []monitor.EventKind{monitor.WentDown}
	must(t, r.embedded.SetMonitor(f))
	var heard []string
	for range 2 {
		select {
		case got := <-r.told:
			heard = append(heard, got)
		case <-time.After(30 * time.Second):
			t.Fatalf("heard only %q", heard)
		}
	}
	if slices.Sort(heard); !slices.Equal(heard, []string{"monitor.down blog", "monitor.down web"}) {
		t.Fatalf("heard %q", heard)
	}
	_, s := r.status()
	if len(s.Checks) != 3 || len(s.Incidents) != 2 {
		t.Fatalf("%+v", s)
	}
	for n, want := range []struct{ name, status, target string }{{"web", "down", target.URL + "/shown"}, {"blog", "down", ""}, {"wiki", "maintenance", ""}} {
		if c := s.Checks[n]; c.Name != want.name || c.Status != want.status || c.Target != want.target {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	for path, has := range map[string][]string{
		"/status":                {`<code>` + target.URL + `/shown</code>`, `<span class="condition maintenance">Maintenance</span>`},
		"/status.json":           {`"` + target.URL + `/shown"`},
		"/status.atom":           {"<entry>"},
		"/status/badge/web.svg":  {"down"},
		"/status/badge/blog.svg": {"down"},
		"/status/badge/wiki.svg": {"maintenance"},
	} {
		w := r.answer("GET", path, "", "Accept-Language", "en")
		body := w.Body.String()
		if w.Code != http.StatusOK || strings.Contains(body, "canary") || strings.Count(body, strings.TrimPrefix(target.URL, "http://")) != strings.Count(body, "/shown") {
			t.Errorf("%s = %d, and shows what it must not: %s", path, w.Code, body)
		}
		for _, text := range has {
			if !strings.Contains(body, text) {
				t.Errorf("%s lacks %q: %s", path, text, body)
			}
		}
	}
}

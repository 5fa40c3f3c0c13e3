package monitor_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/monitor"
)

// BenchmarkHTTP is one run of an http check, with the target in the same process.
func BenchmarkHTTP(b *testing.B) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) }))
	b.Cleanup(web.Close)
	f, err := monitor.Parse("monitor.yaml", []byte(strings.ReplaceAll("inside: [127.0.0.1]\nchecks: [{name: a, http: URL, expect: {json: {/status: ok}}}]", "URL", "'"+web.URL+"'")))
	if err != nil {
		b.Fatal(err)
	}
	c, err := outward.New(outward.Options{Allow: f.Inside})
	if err != nil {
		b.Fatal(err)
	}
	m, err := monitor.New(f, monitor.Options{Keeper: new(monitor.Memory), Dial: c.DialContext})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := m.Once(b.Context()); !r[0].OK {
			b.Fatal(r[0])
		}
	}
}

package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/monitor"
)

// The metrics of other probers say what the last run of each check found: whether it passed, how long it took, and when
// the certificate ends that it saw.
func TestProbeMetrics(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), fmt.Appendf(nil, `inside: [127.0.0.1]
checks:
- {name: web, http: '%[1]s/', tls_options: {ca: ca.pem}}
- {name: broken, http: '%[1]s/broken', tls_options: {ca: ca.pem}}
- {name: port, tcp: '%[2]s'}
- {name: closed, tcp: '127.0.0.1:1'}
`, web.URL, web.Listener.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics(func() uint64 { return 0 })
	shown := newMonitorMetrics(m.Registry)
	ran := make(chan monitor.Result, 100)
	watched, err := monitor.New(file, monitor.Options{Keeper: new(monitor.Memory), Dial: new(net.Dialer).DialContext, Ran: func(c *monitor.Check, r monitor.Result) {
		shown.ran(c, r)
		ran <- r
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := shown.show(watched); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = watched.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	took := map[string]float64{}
	for len(took) < 4 {
		r := <-ran
		took[r.Check] = r.Took.Seconds()
	}
	body := scrape(t, m)
	value := func(name, check, kind string) (v float64, found bool) {
		match := regexp.MustCompile(`(?m)^` + name + `\{check="` + check + `",kind="` + kind + `"\} (\S+)$`).FindStringSubmatch(body)
		if match == nil {
			return 0, false
		}
		v, err := strconv.ParseFloat(match[1], 64)
		return v, err == nil
	}
	for check, want := range map[string]struct {
		kind    string
		success float64
		secure  bool
	}{"web": {"http", 1, true}, "broken": {"http", 0, true}, "port": {"tcp", 1, false}, "closed": {"tcp", 0, false}} {
		if got, found := value("probe_success", check, want.kind); !found || got != want.success {
			t.Errorf("probe_success of %s is %v, %v", check, got, found)
		}
		if got, found := value("probe_duration_seconds", check, want.kind); !found || got <= 0 || want.success == 1 && got != took[check] {
			t.Errorf("probe_duration_seconds of %s is %v, %v: it took %v", check, got, found, took[check])
		}
		if got, found := value("probe_ssl_earliest_cert_expiry", check, want.kind); found != want.secure || found && got != float64(web.Certificate().NotAfter.Unix()) {
			t.Errorf("probe_ssl_earliest_cert_expiry of %s is %v, %v", check, got, found)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

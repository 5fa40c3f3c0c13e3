package e2e_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

var leaderKills = flag.Int("e2e.leaderkills", 10, "how often the node that runs the checks is killed")

const webhookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// receiver is the program examples/webhook, which prints each alert once.
type receiver struct {
	url    string
	output output
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhook")
	if out, err := exec.Command("go", "build", "-C", "..", "-o", path, "./examples/webhook").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	r := &receiver{}
	address := testsvc.FreeAddress(t)
	cmd := exec.Command(path, "--listen", address)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "WEBHOOK_SECRET="+webhookSecret), &r.output, &r.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r.output.await(t, "listening", 1)
	r.url = "http://" + address
	return r
}

// alerts are the types and checks of what was printed, and the ids.
func (r *receiver) alerts() (all, ids []string) {
	for _, m := range regexp.MustCompile(`(?m)^(\S+) (monitor\.\S+) "([^"]*)"`).FindAllStringSubmatch(r.output.String(), -1) {
		all, ids = append(all, m[2]+" "+m[3]), append(ids, m[1])
	}
	return all, ids
}

// leader returns the index of the node that runs the checks; -1: none answers so.
func (c *cluster) leader() int {
	for i, n := range c.nodes {
		r, err := http.NewRequest(http.MethodGet, "http://"+n.address+"/v1/admin/monitor", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.key)
		res, err := c.web.Do(r)
		if err != nil {
			continue
		}
		var all struct{ Leads bool }
		err = json.NewDecoder(res.Body).Decode(&all)
		_ = res.Body.Close()
		if err == nil && all.Leads {
			return i
		}
	}
	return -1
}

// Two nodes watch endpoints. Again and again one of these goes down, and the node that runs the checks is
// killed, at each of three moments in turn: before a check finds that out, when one does, and when people were
// told. Each alert arrives, under one id.
func TestLeaderOfMonitorKilled(t *testing.T) {
	t.Parallel()
	people := startReceiver(t)
	down := make([]atomic.Bool, *leaderKills)
	found := make([]chan struct{}, len(down)) // has one after a check has found it down
	for n := range found {
		found[n] = make(chan struct{}, 1)
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			w.WriteHeader(http.StatusNotFound)
		} else if down[n].Load() {
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush()
			select {
			case found[n] <- struct{}{}:
			default:
			}
		}
	}))
	t.Cleanup(target.Close)
	dir := t.TempDir()
	var checks strings.Builder
	for n := range down {
		fmt.Fprintf(&checks, "  - {name: c%d, http: '%s/%d', every: 10s, down: 1, up: 1, public: true}\n", n, target.URL, n)
	}
	for name, text := range map[string]string{
		"hook.secret":  webhookSecret + "\n",
		"monitor.yaml": "inside: [127.0.0.1]\nchecks:\n" + checks.String() + "channels:\n  - {name: people, webhook: '" + people.url + "/', secret_file: hook.secret}\nstatus: {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := startCluster(t, engines["postgres"](t), 2, 10*time.Second, "--monitor", filepath.Join(dir, "monitor.yaml"))
	var longest time.Duration
	for n := range down {
		c.eventually("a node that runs the checks", func() bool { return c.leader() >= 0 })
		lead := c.leader()
		down[n].Store(true)
		switch n % 3 {
		case 1:
			select {
			case <-found[n]:
			case <-time.After(hung):
				t.Fatalf("no check finds that c%d is down", n)
			}
		case 2:
			people.output.await(t, fmt.Sprintf("monitor.down \"c%d\"", n), 1)
		}
		c.nodes[lead].end(os.Kill)
		killed := time.Now()
		c.eventually("the other node", func() bool { at := c.leader(); return at >= 0 && at != lead })
		longest = max(longest, time.Since(killed))
		people.output.await(t, fmt.Sprintf("monitor.down \"c%d\"", n), 1)
		c.start(c.nodes[lead])
	}
	for n := range down {
		down[n].Store(false)
	}
	for n := range down {
		people.output.await(t, fmt.Sprintf("monitor.up \"c%d\"", n), 1)
	}
	c.eventually("an empty outbox", func() bool {
		var box struct{ Waiting, Dead int }
		r, _ := http.NewRequest(http.MethodGet, c.url+"/v1/admin/outbox", nil)
		r.Header.Set("Authorization", "Bearer "+c.key)
		res, err := c.web.Do(r)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		if json.NewDecoder(res.Body).Decode(&box) != nil || box.Dead > 0 {
			return false
		}
		return box.Waiting == 0
	})
	all, ids := people.alerts()
	seen, once := map[string]int{}, map[string]bool{}
	for i := range all {
		seen[all[i]]++
		once[ids[i]] = true
	}
	for n := range down {
		for _, kind := range []string{"down", "up"} {
			if got := seen[fmt.Sprintf("monitor.%s c%d", kind, n)]; got != 1 {
				t.Errorf("%s of c%d was told %d times", kind, n, got)
			}
		}
	}
	if len(once) != 2*len(down) || len(all) != 2*len(down) {
		t.Errorf("%d alerts with %d ids, want %d:\n%s", len(all), len(once), 2*len(down), &people.output)
	}
	if longest > 30*time.Second {
		t.Errorf("the other node led after %v", longest)
	}
	t.Logf("%d kills: %d alerts, each with one id; another node led after at most %v", len(down), len(all), longest.Round(time.Second/10))
}

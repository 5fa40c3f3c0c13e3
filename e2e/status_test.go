package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

const statusChecks = `inside: [127.0.0.1]
checks:
- {name: shop, title: "%s", push: push0, every: 1h, down: 1, up: 1, public: true}
- {name: reports, title: "%s", group: "%s", push: push1, every: 1h, down: 1, up: 1, public: true}
- {name: quiet, title: Nightly backup, group: Jobs, push: push2, every: 24h, public: true}
- {name: hidden, push: push3, every: 1h}
channels: [{name: ops, webhook: 'http://127.0.0.1:1/', secret_file: hook.secret}]
status: {title: "%s"}
`

// watching is a server in this process with a status page, whose checks the test calls for. Its clock is ahead.
type watching struct {
	t     *testing.T
	url   string
	auth  *server.Embedded
	store *storetest.FaultyStore
	ahead atomic.Int64
	key   string
}

func startWatching(t *testing.T) *watching {
	t.Helper()
	w := &watching{t: t, store: storetest.Faulty(memory.New())}
	dir := t.TempDir()
	files := map[string]string{"hook.secret": webhookSecret, "monitor.yaml": fmt.Sprintf(statusChecks, strings.Repeat("wolfeschlegelsteinhausenbergerdorff", 3), rightName, longName, longName)}
	for n := range 4 {
		files[fmt.Sprint("push", n)] = pushOf(n)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := monitor.Read(filepath.Join(dir, "monitor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/as" {
			out.Header().Set("Set-Cookie", r.URL.RawQuery+"; Path=/; HttpOnly; SameSite=Lax")
			http.Redirect(out, r, "/", http.StatusSeeOther)
			return
		}
		w.auth.ServeHTTP(out, r)
	}))
	t.Cleanup(web.Close)
	w.url = web.URL
	w.auth, err = server.Open(t.Context(), server.Config{
		Store: w.store, URL: web.URL, InsecureHashes: true, NoVerifier: true, Monitor: file, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.auth.Close() })
	_, key, err := w.auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "test", Scopes: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	w.key = key.Reveal()
	return w
}

func pushOf(n int) string { return fmt.Sprintf("%d123456789abcdef0123456789abcdef", n) }

// post sends a request that succeeds.
func (w *watching) post(path, body string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.key)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		w.t.Fatalf("POST %s = %s", path, res.Status)
	}
}

// The status page in each state, for everybody, at each width, light and dark, and enlarged to
// 200 %: it keeps the rules of every page, and axe finds nothing. The console's pages of the outbox and the monitor, too.
func TestStatusInABrowser(t *testing.T) {
	t.Parallel()
	w := startWatching(t)
	axe := axeSource(t)
	with, without := newBrowser(t, look{"", 1280, false, true}), newBrowser(t, look{"", 1280, false, false})
	for _, b := range []*browser{with, without} { // which may show the status page again for a quarter of a minute
		if _, err := chromedp.Call(b.ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}); err != nil {
			t.Fatal(err)
		}
	}
	see := func(state, path, text string) {
		t.Helper()
		for b, l := range map[*browser]string{with: "", without: "-noscript"} {
			if b == without && state != "down" { // the page has no script of its own
				continue
			}
			for begun := time.Now(); ; { // until the server has looked again: the clock of the test makes what it knew old
				w.ahead.Add(int64(6 * time.Second))
				b.do(chromedp.Navigate(w.url + path))
				b.until(`document.readyState === "complete"`)
				if strings.Contains(b.text(), text) {
					break
				}
				if time.Since(begun) > hung {
					t.Fatalf("%s: the page never had %q: %s", state, text, b.text())
				}
			}
			for _, device := range []look{{"desktop-light", 1280, false, true}, {"desktop-dark", 1280, true, true}, {"phone-light", 390, false, true}, {"phone-dark", 390, true, true}, {"zoom-200", 640, false, true}} {
				b.dress(device)
				at := "status-" + state + "-" + device.name + l
				b.inspect(at)
				if b == with {
					b.axe(axe, at)
				}
				b.picture(at)
			}
			b.tabThrough("status-" + state + l)
		}
	}
	see("unknown", "/status", "Not known")
	for n := range 4 {
		w.post("/v1/push/"+pushOf(n), "")
	}
	see("up", "/status", "Everything works")
	w.post("/v1/push/"+pushOf(1)+"?status=down&message=canary", "")
	w.post("/v1/admin/monitor/incidents", `{"title":"`+longName+`","text":"We see slow answers,\nand look at it."}`)
	see("down", "/status", "and look at it.")
	if shown := with.text(); strings.Contains(shown, "canary") || strings.Contains(shown, "hidden") {
		t.Errorf("the page shows what it must not: %s", shown)
	}
	w.store.Inject(storetest.Fault{})
	w.ahead.Add(int64(3 * time.Minute))
	see("store-away", "/status", "This is what was known")
	w.store.Heal()

	rec, err := w.auth.Outbox().Record(outbox.Draft{Kind: "test", About: "a reset that nobody gets", Subject: "usr_nobody", Payload: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	w.auth.Outbox().Handle("test", func(context.Context, outbox.Item) error {
		defer close(dead)
		return &outbox.Failure{Reason: "recipient: the server says 550 5.1.1 " + longName, Permanent: true}
	})
	if _, err := w.store.Commit(t.Context(), store.Batch{Put: []store.Record{rec}}); err != nil {
		t.Fatal(err)
	}
	w.auth.Outbox().Wake()
	<-dead
	with.do(chromedp.Navigate(w.url + "/as?" + source.InsecureCookieName + "=" + asRole(t, w.auth, "admin")))
	see("console-monitor", "/admin/monitor", "and look at it.")
	see("console-check", "/admin/monitor/checks/reports", "canary")
	see("console-outbox", "/admin/outbox", "a reset that nobody gets")
	see("console-mute", "/admin/monitor/checks/reports/mute", "For how many hours")
	see("console-note", "/admin/new/incident", "What is known")
}

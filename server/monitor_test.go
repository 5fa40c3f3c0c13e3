package server_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

const pushID = "0123456789abcdef0123456789abcdef"

// checks is a file of a monitor whose alerts go to a webhook. Its public check is called by the test.
func checks(t *testing.T, webhook string) *monitor.File {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"push.id": pushID, "hidden.id": "f" + pushID[1:], "hook.secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
	}
	f, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte(`
inside: [127.0.0.1]
checks:
  - {name: shop, title: `+strconv.Quote(hostile)+`, group: Sales, push: push.id, every: 1h, down: 1, public: true}
  - {name: hidden, title: Canary, push: hidden.id, every: 1h, down: 1}
channels:
  - {name: ops, webhook: '`+webhook+`', secret_file: hook.secret}
status: {title: `+strconv.Quote(hostile)+`}
`))
	must(t, err)
	return f
}

// incident announces one.
func (b *bench) incident(title string) (id string) {
	b.Helper()
	body, err := json.Marshal(map[string]string{"title": title, "text": title})
	must(b.T, err)
	w := b.answer("POST", "/v1/admin/monitor/incidents", string(body), "Authorization", "Bearer "+b.key)
	var made struct{ ID string }
	must(b.T, json.Unmarshal(w.Body.Bytes(), &made))
	if made.ID == "" {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
	return made.ID
}

// running is a server that runs in the background, over a store that fails when it is told.
type running struct {
	*bench
	store *storetest.FaultyStore
	later atomic.Int64 // by how much the clock is ahead
	told  chan string  // the types and checks of the webhooks
}

func newRunning(t *testing.T) *running {
	t.Helper()
	r := &running{store: storetest.Faulty(memory.New()), told: make(chan string, 100)}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		var body struct {
			Type string
			Data struct{ ID, Check string }
		}
		data, _ := io.ReadAll(in.Body)
		must(t, json.Unmarshal(data, &body))
		if id := in.Header.Get("Webhook-Id"); id != body.Data.ID || id == "" {
			t.Errorf("webhook-id %q, the event %q", id, body.Data.ID)
		}
		r.told <- body.Type + " " + body.Data.Check
	}))
	t.Cleanup(hook.Close)
	r.bench = &bench{T: t, url: "http://127.0.0.1:8080"}
	r.open(server.Config{
		Store: r.store, SealKey: [32]byte{1}, URL: r.url, InsecureHashes: true, NoVerifier: true, Monitor: checks(t, hook.URL),
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, Now: func() time.Time { return time.Now().Add(time.Duration(r.later.Load())) },
	})
	return r
}

// call calls for a push check until the monitor, which may have to begin, has taken it.
func (r *running) push(id, status string) {
	r.Helper()
	if w := r.answer("POST", "/v1/push/"+id+"?status="+status, ""); w.Code != http.StatusNoContent {
		r.Fatalf("push = %d %s", w.Code, w.Body)
	}
}

// hears waits for a webhook.
func (r *running) hears(want string) {
	r.Helper()
	select {
	case got := <-r.told:
		if got != want {
			r.Fatalf("heard %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		r.Fatalf("did not hear %q", want)
	}
}

// status is the page for programs, once the board that was shown before is old.
func (r *running) status() (code int, s struct {
	Status string
	Stale  bool
	Age    int `json:"age_seconds"`
	Checks []struct {
		Name, Status, Target string
		Uptime               *float64
		Days                 []struct{ Date string }
	}
	Incidents []struct {
		ID, Check, Title string
		Ended            time.Time
		Notes            []struct{ Text, By string }
	}
}) {
	r.Helper()
	r.later.Add(int64(6 * time.Second))
	w := r.answer("GET", "/status.json", "")
	if w.Code == http.StatusOK {
		must(r.T, json.Unmarshal(w.Body.Bytes(), &s))
	}
	return w.Code, s
}

// An alert by mail is sent although the store is away, and the outbox with it.
func TestAlertByMailPastTheOutbox(t *testing.T) {
	f := checks(t, "http://127.0.0.1:1/hook")
	people := monitor.Channel{Name: "people", Kind: monitor.Mail, To: []string{"ops@example.com"}}
	f.Channels = append(f.Channels, people)
	b := assemble(t, server.Config{URL: authURL, Monitor: f, Mail: mail.Options{URL: "log:", From: "auth@example.com"}})
	must(t, b.embedded.SendNow(t.Context(), people, monitor.Event{ID: "e1", Kind: monitor.WentDown, Check: "shop", Title: "The shop", At: time.Now()}))
	if sent := b.log.String(); !strings.Contains(sent, "ops@example.com") || !strings.Contains(sent, "The shop") {
		t.Errorf("the log of mails: %s", sent)
	}
}

// An alert by mail has a lane of its own: many of them hold up no mail to a user.
func TestLaneOfAlertMails(t *testing.T) {
	f := checks(t, "http://127.0.0.1:1/hook")
	f.Channels = []monitor.Channel{{Name: "people", Kind: monitor.Mail, To: []string{"ops@example.com"}}}
	b := assemble(t, server.Config{URL: authURL, Monitor: f, Mail: mail.Options{URL: "log:", From: "auth@example.com"}})
	alert, err := b.embedded.Alerts(monitor.Event{ID: "e1", Kind: monitor.WentDown, Check: "shop", Title: "The shop", At: time.Now()})
	must(t, err)
	user, err := b.embedded.Mail().Record(mail.Message{Template: "password-changed", To: "ada@example.com", Args: []mail.Arg{mail.Text("a"), mail.Text("b"), mail.Text("c")}})
	must(t, err)
	lane := func(rec store.Record) string { return strings.Split(rec.ID, "!")[0] }
	if len(alert) != 1 || lane(alert[0]) != "mail.alert" || lane(user) != "mail" {
		t.Errorf("%v, %s", alert, user.ID)
	}
}

// An alert for a channel that the file of this node does not have waits for a node whose file has it, or for
// another file.
func TestAlertOfAnotherFile(t *testing.T) {
	r := newRunning(t)
	f := r.embedded.Monitor().File()
	event := monitor.Event{ID: "e1", Kind: monitor.WentDown, Check: "shop", Title: "The shop", At: time.Now()}
	elsewhere, err := r.embedded.Alerts(event)
	must(t, err)
	other := *f
	other.Channels = slices.Clone(f.Channels)
	other.Channels[0].Name = "other"
	must(t, r.embedded.SetMonitor(&other))
	event.ID, event.Check = "e2", "hidden"
	here, err := r.embedded.Alerts(event)
	must(t, err)
	_, err = r.store.Commit(t.Context(), store.Batch{Put: append(elsewhere, here...)})
	must(t, err)
	r.embedded.Outbox().Wake()
	r.hears("monitor.down hidden")
	for _, state := range []outbox.State{outbox.Waiting, outbox.Dead} {
		all, _, err := r.embedded.Outbox().List(t.Context(), state, "", 10)
		must(t, err)
		for _, e := range all {
			if e.Lane == "ops" && (state == outbox.Dead || e.Tries > 0) {
				t.Errorf("%s: %+v", state, e)
			}
		}
	}
	must(t, r.embedded.SetMonitor(f))
	r.hears("monitor.down shop")
}

// A check that goes down is told once, shown on the status page with its incident and notes, and told
// again when it is up. The page shows public checks alone, and no target.
func TestMonitorInServer(t *testing.T) {
	r := newRunning(t)
	key := []string{"Authorization", "Bearer " + r.key}
	r.push("f"+pushID[1:], "down")
	r.hears("monitor.down hidden")
	r.push(pushID, "down")
	r.hears("monitor.down shop")
	_, s := r.status()
	if s.Status != "down" || s.Stale || len(s.Checks) != 1 || s.Checks[0].Name != "shop" || s.Checks[0].Status != "down" || len(s.Incidents) != 1 || s.Incidents[0].Check != "shop" || !s.Incidents[0].Ended.IsZero() {
		t.Fatalf("%+v", s)
	}
	note := r.answer("POST", "/v1/admin/monitor/incidents/"+s.Incidents[0].ID+"/notes", `{"text":"We are\nlooking `+`<b>at</b> it."}`, key...)
	if note.Code != http.StatusOK {
		t.Fatalf("%d %s", note.Code, note.Body)
	}
	_, s = r.status()
	if len(s.Incidents[0].Notes) != 1 || s.Incidents[0].Notes[0].By != "" || !strings.Contains(s.Incidents[0].Notes[0].Text, "<b>at</b>") {
		t.Errorf("%+v", s.Incidents)
	}
	for lang, want := range map[string]string{"en": "Does not work", "de": "Läuft nicht"} {
		w := r.answer("GET", "/status", "", "Accept-Language", lang)
		body := w.Body.String()
		for _, has := range []string{want, "looking &lt;b&gt;at&lt;/b&gt; it.", "<svg", `lang="` + lang + `"`} {
			if !strings.Contains(body, has) {
				t.Errorf("%s: the page lacks %q: %s", lang, has, body)
			}
		}
		if strings.Contains(body, "Canary") || strings.Contains(body, "<script>alert") || strings.Contains(body, pushID) || strings.Contains(body, `style="`) {
			t.Errorf("%s: the page shows what it must not: %s", lang, body)
		}
		if h := w.Header(); h.Get("Cache-Control") != "public, max-age=15" || h.Get("Etag") == "" || len(h.Values("Set-Cookie")) > 0 || !strings.Contains(h.Get("Vary"), "Accept-Language") {
			t.Errorf("%s: %v", lang, h)
		}
		if again := r.answer("GET", "/status", "", "Accept-Language", lang, "If-None-Match", w.Header().Get("Etag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("the same page again: %d", again.Code)
		}
	}
	var feed struct {
		Entries []struct {
			ID      string `xml:"id"`
			Content string `xml:"content"`
		} `xml:"entry"`
	}
	w := r.answer("GET", "/status.atom", "")
	must(t, xml.Unmarshal(w.Body.Bytes(), &feed))
	if len(feed.Entries) != 1 || !strings.Contains(feed.Entries[0].Content, "<b>at</b>") || !strings.HasPrefix(feed.Entries[0].ID, "tag:127.0.0.1,") {
		t.Errorf("%+v", feed)
	}
	w = r.answer("GET", "/status/badge/shop.svg", "")
	if err := xml.Unmarshal(w.Body.Bytes(), new(struct{})); err != nil || !strings.Contains(w.Body.String(), "down") || strings.Contains(w.Body.String(), "<script") || w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%v: %v %s", err, w.Header(), w.Body)
	}
	for _, path := range []string{"/status/badge/hidden.svg", "/status/badge/shop", "/status/badge/other.svg"} {
		if w := r.answer("GET", path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s = %d", path, w.Code)
		}
	}
	for range 2 {
		r.push(pushID, "up")
	}
	for { // a call that comes at once after another takes its place
		select {
		case got := <-r.told:
			if got != "monitor.up shop" {
				t.Fatalf("heard %q", got)
			}
		case <-time.After(50 * time.Millisecond):
			r.push(pushID, "up")
			continue
		}
		break
	}
	if _, s = r.status(); s.Status != "up" || s.Incidents[0].Ended.IsZero() {
		t.Errorf("%+v", s)
	}
	if len(r.told) > 0 {
		t.Errorf("heard %q as well", <-r.told)
	}
	for _, id := range []string{"x", pushID[1:], strings.ToUpper(pushID)} {
		if w := r.answer("POST", "/v1/push/"+id, ""); w.Code != http.StatusNotFound {
			t.Errorf("push of %s = %d", id, w.Code)
		}
	}
}

// While the store is away, the status page shows what was known, and how old that is. It is never an
// error of the server.
func TestStatusWithoutStore(t *testing.T) {
	r := newRunning(t)
	r.push(pushID, "down")
	r.hears("monitor.down shop")
	if code, s := r.status(); code != http.StatusOK || s.Status != "down" {
		t.Fatalf("%d %+v", code, s)
	}
	r.store.Inject(storetest.Fault{})
	r.later.Add(int64(3 * time.Minute))
	code, s := r.status()
	if code != http.StatusOK || !s.Stale || s.Age < 180 || s.Status != "down" {
		t.Errorf("%d %+v", code, s)
	}
	if w := r.answer("GET", "/status", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "This is what was known 4 minutes ago") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r.store.Heal()
	if code, s := r.status(); code != http.StatusOK || s.Stale {
		t.Errorf("%d %+v", code, s)
	}
}

// Visitors cost one look into the store also while it is away and nothing is known yet.
func TestStatusOfNothing(t *testing.T) {
	r := newRunning(t)
	r.store.Inject(storetest.Fault{})
	before := r.store.Calls(storetest.OpGet)
	for range 500 {
		if w := r.answer("GET", "/status.json", ""); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if n := r.store.Calls(storetest.OpGet) - before; n > 100 {
		t.Errorf("500 requests made %d calls of the store", n)
	}
	r.store.Heal()
	if code, s := r.status(); code != http.StatusOK || s.Stale {
		t.Errorf("%d %+v", code, s)
	}
}

// Many visitors cost one look into the store.
func TestStatusCost(t *testing.T) {
	r := newRunning(t)
	r.push(pushID, "up")
	r.status()
	before := r.store.Calls(storetest.OpGet) + r.store.Calls(storetest.OpList)
	for range 500 {
		r.answer("GET", "/status", "")
		r.answer("GET", "/status.json", "")
		r.answer("GET", "/status/badge/shop.svg", "")
	}
	if n := r.store.Calls(storetest.OpGet) + r.store.Calls(storetest.OpList) - before; n > 100 {
		t.Errorf("1,500 requests made %d calls of the store", n)
	}
}

// Without a monitor, or without status in its file, there is no page.
func TestNoStatus(t *testing.T) {
	file := checks(t, "http://127.0.0.1:1/")
	file.Status = nil
	for name, c := range map[string]server.Config{"no monitor": {URL: authURL}, "no status": {URL: authURL, Monitor: file}} {
		b := assemble(t, c)
		for _, path := range []string{"/status", "/status.json", "/status.atom", "/status/badge/shop.svg"} {
			if w := b.answer("GET", path, ""); w.Code != http.StatusNotFound {
				t.Errorf("%s: %s = %d", name, path, w.Code)
			}
		}
	}
	b := assemble(t, server.Config{URL: authURL})
	if w := b.answer("GET", "/v1/admin/monitor", "", "Authorization", "Bearer "+b.key); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "watches nothing") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// filled puts a day of results of a check into the store, as the monitor writes it: five minutes each, of which
// the parts of the third hour have failed.
func (b *bench) filled(check string, day time.Time) {
	b.Helper()
	var parts []string
	for n := range 288 {
		part := fmt.Sprintf("[300,5,%d,900]", 5*(100+n))
		if n/12 == 2 {
			part = "[0,5,2500,5000,300]"
		}
		parts = append(parts, part)
	}
	_, err := b.db.Commit(b.Context(), store.Batch{Put: []store.Record{{
		Key: store.Key{Kind: "monitorday", ID: check + "/" + day.Format(time.DateOnly)}, Owner: check, Value: []byte(`{"buckets":[` + strings.Join(parts, ",") + `]}`),
	}, {
		Key: store.Key{Kind: "monitoryear", ID: check + "/" + day.Format("2006")}, Owner: check, Value: []byte(`{"days":{"` + day.Format("01-02") + `":[82800,1440,600000,5000,3600]}}`),
	}}})
	must(b.T, err)
}

// The history of a check is read in pages, and its page draws it.
func TestResults(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Monitor: checks(t, "http://127.0.0.1:1/")})
	today := time.Now().UTC().Truncate(24 * time.Hour)
	yesterday := today.AddDate(0, 0, -1)
	b.filled("shop", yesterday)
	read := func(query string) (all []api.Point, pages int) {
		for cursor := ""; ; pages++ {
			var page api.Results
			w := b.answer("GET", "/v1/admin/monitor/checks/shop/results?"+query+"&cursor="+cursor, "", "Authorization", "Bearer "+b.key)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", query, w.Code, w.Body)
			}
			must(t, json.Unmarshal(w.Body.Bytes(), &page))
			all = append(all, page.Points...)
			if cursor = page.Next; cursor == "" {
				return all, pages + 1
			}
		}
	}
	window := "from=" + yesterday.Format(time.RFC3339) + "&to=" + today.Format(time.RFC3339)
	parts, pages := read("step=5m&limit=100&" + window)
	if len(parts) != 288 || pages != 3 || !parts[24].Failed || *parts[24].DownSec != 300 || parts[0].TookMS != 100 || parts[287].TookMS != 387 || parts[0].Failed {
		t.Errorf("%d parts on %d pages, %+v", len(parts), pages, parts)
	}
	if hour, _ := read("from=" + yesterday.Add(2*time.Hour).Format(time.RFC3339) + "&to=" + yesterday.Add(3*time.Hour).Format(time.RFC3339)); len(hour) != 12 {
		t.Errorf("%d parts of an hour", len(hour))
	}
	if days, _ := read("step=1d"); len(days) != 1 || *days[0].UpSec != 82800 || !days[0].Failed || days[0].Runs != 1440 {
		t.Errorf("%+v", days)
	}
	if raw, _ := read("step=raw"); len(raw) != 0 {
		t.Errorf("%+v", raw)
	}
	v := b.console(time.Minute, "admin").open("/admin/monitor/checks/shop")
	body := v.at(http.StatusOK, "The last 90 days").page.Body.String()
	if n := strings.Count(body, `class="part" x=`); n < 1 || !strings.Contains(body, "on 1 of 1 days") || strings.Contains(body, "<script>alert") {
		t.Errorf("%d bars: %s", n, body)
	}
	b.console(time.Minute, "admin").open("/admin/monitor/checks/other").at(http.StatusNotFound, "")
}

// What an operator writes is checked.
func TestMonitorBadInput(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Monitor: checks(t, "http://127.0.0.1:1/")})
	own := b.incident("Slow")
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "checks/shop/mute", `{"seconds":0,"why":"x"}`, 400},
		{"PUT", "checks/shop/mute", `{"seconds":2592001,"why":"x"}`, 400},
		{"PUT", "checks/shop/mute", `{"seconds":9223372036854775807,"why":"x"}`, 400},
		{"PUT", "checks/shop/mute", `{"seconds":60,"why":""}`, 400},
		{"PUT", "checks/shop/mute", "{\"seconds\":60,\"why\":\"\\u202e\"}", 400},
		{"PUT", "checks/other/mute", `{"seconds":60,"why":"x"}`, 404},
		{"DELETE", "checks/other/mute", ``, 404},
		{"GET", "checks/other", ``, 404},
		{"GET", "checks/other/results", ``, 404},
		{"GET", "checks/shop/results?step=2m", ``, 400},
		{"GET", "checks/shop/results?from=yesterday", ``, 400},
		{"GET", "checks/shop/results?to=2026-01-01T00:00:00Z&from=2026-01-02T00:00:00Z", ``, 400},
		{"GET", "checks/shop/results?from=9999-01-01T00:00:00Z", ``, 400},
		{"GET", "checks/shop/results?limit=1001", ``, 400},
		{"GET", "checks/shop/results?cursor=x", ``, 400},
		{"GET", "checks/shop/results?since=x", ``, 400},
		{"POST", "channels/other/test", ``, 404},
		{"POST", "incidents", `{"title":"","text":"x"}`, 400},
		{"POST", "incidents", `{"title":"x","text":"\u0007"}`, 400},
		{"POST", "incidents/" + own + "/notes", `{"text":""}`, 400},
		{"POST", "incidents/" + own + "/notes", `{"txt":"x"}`, 400},
		{"POST", "incidents/zzz/notes", `{"text":"x"}`, 404},
		{"GET", "incidents/zzz", ``, 404},
		{"GET", "incidents/*", ``, 404},
		{"POST", "incidents/*/notes", `{"text":"x"}`, 404},
	} {
		w := b.answer(c.method, "/v1/admin/monitor/"+c.path, c.body, "Authorization", "Bearer "+b.key, "Content-Type", "application/json")
		if w.Code != c.status || !strings.Contains(w.Body.String(), "urn:counterfoil:problem:") {
			t.Errorf("%s %s %s = %d %s, want %d", c.method, c.path, c.body, w.Code, w.Body, c.status)
		}
	}
}

package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/server"
)

// The console sends a dead letter again, and drops one.
func TestConsoleOutbox(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	v := b.console(time.Minute, "admin")
	must(t, b.embedded.AddUser(t.Context(), "walter", pass))
	walter, err := b.embedded.Users().ByIdentifier(t.Context(), "walter")
	must(t, err)
	again, dropped := b.letter(outbox.Draft{Kind: "mail", About: "reset", Subject: walter.ID}), b.letter(outbox.Draft{Kind: "mail", About: "verify"})
	state := func(of outbox.State, want ...string) {
		t.Helper()
		all, _, err := b.embedded.Outbox().List(t.Context(), of, "", 10)
		must(t, err)
		var got []string
		for _, e := range all {
			got = append(got, e.ID)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", of, got, want)
		}
	}
	state(outbox.Dead, dropped, again)
	v.open("/admin/outbox").at(http.StatusOK, "2 could not be sent").at(http.StatusOK, `<bdi>walter</bdi>`).at(http.StatusOK, `aria-label="Send again: reset, `+again+`"`).at(http.StatusOK, `aria-label="Drop verify, `+dropped+`"`)
	form := "/admin/outbox/" + again + "/redeliver"
	v.open(form).at(http.StatusOK, "<h1>Send again: reset</h1>").at(http.StatusOK, " for walter.").send(form, typed()).gone(http.StatusOK, says+"It is being sent again.").at(http.StatusOK, "1 could not be sent")
	state(outbox.Waiting, again)
	state(outbox.Dead, dropped)
	v.open("/admin/outbox?state=waiting").at(http.StatusOK, "reset")
	form = "/admin/outbox/" + dropped + "/drop"
	v.open(form).send(form, typed()).gone(http.StatusOK, says+"It was dropped.").at(http.StatusOK, "There is nothing that could not be sent.")
	state(outbox.Waiting, again)
	state(outbox.Dead)
	v.open(form).at(http.StatusNotFound, "ot found")
}

// A form says what it is about also when that is not among the newest entries, and there is none about what is not there.
func TestFormsOfOldEntries(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Monitor: checks(t, "https://hooks.example/x")})
	announce := func(title string) (id string) {
		t.Helper()
		w := b.answer("POST", "/v1/admin/monitor/incidents", `{"title":"`+title+`","text":"We look at it."}`, "Authorization", "Bearer "+b.key, "Content-Type", "application/json")
		var made api.Incident
		must(t, json.Unmarshal(w.Body.Bytes(), &made))
		return made.ID
	}
	letter, incident := b.letter(outbox.Draft{Kind: "mail", About: "the first"}), announce("The first")
	for range 200 {
		b.letter(outbox.Draft{Kind: "mail", About: "later"})
		announce("Later")
	}
	v := b.console(time.Minute, "admin")
	v.open("/admin/outbox/"+letter+"/redeliver").at(http.StatusOK, "<h1>Send again: the first</h1>")
	v.open("/admin/outbox/"+letter+"/drop").at(http.StatusOK, "<h1>Drop: the first</h1>")
	v.open("/admin/monitor/incidents/"+incident+"/note").at(http.StatusOK, "<h1>Add a note: The first</h1>")
	v.open("/admin/outbox/"+strings.Repeat("a", len(letter))+"/redeliver").at(http.StatusNotFound, "ot found")
	v.open("/admin/monitor/incidents/"+strings.Repeat("a", len(incident))+"/note").at(http.StatusNotFound, "ot found")
}

var noteForm = regexp.MustCompile(`href="(/admin/monitor/incidents/[^"]+/note)"`)

// The console mutes a check and ends that, announces an incident with notes until it is over, and tests a channel.
func TestConsoleMonitor(t *testing.T) {
	got := make(chan string, 10)
	var status atomic.Int32
	status.Store(http.StatusOK)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(int(status.Load()))
		got <- string(body)
	}))
	t.Cleanup(hook.Close)
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Monitor: checks(t, hook.URL)})
	v := b.console(time.Minute, "admin")

	const mute, unmute = "/admin/monitor/checks/shop/mute", "/admin/monitor/checks/shop/unmute"
	v.open("/admin/monitor").at(http.StatusOK, `href="`+mute+`"`)
	v.open(mute).send(mute, typed("hours", "4", "why", "")).at(http.StatusBadRequest, "hy")
	v.send(mute, typed("hours", "4", "why", "new disks")).gone(http.StatusOK, says+"Nobody is told of the check for a while.").at(http.StatusOK, ": new disks").at(http.StatusOK, `href="`+unmute+`"`)
	shown := b.embedded.Monitor().Shown()[0]
	if left := time.Until(shown.Mute.Until); shown.Mute.Why != "new disks" || left > 4*time.Hour || left < 3*time.Hour {
		t.Errorf("the mute is %+v", shown.Mute)
	}
	v.open(unmute).send(unmute, typed()).gone(http.StatusOK, says+"People are told of the check again.").at(http.StatusOK, `href="`+mute+`"`)
	if shown := b.embedded.Monitor().Shown()[0]; shown.Mute != nil {
		t.Errorf("the mute is %+v", shown.Mute)
	}

	v.open("/admin/new/incident").send("/admin/new/incident", typed("title", "Slow sign-in", "text", "We look at it.")).gone(http.StatusOK, says+"The incident is announced.").at(http.StatusOK, "We look at it.").at(http.StatusOK, ` by <a href="/admin/users/usr_`).at(http.StatusOK, `<span class="tag bad">open</span>`)
	note := noteForm.FindStringSubmatch(v.page.Body.String())
	if note == nil {
		t.Fatalf("the incident has no form for a note: %s", v.page.Body)
	}
	v.open(note[1]).at(http.StatusOK, "Add a note: Slow sign-in").send(note[1], typed("text", "A disk was full.")).gone(http.StatusOK, says+"The note was added.").at(http.StatusOK, "A disk was full.").at(http.StatusOK, `<span class="tag bad">open</span>`)
	v.open(note[1]).send(note[1], typed("text", "It is over.", "ended", "on")).gone(http.StatusOK, says).at(http.StatusOK, "It is over.")
	if strings.Contains(v.page.Body.String(), `<span class="tag bad">open</span>`) {
		t.Errorf("the incident is open: %s", v.page.Body)
	}

	const test = "/admin/monitor/channels/ops/test"
	v.open(test).send(test, typed()).gone(http.StatusOK, says+"The test has arrived.")
	if body := <-got; !strings.Contains(body, `"monitor.test"`) {
		t.Errorf("the channel got %s", body)
	}
	status.Store(http.StatusInternalServerError)
	v.open(test).send(test, typed()).at(http.StatusOK, "The test did not arrive: it answered 500")
	<-got
	trail := b.answer("GET", "/v1/admin/audit?action=monitor.test", "", "Authorization", "Bearer "+b.key).Body.String()
	if strings.Count(trail, `"target":"ops"`) != 2 {
		t.Errorf("the audit trail has of two tests: %s", trail)
	}
}

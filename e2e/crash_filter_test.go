package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// The program is killed while it revokes what a filter finds. When it runs again it ends the rest, counts each session
// once, and ends nothing else.
func TestKilledWhileItRevokesByFilter(t *testing.T) {
	t.Parallel()
	const sessions, workers = 1500, 20
	address := testsvc.FreeAddress(t)
	env := []string{"COUNTERFOIL_DATA=" + t.TempDir()}
	key := command(t, &output{}, env, "", "apikey", "create", "--client", "crash", "--scope", "admin")
	run := func() *program {
		p, _ := startPlain(t, &output{}, env, "--listen", address)
		p.admin = key
		return p
	}
	p := run()
	all := make([]holder, sessions)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := w; n < sessions; n += workers {
				all[n].carrier = "cookie"
				p.ack("/v1/admin/sessions", map[string]any{"subject": fmt.Sprint("u-", n), "carrier": "cookie"}, &all[n])
			}
		})
	}
	wg.Wait()
	kept := holder{carrier: "bearer"}
	p.ack("/v1/admin/sessions", map[string]any{"subject": "u-0", "carrier": "bearer"}, &kept)

	filter := map[string]any{"carrier": "cookie"}
	var plan struct {
		Sessions int
		Token    string
	}
	var job struct {
		ID, State string
		Ended     int
	}
	if !p.ack("/v1/admin/revocations", map[string]any{"filter": filter, "dry_run": true}, &plan) || plan.Sessions != sessions {
		t.Fatalf("the dry run counts %d sessions, want %d", plan.Sessions, sessions)
	}
	if !p.ack("/v1/admin/revocations", map[string]any{"filter": filter, "token": plan.Token}, &job) {
		t.Fatal("the order is refused")
	}
	look := func() {
		t.Helper()
		answer, text, err := p.send("GET", "/v1/admin/revocations/"+job.ID, nil, "Authorization", "Bearer "+key)
		if err == nil && answer.StatusCode == http.StatusOK {
			err = json.Unmarshal(text, &job)
		}
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("the job: %s, %v", text, err)
		}
	}
	for begun := time.Now(); job.Ended == 0 && time.Since(begun) < patience(); {
		look()
	}
	p.kill()
	t.Logf("killed after %d of %d", job.Ended, sessions)
	p = run()
	for begun := time.Now(); job.State == "running" && time.Since(begun) < patience(); pause(50 * time.Millisecond) {
		look()
	}
	if job.State != "done" || job.Ended != sessions {
		t.Errorf("the job: %+v, want %d sessions that ended", job, sessions)
	}
	for n := 0; n < sessions; n += 50 {
		if got := p.whoAmI(&all[n]); got != http.StatusUnauthorized {
			t.Errorf("session %d is answered %d", n, got)
		}
	}
	if got := p.whoAmI(&kept); got != http.StatusOK {
		t.Errorf("a session that is not in the filter is answered %d", got)
	}
}

package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

const (
	crashRounds  = 20
	crashWorkers = 50
	crashOps     = 1000 // a round
)

// account is one session, with the acknowledged operations on it. One worker at a time uses
// it.
type account struct {
	holder
	revoked bool
	unknown bool // a revocation got no answer: its outcome is unknown
}

// grace is longer than a round may take on a busy machine. The kill may swallow the answer to
// a refresh. The next round then presents the old refresh token again, which must not count as
// reuse.
const grace = "--refresh-grace=1m"

// The program is killed in the middle of a thousand logins, refreshes and revocations. It has
// lost no acknowledged operation: the signed-in sessions are still accepted, and the revoked
// sessions are still refused.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	address := testsvc.FreeAddress(t)
	env := []string{"COUNTERFOIL_DATA=" + t.TempDir()}
	key := command(t, &output{}, env, "", "apikey", "create", "--client", "crash", "--scope", "admin")
	var before []*account
	var kept acknowledged
	for round := range crashRounds + 1 {
		// Without the demo, whose administrator signs in by a password: one address may not do
		// that so often.
		p, _ := startPlain(t, &output{}, env, "--listen", address, grace)
		p.admin = key
		if round == 0 {
			p.register("app")
		}
		for _, a := range before {
			p.check(a, &kept)
		}
		if round < crashRounds {
			before = p.workUntilKilled(round)
		}
	}
	t.Logf("%d kills: %d logins, %d refresh tokens and %d revokes that were acknowledged are as they were", crashRounds, kept.logins, kept.refreshes, kept.revokes)
	if kept.revokes == 0 || kept.refreshes == 0 {
		t.Error("shows nothing: no refresh or no revocation was acknowledged before a kill")
	}
}

// acknowledged counts the acknowledged operations that were checked.
type acknowledged struct{ logins, refreshes, revokes int }

// check compares the server's answers about a with the acknowledged operations.
func (p *program) check(a *account, kept *acknowledged) {
	if a.unknown {
		return
	}
	want := http.StatusOK
	if a.revoked {
		want = http.StatusUnauthorized
		kept.revokes++
	}
	kept.logins++
	if got := p.whoAmI(&a.holder); got != want {
		p.t.Errorf("%s %s is answered %d, want %d", a.carrier, a.Session.ID, got, want)
	}
	if a.Refresh == "" {
		return
	}
	kept.refreshes++
	if got, body, err := p.try("/v1/refresh", map[string]any{"refresh_token": a.Refresh, "client": a.client}, ""); err != nil || got != want {
		p.t.Errorf("refresh of %s = %d %s, %v, want %d", a.Session.ID, got, body, err, want)
	}
}

// workUntilKilled runs operations, kills the program in the middle, and returns the sessions
// with the acknowledged operations.
func (p *program) workUntilKilled(round int) []*account {
	var done atomic.Int64
	killAt := int64(crashOps/4 + rand.N(crashOps/2))
	var once sync.Once
	all := make([][]*account, crashWorkers)
	var wg sync.WaitGroup
	for w := range crashWorkers {
		wg.Go(func() {
			for n := 0; ; n++ {
				if done.Add(1) >= killAt {
					once.Do(p.kill)
				}
				a, ok := p.operate(all[w], fmt.Sprintf("u-%d-%d-%d", round, w, n))
				if a != nil {
					all[w] = append(all[w], a)
				}
				if !ok {
					return
				}
			}
		})
	}
	wg.Wait()
	var accounts []*account
	for _, mine := range all {
		accounts = append(accounts, mine...)
	}
	return accounts
}

// operate makes one operation on one of the worker's accounts, or makes a new account. ok is
// false when the program no longer answers.
func (p *program) operate(mine []*account, subject string) (made *account, ok bool) {
	var a *account
	if len(mine) > 0 {
		a = mine[rand.N(len(mine))]
	}
	switch kind := rand.N(3); {
	case a == nil || a.revoked || kind == 0:
		a = &account{holder: holder{carrier: []string{"cookie", "bearer"}[rand.N(2)], client: "app"}}
		if !p.ack("/v1/admin/sessions", map[string]any{"subject": subject, "carrier": a.carrier, "client": a.client}, &a.holder) {
			return nil, false
		}
		return a, true
	case kind == 1 && a.Refresh != "":
		// If the answer is lost, a has the old refresh token. It is the current one, or within
		// its grace.
		return nil, p.ack("/v1/refresh", map[string]any{"refresh_token": a.Refresh, "client": a.client}, &a.holder)
	default:
		a.revoked = p.ack("/v1/admin/revocations", map[string]any{"scope": "session", "id": a.Session.ID}, nil)
		a.unknown = !a.revoked
		return nil, a.revoked
	}
}

// ack reports whether the server acknowledged the call.
func (p *program) ack(path string, body any, into any) bool {
	status, answer, err := p.try(path, body, p.admin)
	if err != nil {
		return false
	}
	if status/100 != 2 {
		p.t.Errorf("POST %s = %d %s", path, status, answer)
		return false
	}
	return into == nil || json.Unmarshal(answer, into) == nil
}

func (p *program) whoAmI(h *holder) int {
	return p.get(p.url+"/v1/session", h)
}

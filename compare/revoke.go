package compare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// shortLife is how long the tokens live whose expiry is waited for.
const shortLife = 2 * time.Second

var revokeGroup = group{
	id: "revoke", rows: []string{"revoke", "revoke-answer", "revoke-after", "revoke-all", "revoke-all-after"}, about: "revocation until the last acceptance",
	cost: func(b *bench) time.Duration {
		return time.Duration(b.Rounds*len(b.all))*40*time.Millisecond + 5*time.Second
	},
	run: runRevoke,
}

// ended is what one revocation was seen to do.
type ended struct {
	last   time.Duration // from the start of the revocation until the last accepted request was sent
	answer time.Duration // until the revocation was answered
	after  int           // requests that were accepted although they were sent after the answer
}

func runRevoke(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, nodes); err != nil {
		return err
	}
	var expiring []Contender
	var revocable []way
	for _, c := range b.all {
		switch {
		case c.ID == noCheck:
		case c.Family == FamilyJWT && c.Store == "":
			expiring = append(expiring, c)
		case c.Family == FamilyOurs:
			revocable = append(revocable, way{c, false}, way{c, true})
		default:
			revocable = append(revocable, way{c, false})
		}
	}
	last, answer, after, waited, waitedAfter := series{}, series{}, series{}, series{}, series{}
	for round := range b.Rounds {
		order := b.random.Perm(len(revocable))
		for n, i := range order {
			b.tell((float64(round) + float64(n)/float64(len(order))) / float64(b.Rounds))
			w := revocable[i]
			found, err := b.stage.revokeOnce(ctx, w, 4_000_000+round*100+i)
			if err != nil {
				return fmt.Errorf("%s: %w", w.c.ID, err)
			}
			if w.all {
				waited.add(w.c.ID, milliseconds(found.answer))
				waitedAfter.add(w.c.ID, float64(found.after))
				continue
			}
			last.add(w.c.ID, milliseconds(found.last))
			answer.add(w.c.ID, milliseconds(found.answer))
			after.add(w.c.ID, float64(found.after))
		}
	}
	expired, err := b.stage.expire(ctx, expiring)
	if err != nil {
		return err
	}
	b.addRevoke(last, answer, waited, after, waitedAfter, expired)
	return nil
}

func (b *bench) addRevoke(last, answer, waited, after, waitedAfter series, expired map[string]time.Duration) {
	const how = "one client asks each of three nodes all the time; the session is ended by one call (a logout at a node, or our API)"
	row := Row{ID: "revoke", Group: "revoke", Title: "Revocation: until the last accepted request", Unit: "ms", Better: Less, How: how + ". From the start of the call until the last request was sent that a node accepted."}
	calls := Row{ID: "revoke-answer", Group: "revoke", Title: "Revocation: until the call is answered", Unit: "ms", Better: Less, How: how + "."}
	late := Row{ID: "revoke-after", Group: "revoke", Title: "Requests accepted after the revocation's answer", Unit: "requests", Better: Less, How: how + ". Requests that were sent after the answer, at all nodes together."}
	all := Row{ID: "revoke-all", Group: "revoke", Title: "Revocation with wait=all: until the call is answered", Unit: "ms", Better: Less, How: how + ". The call is answered when every verifier has confirmed."}
	allLate := Row{ID: "revoke-all-after", Group: "revoke", Title: "With wait=all: requests accepted after the answer", Unit: "requests", Better: Less, How: late.How}
	life := milliseconds(usualLife)
	for _, c := range b.all {
		switch found, is := expired[c.ID]; {
		case is:
			cell := counted(c.ID, life)
			cell.Rounds = []float64{milliseconds(found)}
			cell.Text = fmt.Sprintf("good until it expires: %.1f s for a life of %v, so up to %v for the usual life", found.Seconds(), shortLife, usualLife)
			row.Cells = append(row.Cells, cell)
			late.Cells = append(late.Cells, inWords(c.ID, "all, until it expires"))
			calls.Cells = append(calls.Cells, inWords(c.ID, "there is no such call"))
		case last[c.ID] != nil:
			row.Cells = append(row.Cells, measured(c.ID, last[c.ID]))
			calls.Cells = append(calls.Cells, measured(c.ID, answer[c.ID]))
			late.Cells = append(late.Cells, measured(c.ID, after[c.ID]))
		}
		if w := waited[c.ID]; w != nil {
			all.Cells = append(all.Cells, measured(c.ID, w))
			allLate.Cells = append(allLate.Cells, measured(c.ID, waitedAfter[c.ID]))
		}
	}
	row.Notes = append(row.Notes, "A JWT without a list is good until it expires: the row counts the usual life of "+usualLife.String()+", which was not waited for. Our carriers follow the revocation log over HTTP.",
		"Sessions in memory are known to one node alone, and asked there.")
	b.add(row)
	b.add(calls)
	b.add(late)
	b.add(all)
	b.add(allLate)
}

// way is a contender and how it is revoked.
type way struct {
	c   Contender
	all bool // with wait=all
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// steady is how many requests each node accepts before a revocation begins.
const steady = 5

// revokeOnce ends a new session while it is used at every node.
func (s *stage) revokeOnce(ctx context.Context, w way, number int) (found ended, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	made, err := s.login(ctx, s.nodes[0], w.c, number, 1, time.Hour)
	if err != nil {
		return found, err
	}
	asked := s.nodes[:nodes]
	if w.c.ID == sessionMemory {
		asked = asked[:1]
	}
	var ready, gone sync.WaitGroup
	var answered atomic.Pointer[time.Time] // when the revocation was answered; nil: not yet
	question := prepared("GET", "/check/"+w.c.ID, made[0].Field)
	users := make([]user, len(asked))
	for i, node := range asked {
		ready.Add(1)
		gone.Go(func() { users[i].ask(ctx, node, question, sync.OnceFunc(ready.Done), &answered) })
	}
	ready.Wait()
	start := time.Now()
	err = s.end(ctx, w, made[0].ID)
	at := time.Now()
	answered.Store(&at)
	if err != nil {
		cancel()
	}
	gone.Wait()
	found.answer = at.Sub(start)
	for _, u := range users {
		err = errors.Join(err, u.err)
		found.last = max(found.last, u.last.Sub(start))
		found.after += u.after
	}
	return found, err
}

// user is a client that asks one node all the time while its session is ended.
type user struct {
	last  time.Time // when the last accepted request was sent
	after int       // requests that were accepted although they were sent after the revocation's answer
	err   error
}

// ask asks until the node refuses. It calls ready once the node has accepted enough, or when it returns.
func (u *user) ask(ctx context.Context, node *nodeProcess, question []byte, ready func(), answered *atomic.Pointer[time.Time]) {
	defer ready()
	v := visit(node.address)
	defer v.close()
	for accepted := 0; ; {
		sent := time.Now()
		status, _, err := v.ask(ctx, question)
		switch {
		case err != nil:
			u.err = err
			return
		case status == http.StatusOK:
			u.last = sent
			if at := answered.Load(); at != nil && sent.After(*at) {
				u.after++
			}
			if accepted++; accepted == steady {
				ready()
			}
		case status == http.StatusUnauthorized && accepted >= steady:
			return
		default:
			u.err = fmt.Errorf("status %d after %d accepted requests", status, accepted)
			return
		}
	}
}

// end ends a session.
func (s *stage) end(ctx context.Context, w way, id string) error {
	if w.c.Family != FamilyOurs {
		return s.nodes[0].call(ctx, "Node.End", EndPlan{w.c.ID, id}, nil)
	}
	r := api.Revocation{Scope: source.ScopeSession, ID: id}
	if w.all {
		r.Wait = "all"
	}
	_, err := s.client().Revoke(ctx, r)
	return err
}

// client calls the API of the auth server.
func (s *stage) client() *api.Client {
	return &api.Client{URL: s.at.URL, Key: s.at.Key, HTTP: http.DefaultClient}
}

// expire returns how long tokens with a short life are accepted, from when they were made.
func (s *stage) expire(ctx context.Context, all []Contender) (map[string]time.Duration, error) {
	found, errs := make([]time.Duration, len(all)), make([]error, len(all))
	var gone sync.WaitGroup
	for i, c := range all {
		gone.Go(func() {
			start := time.Now()
			made, err := s.login(ctx, s.nodes[0], c, 0, 1, shortLife)
			if err != nil {
				errs[i] = err
				return
			}
			v := visit(s.nodes[0].address)
			defer v.close()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				sent := time.Now()
				status, _, err := v.ask(ctx, prepared("GET", "/check/"+c.ID, made[0].Field))
				if err != nil || status != http.StatusOK {
					errs[i] = err
					return
				}
				found[i] = sent.Sub(start)
				<-tick.C
			}
		})
	}
	gone.Wait()
	by := make(map[string]time.Duration)
	for i, c := range all {
		by[c.ID] = found[i]
	}
	return by, errors.Join(errs...)
}

package compare

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// shortBound is the staleness bound of our verifier in the rows of outages: the smallest there is.
const shortBound = 2 * time.Second

var outageGroup = group{
	id: "outage", rows: []string{"store-down", "store-down-new", "node-down"}, about: "an outage of the store, of a node",
	cost: func(*bench) time.Duration { return 10 * time.Second },
	run:  runOutage,
}

// outageLasts is how long the store is down: longer than the bound.
const outageLasts = shortBound + 2*time.Second

func runOutage(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, nodes); err != nil {
		return err
	}
	known, unknown, err := b.stage.storeDown(ctx)
	if err != nil {
		return err
	}
	b.tell(0.7)
	how := fmt.Sprintf("every question to the store of a contender fails for %v, that of our auth server too; asked 20 times a second. Our verifier has a staleness bound of %v here (10 s by default), and the policy fail_closed", outageLasts, shortBound)
	b.add(Row{ID: "store-down", Group: "outage", Title: "Store down: a client that was seen before", How: how, Cells: known})
	b.add(Row{ID: "store-down-new", Group: "outage", Title: "Store down: a credential that the node sees for the first time", How: how, Cells: unknown})
	moved, err := b.stage.nodeDown(ctx)
	if err != nil {
		return err
	}
	b.add(Row{ID: "node-down", Group: "outage", Title: "A node of three is killed: its clients go to another one", How: "the node that signed the client in is killed, and the client asks the next one", Cells: moved})
	return nil
}

// seenStatus is what a client was answered, and when.
type seenStatus struct {
	at     time.Duration
	status int
}

// asker is a client that asks a node during an outage of the store.
type asker struct {
	contender Contender
	in        Credential
	before    bool // it has asked before the outage
	seen      []seenStatus
}

// storeDown asks all contenders at once while their stores are down.
func (s *stage) storeDown(ctx context.Context) (known, unknown []Cell, err error) {
	node, err := s.node(ctx, NodePlan{Bound: shortBound})
	if err != nil {
		return nil, nil, err
	}
	defer node.stop()
	var all []*asker
	for _, c := range s.b.all {
		if c.ID == noCheck {
			continue
		}
		made, err := s.login(ctx, node, c, 7_000_000, 2, time.Hour)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, &asker{contender: c, in: made[0], before: true}, &asker{contender: c, in: made[1]})
	}
	down, up := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for _, a := range all {
		wg.Go(func() { a.ask(ctx, node, down, up) })
	}
	pause(ctx, 300*time.Millisecond) // those who ask before have asked
	err = s.impair(ctx, node, Impairment{Down: true})
	close(down)
	pause(ctx, outageLasts)
	close(up)
	wg.Wait()
	if err == nil {
		err = s.impair(ctx, node, Impairment{})
	}
	if err != nil {
		return nil, nil, err
	}
	for _, a := range all {
		if !a.before {
			unknown = append(unknown, inWords(a.contender.ID, inOutage(a.seen, true)))
			continue
		}
		back, err := s.accepted(ctx, node, a.contender, a.in.Field)
		if err != nil {
			return nil, nil, err
		}
		known = append(known, inWords(a.contender.ID, inOutage(a.seen, back)))
	}
	return known, unknown, nil
}

// ask asks from when down is closed until up is, 20 times a second.
func (a *asker) ask(ctx context.Context, node *nodeProcess, down, up <-chan struct{}) {
	v := visit(node.address)
	defer v.close()
	question := prepared("GET", "/check/"+a.contender.ID, a.in.Field)
	if a.before {
		_, _, _ = v.ask(ctx, question)
	}
	<-down
	begun := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		at := time.Since(begun)
		status, _, _ := v.ask(ctx, question)
		a.seen = append(a.seen, seenStatus{at, status})
		select {
		case <-up:
			return
		case <-tick.C:
		}
	}
}

// impair changes the stores of a node, and of the auth server.
func (s *stage) impair(ctx context.Context, node *nodeProcess, i Impairment) error {
	if err := s.auth.call(ctx, "Auth.Impair", i, nil); err != nil {
		return err
	}
	return node.call(ctx, "Node.Impair", i, nil)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// accepted reports whether a credential is accepted again after an outage, within some seconds.
func (s *stage) accepted(ctx context.Context, node *nodeProcess, c Contender, field string) (bool, error) {
	v := visit(node.address)
	defer v.close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		status, _, err := v.ask(ctx, prepared("GET", "/check/"+c.ID, field))
		if err != nil {
			return false, err
		}
		if status == 200 {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
	return false, nil
}

// inOutage says in words what a client was answered during an outage. back is whether it is accepted again afterwards.
func inOutage(seen []seenStatus, back bool) string {
	var parts []string
	for n, s := range seen {
		if n > 0 && s.status == seen[n-1].status {
			continue
		}
		what := fmt.Sprintf("answers %d", s.status)
		switch s.status {
		case 200:
			what = "goes on"
		case 0:
			what = "no answer"
		}
		if s.at > 200*time.Millisecond {
			what = fmt.Sprintf("after %.1f s %s", s.at.Seconds(), what)
		} else if s.status != 200 {
			what = "at once " + what
		}
		parts = append(parts, what)
	}
	if !back {
		parts = append(parts, "afterwards it is signed out")
	} else if len(seen) > 0 && seen[len(seen)-1].status != 200 {
		parts = append(parts, "afterwards it is accepted again")
	}
	return strings.Join(parts, ", ")
}

// nodeDown kills a node, and asks another one with what the clients of the first have.
func (s *stage) nodeDown(ctx context.Context) (moved []Cell, err error) {
	node, err := s.node(ctx, NodePlan{})
	if err != nil {
		return nil, err
	}
	made := make(map[string]Credential)
	for _, c := range s.b.all {
		if c.ID == noCheck {
			continue
		}
		in, err := s.login(ctx, node, c, 8_000_000, 1, time.Hour)
		if err != nil {
			node.stop()
			return nil, err
		}
		made[c.ID] = in[0]
	}
	node.kill()
	for _, c := range s.b.all {
		in, is := made[c.ID]
		if !is {
			continue
		}
		v := visit(s.nodes[1].address)
		status, _, err := v.ask(ctx, prepared("GET", "/check/"+c.ID, in.Field))
		v.close()
		switch {
		case err != nil:
			return nil, err
		case status == 200:
			moved = append(moved, inWords(c.ID, "goes on"))
		case status == 401:
			moved = append(moved, inWords(c.ID, "is signed out"))
		default:
			moved = append(moved, inWords(c.ID, fmt.Sprintf("answers %d", status)))
		}
	}
	return moved, nil
}

package prove

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

// pool has the credentials of the clients.
type pool struct {
	mu     sync.Mutex    // guards steady and recent
	steady []*credential // never revoked
	recent []*credential // the latest of the others, revoked or not

	asking sync.WaitGroup // goroutines that wait for the refusal of a revoked credential
}

const recent = 256

func (p *pool) add(c *credential) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.recent) == recent {
		p.recent = p.recent[1:]
	}
	p.recent = append(p.recent, c)
}

func (p *pool) pick() *credential {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := rand.N(len(p.steady) + len(p.recent)); n >= len(p.steady) {
		return p.recent[n-len(p.steady)]
	} else {
		return p.steady[n]
	}
}

func (p *pool) good() *credential {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steady[1] // a JWT: the verifier needs no look-up for it
}

func calm(ctx context.Context, w *world) error { return traffic(ctx, w, false) }

func stormy(ctx context.Context, w *world) error { return traffic(ctx, w, true) }

// traffic runs clients and revokers for the duration. If faults is true, it also breaks the
// network of every verifier except the first.
func traffic(ctx context.Context, w *world, faults bool) error {
	nodes, err := w.startNodes(ctx, w.Verifiers)
	if err != nil {
		return err
	}
	steady, err := w.one(ctx, "steady")
	if err != nil {
		return err
	}
	p := &pool{steady: steady}
	for _, n := range nodes {
		for _, c := range steady {
			n.mustSay(ctx, c, accepted, "just signed in")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.Duration)
	defer cancel()
	var all sync.WaitGroup
	for range w.Clients {
		all.Go(func() { w.askRandomly(ctx, p, nodes) })
	}
	for n := range w.Revokers {
		all.Go(func() { w.revokeRepeatedly(ctx, p, nodes, n) })
	}
	all.Go(func() { w.renewSteady(ctx, p) })
	if faults {
		for _, n := range nodes[1:] {
			all.Go(func() { n.breakRepeatedly(ctx, p) })
		}
	}
	all.Wait()
	p.asking.Wait()
	return nil
}

// askRandomly sends random credentials of the pool to random verifiers, in bursts.
func (w *world) askRandomly(ctx context.Context, p *pool, nodes []*node) {
	for ctx.Err() == nil {
		for range 16 {
			_, _ = nodes[rand.N(len(nodes))].ask(ctx, p.pick())
		}
		pause(ctx, 4*time.Millisecond)
	}
}

// renewSteady replaces the credentials that are never revoked before they expire.
func (w *world) renewSteady(ctx context.Context, p *pool) {
	for {
		pause(ctx, time.Minute)
		if ctx.Err() != nil {
			return
		}
		next, err := w.one(ctx, "steady")
		if err != nil {
			if ctx.Err() == nil {
				w.problem("sign in: %v", err)
			}
			return
		}
		p.mu.Lock()
		p.steady = next
		p.mu.Unlock()
	}
}

// revokeRepeatedly signs in one subject after the other, sends the credential to every
// verifier, and revokes it.
func (w *world) revokeRepeatedly(ctx context.Context, p *pool, nodes []*node, n int) {
	for ; ctx.Err() == nil; n++ {
		if err := w.signInAndRevoke(ctx, p, nodes, n); err != nil && ctx.Err() == nil {
			w.problem("%v", err)
			return
		}
		pause(ctx, 10*time.Millisecond)
	}
}

func (w *world) signInAndRevoke(ctx context.Context, p *pool, nodes []*node, n int) error {
	subject := w.subject("u")
	client := defaultClient
	scope := [...]string{"session", "subject", "token", "client"}[n/len(carriers)%4]
	if scope == "client" {
		var err error
		if client, err = w.ownClient(ctx); err != nil {
			return err
		}
	}
	c, err := w.login(ctx, subject, client, carriers[n%len(carriers)])
	if err != nil {
		return err
	}
	p.add(c)
	for _, node := range nodes {
		_, _ = node.ask(ctx, c)
	}
	if client == defaultClient && scope == "client" || c.token == "" && scope == "token" {
		scope = "session"
	}
	id := map[string]string{"session": c.sid, "subject": subject, "token": c.token, "client": client}[scope]
	if _, err := w.revoke(ctx, scope, id, false); err != nil {
		return err
	}
	// The goroutine asks every verifier until it refuses, so that the time to the refusal is
	// measured. It asks for D and a heartbeat. A verifier that is cut off must not delay the
	// next revocation for so long.
	refusedByAll := make(chan struct{})
	p.asking.Go(func() {
		awaitRefusal(ctx, nodes, []*credential{c}, w.bound()+w.heartbeat())
		close(refusedByAll)
	})
	late := time.NewTimer(w.Bound / 8)
	defer late.Stop()
	select {
	case <-refusedByAll:
	case <-late.C:
	}
	return nil
}

// breakRepeatedly breaks the network of one verifier in every possible way, in an order that
// the seed decides. After each fault the verifier must recover.
func (n *node) breakRepeatedly(ctx context.Context, p *pool) {
	random := rand.New(rand.NewPCG(n.w.Seed, uint64(n.n)))
	d := n.w.Bound
	hold, lose := faultnet.Fault{Mode: faultnet.Hold}, faultnet.Fault{Mode: faultnet.Lose}
	slow := faultnet.Fault{Delay: d / 50, Jitter: d / 20}
	for {
		pause(ctx, d/4+time.Duration(random.Int64N(int64(d))))
		lasts := d/4 + time.Duration(random.Int64N(int64(2*d)))
		kind := random.IntN(9)
		if ctx.Err() != nil {
			return
		}
		switch kind {
		case 0:
			n.net.Set(faultnet.Fault{}, hold)
		case 1:
			n.net.Set(hold, hold)
		case 2:
			n.net.Set(lose, lose)
		case 3:
			n.net.Set(faultnet.Fault{}, lose)
		case 4:
			n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Trickle, Rate: 10})
		case 5:
			n.net.Set(slow, slow)
		case 6:
			n.net.Refuse(true)
			n.net.Reset()
		case 7:
			n.net.Cut()
		case 8:
			n.restart(ctx)
		}
		pause(ctx, lasts)
		if ctx.Err() != nil {
			return
		}
		n.recovers(ctx, p.good(), n.net.Heal)
	}
}

// restart stops the verifier and starts another in its place.
func (n *node) restart(ctx context.Context) {
	n.stop()
	if err := n.start(ctx); err != nil && ctx.Err() == nil {
		n.w.problem("restart verifier %d: %v", n.n, err)
	}
}

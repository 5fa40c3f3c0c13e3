package prove

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

// pool is what clients hold: those who are signed in all the time, and the last of
// the others, revoked or not.
type pool struct {
	mu     sync.Mutex // guards all below
	steady []*credential
	recent []*credential

	asking sync.WaitGroup // about what was just revoked
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
	return p.steady[1] // a JWT: it needs nobody but the verifier
}

func calm(ctx context.Context, w *world) error { return traffic(ctx, w, false) }

func stormy(ctx context.Context, w *world) error { return traffic(ctx, w, true) }

// traffic runs clients and revokers for the duration, and breaks the networks of
// all verifiers but the first meanwhile if told so.
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
		all.Go(func() { w.use(ctx, p, nodes) })
	}
	for n := range w.Revokers {
		all.Go(func() { w.takeAway(ctx, p, nodes, n) })
	}
	all.Go(func() { w.renewSteady(ctx, p) })
	if faults {
		for _, n := range nodes[1:] {
			all.Go(func() { n.suffer(ctx, p) })
		}
	}
	all.Wait()
	p.asking.Wait()
	return nil
}

// use asks about what clients hold, in bursts.
func (w *world) use(ctx context.Context, p *pool, nodes []*node) {
	for ctx.Err() == nil {
		for range 16 {
			_, _ = nodes[rand.N(len(nodes))].ask(ctx, p.pick())
		}
		pause(ctx, 4*time.Millisecond)
	}
}

// renewSteady signs those in anew who are never revoked, before their copies expire.
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

// takeAway signs subjects in, shows their credentials to every verifier, and takes
// them away again.
func (w *world) takeAway(ctx context.Context, p *pool, nodes []*node, n int) {
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
	// Asked until D is over, or what it took would be found out by chance; a verifier
	// that is cut off does not hold up the next revocation.
	told := make(chan struct{})
	p.asking.Go(func() {
		awaitRefusal(ctx, nodes, []*credential{c}, w.bound()+w.heartbeat())
		close(told)
	})
	late := time.NewTimer(w.Bound / 8)
	defer late.Stop()
	select {
	case <-told:
	case <-late.C:
	}
	return nil
}

// suffer breaks the network of one verifier in every way that there is, in an order
// that the seed decides, and lets it recover each time.
func (n *node) suffer(ctx context.Context, p *pool) {
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
			n.startAnew(ctx)
		}
		pause(ctx, lasts)
		if ctx.Err() != nil {
			return
		}
		n.recovers(ctx, p.good(), n.net.Heal)
	}
}

// startAnew ends the verifier and starts another in its place.
func (n *node) startAnew(ctx context.Context) {
	n.stop()
	if err := n.start(ctx); err != nil && ctx.Err() == nil {
		n.w.problem("start verifier %d anew: %v", n.n, err)
	}
}

package prove

import (
	"context"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

// network returns a scenario with two verifiers:
//
//  1. fault breaks the network of the second verifier.
//  2. The scenario revokes sessions.
//  3. The second verifier must not answer for anybody once its knowledge is older than D.
//  4. After 3 D the network works again, and both verifiers must know the revocations.
func network(fault func(ctx context.Context, n *node)) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		nodes, err := w.startNodes(ctx, 2)
		if err != nil {
			return err
		}
		held, err := w.present(ctx, nodes, "earlier", "gone", "steady")
		if err != nil {
			return err
		}
		earlier, gone, steady := held[0], held[1], held[2]
		if err := w.revokeSubject(ctx, earlier); err != nil { // before the fault
			return err
		}
		awaitRefusal(ctx, nodes, earlier, 2*w.Bound)
		at, repair := nodes[1].breakBy(ctx, fault)
		pause(ctx, w.Bound/2)
		if err := w.revokeSubject(ctx, gone); err != nil {
			return err
		}
		var asking sync.WaitGroup
		asking.Go(func() { awaitRefusal(ctx, nodes, gone, 4*w.Bound) })
		nodes[1].mustTurnStale(ctx, steady[1], at+w.bound(), w.Bound, "cut off for longer than D")
		pause(ctx, at+3*w.Bound-w.now())
		nodes[1].recovers(ctx, steady[1], repair)
		asking.Wait()
		for _, n := range nodes {
			for _, c := range append(gone, earlier...) {
				n.mustSay(ctx, c, refused, "revoked, on a network that works again")
			}
			for _, c := range steady {
				n.mustSay(ctx, c, accepted, "on a network that works again")
			}
		}
		return nil
	}
}

// breakBy applies fault to a network again and again, until repair is called. From the time
// at on, no answer of the server gets through.
func (n *node) breakBy(ctx context.Context, fault func(context.Context, *node)) (at time.Duration, repair func()) {
	fault(ctx, n)
	pause(ctx, n.w.Bound/20)
	fault(ctx, n) // for a connection that was half made at the first call
	at = n.w.now()
	broken, stop := context.WithCancel(ctx)
	var breaking sync.WaitGroup
	breaking.Go(func() {
		for {
			pause(broken, n.w.Bound/20)
			if broken.Err() != nil {
				return
			}
			fault(broken, n)
		}
	})
	return at, func() {
		stop()
		breaking.Wait()
		n.net.Heal()
	}
}

func lateAnswer(_ context.Context, n *node) {
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Hold})
}

// lateAnswers delays every answer by 1.5 D. A verifier that measured freshness from the
// arrival of an answer would be fresh all the time, with knowledge that is older than D.
func lateAnswers(_ context.Context, n *node) {
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Delay: n.w.Bound * 3 / 2})
}

func blackHole(_ context.Context, n *node) {
	n.net.Set(faultnet.Fault{Mode: faultnet.Lose}, faultnet.Fault{Mode: faultnet.Lose})
}

func oneWay(_ context.Context, n *node) {
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Lose})
}

func trickle(_ context.Context, n *node) {
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Trickle})
}

func resets(_ context.Context, n *node) {
	n.net.Refuse(true)
	n.net.Reset()
}

// waitAll checks the promise of a revocation with wait=all. Once it has returned, no verifier
// accepts the credential. It returns within D(1+rho) and a heartbeat, even if a verifier is
// cut off.
func waitAll(ctx context.Context, w *world) error {
	nodes, err := w.startNodes(ctx, 3)
	if err != nil {
		return err
	}
	steady, err := w.one(ctx, "steady")
	if err != nil {
		return err
	}
	if w.Deployment == nil {
		pause(ctx, w.bound()) // a new server does not know which verifiers followed an earlier one
	}
	for round := range 3 {
		cut := round > 0 // in the first round the network works
		gone, err := w.one(ctx, "gone")
		if err != nil {
			return err
		}
		for _, n := range nodes {
			for _, c := range gone {
				n.mustSay(ctx, c, accepted, "just signed in")
			}
		}
		if cut {
			nodes[2].net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Lose})
		}
		stop := askAll(ctx, nodes, gone)
		r, err := w.revoke(ctx, "subject", gone[0].subject, true)
		if err == nil {
			pause(ctx, w.Bound/2)
		}
		stop()
		if err != nil {
			return err
		}
		took, limit := r.end-r.start, w.bound()+w.heartbeat()+w.patience
		if !r.everywhere {
			w.problem("wait=all returned unconfirmed after %v", took)
		}
		if took > limit && w.Deployment == nil {
			w.problem("wait=all took %v: want at most %v", took, limit)
		}
		w.note("wait=all took %v with all verifiers connected: %v", took.Round(time.Millisecond), !cut)
		if cut {
			nodes[2].recovers(ctx, steady[1], nodes[2].net.Heal)
		}
	}
	return nil
}

// askAll sends every credential to every node, again and again. stop ends that and waits for
// the goroutines.
func askAll(ctx context.Context, nodes []*node, all []*credential) (stop func()) {
	asking, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, n := range nodes {
		running.Go(func() {
			for asking.Err() == nil {
				for _, c := range all {
					_, _ = n.ask(asking, c)
				}
				pause(asking, time.Millisecond)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

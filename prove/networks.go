package prove

import (
	"context"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

// network is a scenario in which the network of one of two verifiers fails as
// fault says, for 3 D. It is broken when sessions are revoked, and when that has
// happened; then it is whole again.
func network(fault func(ctx context.Context, n *node)) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		nodes, err := w.startNodes(ctx, 2)
		if err != nil {
			return err
		}
		gone, err := w.one(ctx, "gone")
		if err != nil {
			return err
		}
		steady, err := w.one(ctx, "steady")
		if err != nil {
			return err
		}
		for _, n := range nodes {
			for _, c := range append(gone, steady...) {
				n.mustSay(ctx, c, accepted, "just signed in")
			}
		}
		known, err := w.one(ctx, "known") // revoked before the fault
		if err != nil {
			return err
		}
		if _, err := w.revoke(ctx, "subject", known[0].subject, false); err != nil {
			return err
		}
		for _, n := range nodes {
			for _, c := range known {
				n.until(ctx, c, refused, 2*w.Bound)
			}
		}
		broken, stop := context.WithCancel(ctx)
		defer stop()
		var breaking sync.WaitGroup
		fault(broken, nodes[1])
		pause(ctx, w.Bound/20)
		fault(broken, nodes[1]) // also to a connection that was being made the first time
		at := w.now()
		breaking.Go(func() { // faults that must be done again and again
			for broken.Err() == nil {
				pause(broken, w.Bound/20)
				if broken.Err() == nil {
					fault(broken, nodes[1])
				}
			}
		})
		pause(ctx, w.Bound/2)
		if _, err := w.revoke(ctx, "subject", gone[0].subject, false); err != nil {
			return err
		}
		var all sync.WaitGroup
		for _, n := range nodes {
			for _, c := range gone {
				all.Go(func() { n.until(ctx, c, refused, 4*w.Bound) })
			}
		}
		for !over(ctx, w, at+w.bound()) {
			pause(ctx, w.Bound/20)
		}
		// What knows nothing new for longer than D must not answer for anybody.
		for n := w.now(); w.now()-n < w.Bound && ctx.Err() == nil; pause(ctx, w.Bound/50) {
			nodes[1].mustSay(ctx, steady[1], unknown, "cut off for longer than D")
		}
		pause(ctx, at+3*w.Bound-w.now())
		nodes[1].recovers(ctx, steady[1], func() { stop(); breaking.Wait(); nodes[1].net.Heal() })
		all.Wait()
		for _, n := range nodes {
			for _, c := range append(gone, known...) {
				n.mustSay(ctx, c, refused, "revoked, on a network that is whole again")
			}
			for _, c := range steady {
				n.mustSay(ctx, c, accepted, "on a network that is whole again")
			}
		}
		return nil
	}
}

func over(ctx context.Context, w *world, at time.Duration) bool {
	return ctx.Err() != nil || w.now() > at
}

func lateAnswer(_ context.Context, n *node) {
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Hold})
}

// lateAnswers delays every answer, not one: whoever counts from when an answer
// arrives is fresh all the time, and knows nothing.
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

// waitAll holds revoke with wait=all to what it says: no grace once it has returned,
// and at most D(1+rho) and a heartbeat until then, whoever is cut off.
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
		pause(ctx, w.bound()) // a server that has just started does not know who followed before
	}
	for round := range 3 {
		cut := round > 0 // the first round is on a whole network
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
		asking, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		for _, n := range nodes {
			all.Go(func() {
				for asking.Err() == nil {
					for _, c := range gone {
						_, _ = n.ask(asking, c)
					}
					pause(asking, time.Millisecond)
				}
			})
		}
		r, err := w.revoke(ctx, "subject", gone[0].subject, true)
		if err == nil {
			pause(ctx, w.Bound/2)
		}
		stop()
		all.Wait()
		if err != nil {
			return err
		}
		took, most := r.end-r.start, w.bound()+w.heartbeat()+w.patience
		if !r.everywhere {
			w.problem("wait=all returned unconfirmed after %v", took)
		}
		if took > most && w.Deployment == nil {
			w.problem("wait=all took %v: want at most %v", took, most)
		}
		w.note("wait=all took %v with all verifiers connected: %v", took.Round(time.Millisecond), !cut)
		if cut {
			nodes[2].recovers(ctx, steady[1], nodes[2].net.Heal)
		}
	}
	return nil
}

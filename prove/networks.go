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
		held, err := w.present(ctx, nodes, "known", "gone", "steady")
		if err != nil {
			return err
		}
		known, gone, steady := held[0], held[1], held[2]
		if err := w.revokeSubject(ctx, known); err != nil { // before the fault
			return err
		}
		awaitRefusal(ctx, nodes, known, 2*w.Bound)
		at, mend := nodes[1].breakBy(ctx, fault)
		pause(ctx, w.Bound/2)
		if err := w.revokeSubject(ctx, gone); err != nil {
			return err
		}
		var asking sync.WaitGroup
		asking.Go(func() { awaitRefusal(ctx, nodes, gone, 4*w.Bound) })
		// What knows nothing new for longer than D must not answer for anybody.
		nodes[1].forbear(ctx, steady[1], at+w.bound(), w.Bound, "cut off for longer than D")
		pause(ctx, at+3*w.Bound-w.now())
		nodes[1].recovers(ctx, steady[1], mend)
		asking.Wait()
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

// breakBy breaks a network by fault, again and again, until mend. From at on nothing
// gets through.
func (n *node) breakBy(ctx context.Context, fault func(context.Context, *node)) (at time.Duration, mend func()) {
	fault(ctx, n)
	pause(ctx, n.w.Bound/20)
	fault(ctx, n) // also to a connection that was being made the first time
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
		stop := askAll(ctx, nodes, gone)
		r, err := w.revoke(ctx, "subject", gone[0].subject, true)
		if err == nil {
			pause(ctx, w.Bound/2)
		}
		stop()
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

// askAll has every node asked about every credential until stop, which waits.
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

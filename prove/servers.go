package prove

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// everyScope revokes by each scope. The next login must be good at once.
func everyScope(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, 2)
	if err != nil {
		return err
	}
	for _, scope := range []string{"session", "token", "subject", "others", "client", "key", "all"} {
		for range 3 {
			if err := w.oneScope(ctx, nodes, scope); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneScope signs in, revokes by scope, and signs in again.
func (w *world) oneScope(ctx context.Context, nodes []*node, scope string) error {
	client, err := w.ownClient(ctx)
	if err != nil {
		return err
	}
	if scope == "others" { // a copy of another client opens no account
		client = defaultClient
	}
	all, err := w.oneOf(ctx, scope, client)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		for _, c := range all {
			n.mustSay(ctx, c, accepted, "just signed in")
		}
	}
	victim := all[1] // the JWT: the client can read all its ids
	id := map[string]string{
		"session": victim.sid, "token": victim.token, "subject": victim.subject, "client": victim.client, "key": victim.key,
	}[scope]
	if scope == "key" { // the same key signed the token inside the JWE, which the client cannot read
		all[3].key = victim.key
	}
	var r *revocation
	if scope == "others" {
		r, err = w.endOthers(ctx, w.direct, victim)
	} else {
		r, err = w.revoke(ctx, scope, id, false)
	}
	if err != nil {
		return err
	}
	next, err := w.oneOf(ctx, scope, client)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		for _, c := range all {
			want := accepted
			if surely, _ := r.covers(c); surely {
				want = refused
			}
			if !n.until(ctx, c, want, 3*w.Bound+w.patience) {
				w.problem("%v credential after a revocation with scope %s: never %v", c.carrier, scope, want)
			}
		}
		for _, c := range next {
			if !n.until(ctx, c, accepted, w.Bound+w.patience) {
				w.problem("%v credential issued after a revocation with scope %s: never accepted", c.carrier, scope)
			}
		}
	}
	return nil
}

// serverKilled kills the server at the first step of a revocation, then at the second, and so
// on, until a revocation has no such step. After each kill it repeats the revocation, which
// must be safe.
func serverKilled(ctx context.Context, w *world) error {
	k := &killing{world: w, plan: childPlan{Place: w.place.Name, Server: &w.plan}}
	if err := k.start(); err != nil {
		return err
	}
	defer func() { k.server.kill() }()
	var err error
	if k.nodes, err = w.startNodes(ctx, 2); err != nil {
		return err
	}
	held, err := w.present(ctx, k.nodes, "steady")
	if err != nil {
		return err
	}
	k.steady = held[0]
	for step := 1; ctx.Err() == nil; step++ {
		survived, err := k.killAt(ctx, step)
		if err != nil {
			return err
		}
		if survived {
			w.note("killed at each of the %d steps", step-1)
			break
		}
	}
	return nil
}

type killing struct {
	*world
	plan   childPlan
	server *process
	nodes  []*node
	steady []*credential
}

func (k *killing) start() error {
	server, first, err := startChild(k.Child, k.plan)
	if err != nil {
		return err
	}
	k.server = server
	k.useKey(first.Key)
	return nil
}

// killAt kills the server at a step of a revocation, and restarts it. It reports whether the
// server survived, because the revocation has no such step.
func (k *killing) killAt(ctx context.Context, step int) (survived bool, err error) {
	held, err := k.present(ctx, k.nodes, "gone")
	if err != nil {
		return false, err
	}
	gone := held[0]
	if _, err := k.server.ask(childAsk{KillAt: step}); err != nil {
		return false, err
	}
	scope, id := "session", gone[1].sid
	if step%2 == 0 {
		scope, id = "subject", gone[0].subject
	}
	before := k.now()
	if _, err = k.revoke(ctx, scope, id, false); err == nil {
		awaitRefusal(ctx, k.nodes, gone[1:2], 4*k.Bound+k.patience)
		return true, nil
	}
	<-k.server.ended
	k.direct.CloseIdleConnections()
	if err := k.start(); err != nil {
		return false, err
	}
	if k.lossy { // the log is new: every older credential is refused
		k.revocation(&revocation{span: span{before, k.now()}, scope: "all", acked: true})
		if k.steady, err = k.one(ctx, "steady"); err != nil {
			return false, err
		}
	}
	if err := k.again(ctx, scope, id); err != nil {
		return false, err
	}
	for _, n := range k.nodes {
		for _, c := range gone {
			if (k.lossy || scope == "subject" || c.sid == id) && !n.until(ctx, c, refused, 4*k.Bound+k.patience) {
				k.problem("step %d: a revoked %v credential is never refused", step, c.carrier)
			}
		}
		for _, c := range k.steady {
			if !n.until(ctx, c, accepted, 4*k.Bound+k.patience) {
				k.problem("step %d: a good %v credential is never accepted again", step, c.carrier)
			}
		}
	}
	return false, nil
}

// again revokes twice what may already be revoked. The two receipts for a session must be the
// same. A store that lost everything has no such session.
func (w *world) again(ctx context.Context, scope, id string) error {
	a, err := w.revoke(ctx, scope, id, false)
	if refused, ok := errors.AsType[*api.Error](err); ok && refused.Status == http.StatusNotFound && w.lossy {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := w.revoke(ctx, scope, id, false)
	if err != nil {
		return err
	}
	if scope == "session" && (a.epoch != b.epoch || a.seq != b.seq) {
		w.problem("two receipts of one revocation: %v and %v", a.cursor(), b.cursor())
	}
	return nil
}

// storeGone makes every call of the store fail while the server runs.
func storeGone(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, 3)
	if err != nil {
		return err
	}
	held, err := w.present(ctx, nodes, "gone", "steady")
	if err != nil {
		return err
	}
	gone, steady := held[0], held[1]
	w.store.Inject(storetest.Fault{})
	at := w.now()
	if err := w.revokeSubject(ctx, gone); err == nil {
		w.problem("the server acknowledged a revocation without a store")
	}
	for ctx.Err() == nil && w.now() <= at+w.bound() {
		for _, n := range nodes {
			_, _ = n.ask(ctx, steady[1])
		}
		pause(ctx, w.Bound/50)
	}
	for _, n := range nodes {
		n.mustSay(ctx, steady[1], unknown, "no store for longer than D")
	}
	w.store.Heal()
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() { n.recovers(ctx, steady[1], func() {}) })
	}
	all.Wait()
	if err := w.revokeSubject(ctx, gone); err != nil {
		return err
	}
	awaitRefusal(ctx, nodes, gone, 2*w.Bound)
	return nil
}

// commitOrder revokes from many goroutines at once. The commits of the store take different
// times. A verifier that has reached the cursor of a receipt must have read every entry up to
// the cursor.
func commitOrder(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, 2)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(w.Seed, 0))
	for n := range 64 {
		w.store.Inject(storetest.Fault{Op: storetest.OpCommit, After: n, Times: 4, Slow: true, Delay: time.Duration(random.Int64N(int64(w.Bound / 20)))})
	}
	ctx, cancel := context.WithTimeout(ctx, 2*w.Bound)
	defer cancel()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := w.revokeInOrder(ctx, nodes); err != nil && ctx.Err() == nil {
					w.problem("%v", err)
					return
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (w *world) revokeInOrder(ctx context.Context, nodes []*node) error {
	c, err := w.login(ctx, w.subject("order"), defaultClient, carriers[1])
	if err != nil {
		return err
	}
	for _, n := range nodes {
		_, _ = n.ask(ctx, c)
	}
	r, err := w.revoke(ctx, "session", c.sid, false)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		v := n.real()
		if v == nil {
			continue
		}
		if err := v.WaitFor(ctx, r.cursor()); err != nil {
			return err
		}
		if got, _ := n.ask(ctx, c); got == accepted {
			w.problem("verifier %d has reached %v and accepts the credential that this entry revoked", n.n, r.cursor())
		}
	}
	return nil
}

// oldBackup restores the store from a backup that is older than some acknowledged revocations.
// The verifiers have seen a later head than the store has, so the log must begin another epoch.
func oldBackup(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	kept, err := w.one(ctx, "kept") // in the backup, and never revoked
	if err != nil {
		return err
	}
	gone, err := w.one(ctx, "gone") // in the backup, revoked afterwards
	if err != nil {
		return err
	}
	w.shut()
	restore, err := w.place.Backup(ctx)
	if err != nil {
		return err
	}
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, 2)
	if err != nil {
		return err
	}
	lost, err := w.one(ctx, "lost") // issued after the backup
	if err != nil {
		return err
	}
	all := append(append(kept, gone...), lost...)
	for _, n := range nodes {
		for _, c := range all {
			n.mustSay(ctx, c, accepted, "just signed in")
		}
	}
	if _, err := w.revoke(ctx, "subject", gone[0].subject, false); err != nil {
		return err
	}
	for _, n := range nodes {
		for _, c := range gone {
			n.until(ctx, c, refused, w.Bound)
		}
	}
	epoch := kept[1].epoch
	w.shut()
	before := w.now()
	if err := restore(ctx); err != nil {
		return err
	}
	if err := w.serve(ctx); err != nil {
		return err
	}
	return w.mustBeNewEpoch(ctx, nodes, epoch, before, all)
}

// storeLost restarts a server whose store keeps nothing.
func storeLost(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, 2)
	if err != nil {
		return err
	}
	all, err := w.one(ctx, "gone")
	if err != nil {
		return err
	}
	for _, n := range nodes {
		for _, c := range all {
			n.mustSay(ctx, c, accepted, "just signed in")
		}
	}
	if _, err := w.revoke(ctx, "session", all[0].sid, false); err != nil {
		return err
	}
	epoch := all[1].epoch
	w.shut()
	before := w.now()
	if err := w.serve(ctx); err != nil {
		return err
	}
	return w.mustBeNewEpoch(ctx, nodes, epoch, before, all)
}

// mustBeNewEpoch checks that no credential of the old epoch can be used or refreshed, and that
// new logins are good.
func (w *world) mustBeNewEpoch(ctx context.Context, nodes []*node, epoch uint64, before time.Duration, old []*credential) error {
	w.revocation(&revocation{span: span{before, w.now()}, scope: "all"}) // from now on a verifier may refuse the old credentials
	for _, n := range nodes {
		for _, c := range old {
			if !n.until(ctx, c, refused, 4*w.Bound+w.patience) {
				w.problem("a %v credential of the old epoch is never refused", c.carrier)
			}
		}
	}
	for _, c := range old {
		if c.refresh == "" {
			continue
		}
		if _, err := w.renew(ctx, c); err == nil {
			w.problem("a refresh revives a session of the old epoch")
		}
	}
	next, err := w.one(ctx, "next")
	if err != nil {
		return err
	}
	if next[1].epoch == epoch {
		w.problem("the log goes on in the old epoch")
	}
	for _, n := range nodes {
		for _, c := range next {
			if !n.until(ctx, c, accepted, 4*w.Bound+w.patience) {
				w.problem("a %v credential of the new epoch is never accepted", c.carrier)
			}
		}
		if v := n.real(); v != nil && v.Status().Epochs == 0 {
			w.problem("verifier %d does not count the new epoch", n.n)
		}
	}
	return nil
}

// races revokes a subject while a refresh or a login of the subject runs.
func races(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, 1)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, 3*w.Bound)
	defer cancel()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for short.Err() == nil {
				race := w.raceRefresh
				if worker%2 == 1 {
					race = w.raceLogin
				}
				if err := race(ctx, nodes[0]); err != nil {
					w.problem("%v", err)
					return
				}
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

// raceRefresh refreshes while the subject is revoked. It signs in when the revocation has
// returned. The new login must be good at once, even in the same millisecond.
func (w *world) raceRefresh(ctx context.Context, n *node) error {
	subject := w.subject("race")
	old, err := w.login(ctx, subject, defaultClient, carriers[1])
	if err != nil {
		return err
	}
	var renewed *credential
	var racing sync.WaitGroup
	racing.Go(func() { renewed, _ = w.renew(ctx, old) })
	pause(ctx, time.Duration(rand.Int64N(int64(2*time.Millisecond))))
	_, err = w.revoke(ctx, "subject", subject, false)
	if err != nil {
		return err
	}
	next, err := w.login(ctx, subject, defaultClient, carriers[rand.N(len(carriers))])
	if err != nil {
		return err
	}
	_, _ = n.ask(ctx, next) // P2 judges the outcome
	racing.Wait()
	for _, c := range []*credential{old, renewed} {
		if c != nil && !n.until(ctx, c, refused, 3*w.Bound+w.patience) {
			w.problem("a %v credential survived the revocation of its subject", c.carrier)
		}
	}
	_, _ = n.ask(ctx, next)
	return nil
}

// raceLogin completes a login whose proof is from before the subject was revoked.
func (w *world) raceLogin(ctx context.Context, n *node) error {
	subject := w.subject("race")
	i := w.server.Issuer()
	proven := w.now()
	rev, err := i.SubjectRev(ctx, subject)
	if err != nil {
		return err
	}
	carrier := carriers[rand.N(len(carriers))]
	var issued *issuer.Issued
	var racing sync.WaitGroup
	racing.Go(func() {
		pause(ctx, time.Duration(rand.Int64N(int64(time.Millisecond))))
		issued, _ = i.Login(ctx, login.Proof{Subject: subject, At: time.Now(), SubjectRev: rev}, issuer.Request{Carrier: carrier, Act: audit.Act{}})
	})
	pause(ctx, time.Duration(rand.Int64N(int64(time.Millisecond))))
	if _, err := w.revoke(ctx, "subject", subject, false); err != nil {
		return err
	}
	racing.Wait()
	if issued == nil {
		return nil
	}
	c := &credential{value: issued.Access.Reveal(), carrier: carrier, subject: subject, sid: issued.Session.ID, client: issued.Session.Client, issued: span{proven, proven}}
	if !n.until(ctx, c, refused, 3*w.Bound+w.patience) {
		w.problem("a login proven before its subject was revoked survived")
	}
	return nil
}

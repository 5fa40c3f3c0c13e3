package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/faultnet"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/redis"
)

var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

func url(hosts ...string) string { return "redis://" + strings.Join(hosts, ",") }

func sentinelURL(s *testsvc.Sentinel) string {
	return "redis-sentinel://" + strings.Join(s.Addrs(), ",") + "/" + testsvc.SentinelMaster
}

func thing(id string) store.Record {
	return store.Record{Key: store.Key{Kind: "thing", ID: id}, Owner: "alice", Value: []byte(`{"a":1}`)}
}

// revoke commits a record together with an entry.
func revoke(s *redis.Store, id string) (counterfoil.Cursor, error) {
	return revokeIn(context.Background(), s, id)
}

func revokeIn(ctx context.Context, s *redis.Store, id string) (counterfoil.Cursor, error) {
	return s.Commit(ctx, store.Batch{
		Put:    []store.Record{thing(id)},
		Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: id, Expires: time.Now().Add(time.Hour)}},
	})
}

// until asks every few milliseconds, for a minute at most.
func until(t *testing.T, what string, yes func() error) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	var err error
	for range 3000 {
		if err = yes(); err == nil {
			return
		}
		<-look.C
	}
	t.Fatalf("%s: %v", what, err)
}

// acked is what writers were told is done.
type acked struct {
	mu  sync.Mutex
	ids []string
	at  []counterfoil.Cursor
}

// write revokes from several writers until stop, and passes over what fails: its
// outcome is unknown. Each first success after a failure is counted.
func (a *acked) write(t *testing.T, s *redis.Store, stop <-chan struct{}) (wait func()) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("w%d-%d", w, n)
				at, err := revoke(s, id)
				if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
					t.Errorf("an outage came as %v", err)
				}
				if err == nil {
					a.mu.Lock()
					a.ids, a.at = append(a.ids, id), append(a.at, at)
					a.mu.Unlock()
				}
			}
		})
	}
	return wg.Wait
}

func (a *acked) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ids)
}

// reach waits until n more were acknowledged.
func (a *acked) reach(t *testing.T, n int) {
	t.Helper()
	n += a.count()
	until(t, "acknowledged commits", func() error {
		if got := a.count(); got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// missing are the acknowledged records that the store does not have.
func (a *acked) missing(t *testing.T, s *redis.Store) (ids []string) {
	t.Helper()
	for _, id := range a.ids {
		if _, err := store.One(t.Context(), s, store.Key{Kind: "thing", ID: id}); errors.Is(err, store.ErrNotFound) {
			ids = append(ids, id)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func allEntries(t *testing.T, s *redis.Store) (entries []source.Revocation, head counterfoil.Cursor) {
	t.Helper()
	entries, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return entries, head
}

// REV-09: a durable server that is killed again and again loses nothing that was
// acknowledged, and its log goes on.
func TestKilledWhileWriting(t *testing.T) {
	r := testsvc.StartRedis(t, durable...)
	s := open(t, redis.Options{URL: url(r.Addr())})
	if s.Describe().Durability != store.Durable {
		t.Fatalf("Durability = %s: %s", s.Describe().Durability, s.Describe().WhyLossy)
	}
	_, first := allEntries(t, s)
	var a acked
	stop := make(chan struct{})
	wait := a.write(t, s, stop)
	for range 4 {
		a.reach(t, 50)
		r.Kill()
		r.Restart(t)
	}
	a.reach(t, 50)
	close(stop)
	wait()
	entries, head := allEntries(t, s)
	if head.Epoch != first.Epoch {
		t.Error("a durable server began another epoch after a restart")
	}
	known := map[counterfoil.Cursor]string{}
	for _, e := range entries {
		known[e.At] = e.ID
	}
	for i, id := range a.ids {
		if known[a.at[i]] != id {
			t.Fatalf("the entry of %s at %v is lost", id, a.at[i])
		}
	}
	if lost := a.missing(t, s); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
}

// A server that keeps nothing is another epoch after a restart. Whoever had seen more is
// told so until he begins one himself; whoever has not, is not.
func TestLossyRestart(t *testing.T) {
	r := testsvc.StartRedis(t)
	s := open(t, redis.Options{URL: url(r.Addr())})
	other := open(t, redis.Options{URL: url(r.Addr())})
	if s.Describe().Durability != store.Lossy || s.Describe().WhyLossy == "" {
		t.Fatalf("Durability = %s %q, want lossy, and why", s.Describe().Durability, s.Describe().WhyLossy)
	}
	before, err := revoke(s, "a")
	if err != nil {
		t.Fatal(err)
	}
	allEntries(t, other) // it has seen the entry too
	r.Kill()
	r.Restart(t)
	// Of a connection that the kill broke, a command may be the first to hear: it is an
	// error, never an answer, and the next one has a new connection.
	lost := func(name string, ask func() error) {
		t.Helper()
		var err error
		for range 20 {
			if err = ask(); err == nil || errors.Is(err, store.ErrLost) {
				break
			}
		}
		if !errors.Is(err, store.ErrLost) {
			t.Fatalf("%s after the loss = %v, want ErrLost", name, err)
		}
	}
	for range 2 {
		lost("Log", func() error { _, _, err := s.Log(t.Context(), before, 1); return err })
		lost("Commit", func() error { _, err := revoke(s, "b"); return err })
	}
	fresh := open(t, redis.Options{URL: url(r.Addr())})
	allEntries(t, fresh)
	began, err := s.Commit(t.Context(), store.Batch{NewEpoch: true})
	if err != nil || began.Epoch == before.Epoch || began.Seq != 0 {
		t.Fatalf("Commit with NewEpoch = %v, %v", began, err)
	}
	for name, s := range map[string]*redis.Store{"who began it": s, "who had seen the entry": other, "who had seen none": fresh} {
		if _, head, err := s.Log(t.Context(), before, 1); err != nil || head != began {
			t.Errorf("%s: Log = %v, %v, want %v", name, head, err, began)
		}
	}
}

// Half of a loss counts too: the log deleted, or put back to what it was.
func TestLogIsGone(t *testing.T) {
	r := testsvc.StartRedis(t, durable...)
	s := open(t, redis.Options{URL: url(r.Addr())})
	if _, err := revoke(s, "a"); err != nil {
		t.Fatal(err)
	}
	for name, cmd := range map[string]string{"deleted": "DEL {counterfoil}:log", "put back": "HSET {counterfoil}:head seq 1"} {
		if _, err := revoke(s, name); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Do(strings.Fields(cmd)...); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 1); !errors.Is(err, store.ErrLost) {
			t.Errorf("%s: Log = %v, want ErrLost", name, err)
		}
		if _, err := s.Commit(t.Context(), store.Batch{NewEpoch: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// failover kills the primary while writers write, and wants: no outage that passes for an
// answer, another epoch, and ErrLost if anything acknowledged is gone.
func failover(t *testing.T, s *redis.Store, cut, kill func()) {
	if s.Describe().Durability != store.Lossy || !strings.Contains(s.Describe().WhyLossy, "replicas") {
		t.Errorf("Durability = %s %q, want lossy, for its replicas", s.Describe().Durability, s.Describe().WhyLossy)
	}
	var a acked
	stop := make(chan struct{})
	wait := a.write(t, s, stop)
	a.reach(t, 50)
	cut()
	a.reach(t, 50)
	_, before := allEntries(t, s)
	kill()
	var lost bool
	until(t, "another primary", func() error {
		_, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 1)
		if lost = errors.Is(err, store.ErrLost); lost {
			return nil
		}
		if err == nil && head.Epoch == before.Epoch {
			return errors.New("the old epoch")
		}
		return err
	})
	close(stop)
	wait()
	if gone := a.missing(t, s); len(gone) > 0 && !lost {
		t.Errorf("%d of %d acknowledged commits are lost, and nobody says so", len(gone), len(a.ids))
	} else {
		t.Logf("%d of %d acknowledged commits are lost; ErrLost: %v", len(gone), len(a.ids), lost)
	}
	if _, err := s.Commit(t.Context(), store.Batch{NewEpoch: true}); err != nil {
		t.Fatal(err)
	}
	if at, err := revoke(s, "after"); err != nil || at.Epoch == before.Epoch {
		t.Errorf("after a new epoch: %v, %v", at, err)
	}
}

// With wait=1 nothing is acknowledged that the one replica does not have, so no failover
// loses what was: while it is cut off, each commit is ErrNotReplicated.
func TestSentinelFailoverAfterWaits(t *testing.T) {
	c := testsvc.StartSentinel(t, durable...)
	s := open(t, redis.Options{URL: sentinelURL(c) + "?wait=1", Timeout: time.Second})
	if s.Describe().Durability != store.Durable {
		t.Errorf("Durability = %s: %s", s.Describe().Durability, s.Describe().WhyLossy)
	}
	var a acked
	stop := make(chan struct{})
	wait := a.write(t, s, stop)
	a.reach(t, 50)
	_, before := allEntries(t, s)
	cutOff(t, c)
	if _, err := revoke(s, "cut off"); !errors.Is(err, redis.ErrNotReplicated) {
		t.Errorf("Commit without the replica = %v, want ErrNotReplicated", err)
	}
	if _, err := store.One(t.Context(), s, thing("cut off").Key); err != nil {
		t.Errorf("Get of what only the primary has = %v", err)
	}
	c.Nodes[0].Kill()
	var head counterfoil.Cursor
	until(t, "another primary", func() (err error) {
		_, head, err = s.Log(t.Context(), counterfoil.Cursor{}, 1)
		return err
	})
	close(stop)
	wait()
	if gone := a.missing(t, s); len(gone) > 0 {
		t.Errorf("%d of %d acknowledged commits are lost", len(gone), len(a.ids))
	}
	if head.Epoch == before.Epoch {
		t.Error("a failover began no other epoch")
	}
	if _, err := store.One(t.Context(), s, thing("cut off").Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what the replica never had = %v, want ErrNotFound", err)
	}
}

// A commit waits for its replicas, and says so if they do not answer: it is done at the
// primary then, whole, and the same again finds that.
func TestWaitsForReplicas(t *testing.T) {
	primary, replica := testsvc.StartRedis(t, durable...), testsvc.StartRedis(t, durable...)
	follow := func() {
		if _, err := replica.Do("REPLICAOF", "127.0.0.1", strings.Split(primary.Addr(), ":")[1]); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	makeUser(t, primary, "+wait")
	_, _ = primary.Do("ACL", "SETUSER", "counterfoil", "+waitaof") // refused by a server that has none
	s := open(t, redis.Options{URL: "redis://counterfoil@" + primary.Addr() + "?wait=1", Password: "secret", Timeout: 30 * time.Second})
	soon := func() context.Context { // half of it is waited
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	until(t, "the replica", func() error { return second(s.Commit(t.Context(), store.Batch{})) })
	before, err := revoke(s, "a")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := replica.Do("XLEN", "{counterfoil}:log"); n != "1" {
		t.Errorf("when the commit was acknowledged the replica had %s entries, %v", n, err)
	}
	if _, err := primary.Do("SCRIPT", "FLUSH"); err != nil { // the next one is sent twice
		t.Fatal(err)
	}
	replica.Kill()
	if _, err := revokeIn(soon(), s, "b"); !errors.Is(err, redis.ErrNotReplicated) || errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit without the replica = %v, want ErrNotReplicated", err)
	}
	if _, err := store.One(t.Context(), s, thing("b").Key); err != nil {
		t.Errorf("its record: %v", err)
	}
	if entries, head := allEntries(t, s); len(entries) != 2 || head == before {
		t.Errorf("its entry: %v", entries)
	}
	if _, err := revoke(open(t, redis.Options{URL: url(primary.Addr())}), "b"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same again = %v, want ErrConflict", err)
	}
	if _, err := s.Commit(soon(), store.Batch{}); !errors.Is(err, redis.ErrNotReplicated) {
		t.Errorf("an empty commit, which vouches for what was read, = %v, want ErrNotReplicated", err)
	}
	replica.Restart(t)
	follow()
	until(t, "the replica is back", func() error { return second(s.Commit(t.Context(), store.Batch{})) })
	if n, err := replica.Do("XLEN", "{counterfoil}:log"); n != "2" {
		t.Errorf("the replica that is back has %s entries, %v", n, err)
	}
}

// A replica that had been cut off takes over: what it never heard of is lost, and known to be.
func TestSentinelFailoverLoses(t *testing.T) {
	c := testsvc.StartSentinel(t, durable...)
	s := open(t, redis.Options{URL: sentinelURL(c)})
	failover(t, s, func() { cutOff(t, c) }, c.Nodes[0].Kill)
}

// cutOff has the primary hear no more from its replica, nor the replica from it.
func cutOff(t *testing.T, c *testsvc.Sentinel) {
	t.Helper()
	for _, cmd := range []string{"ACL SETUSER default -psync -sync", "CLIENT KILL TYPE replica"} {
		if _, err := c.Nodes[0].Do(strings.Fields(cmd)...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClusterFailover(t *testing.T) {
	c := testsvc.StartCluster(t, 3, 3, durable...)
	s := open(t, redis.Options{URL: url(c.Addrs()...)})
	waits := open(t, redis.Options{URL: url(c.Addrs()...) + "?wait=1"})
	if _, err := revoke(waits, "waited"); err != nil || waits.Describe().Durability != store.Durable {
		t.Errorf("with wait=1: %v; Durability = %s: %s", err, waits.Describe().Durability, waits.Describe().WhyLossy)
	}
	failover(t, s, func() {}, func() {
		for _, n := range c.Nodes {
			if keys, err := n.Do("HGET", "{counterfoil}:head", "epoch"); err == nil && keys != "" {
				if role, _ := n.Do("ROLE"); strings.HasPrefix(role, "master") {
					n.Kill()
				}
			}
		}
	})
}

// The log is read and written on the primary only (REV-03).
func TestReplicaIsRefused(t *testing.T) {
	c := testsvc.StartSentinel(t)
	if _, err := redis.Open(t.Context(), redis.Options{URL: url(c.Nodes[1].Addr())}); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("Open on a replica = %v, want that it is one", err)
	}
	s := open(t, redis.Options{URL: url(c.Nodes[0].Addr())})
	if _, err := revoke(s, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Nodes[0].Do("REPLICAOF", "127.0.0.1", strings.Split(c.Nodes[1].Addr(), ":")[1]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 1); err == nil {
		t.Error("Log on a primary that was demoted = nil")
	}
	if _, err := store.One(t.Context(), s, thing("a").Key); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get on a primary that was demoted = %v, want an outage", err)
	}
}

// A server that is gone is an outage, and back when it is back, scripts or not.
func TestGoneAndBack(t *testing.T) {
	r := testsvc.StartRedis(t, durable...)
	s := open(t, redis.Options{URL: url(r.Addr()), Timeout: time.Second})
	if _, err := revoke(s, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do("SCRIPT", "FLUSH"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.One(t.Context(), s, thing("a").Key); err != nil {
		t.Errorf("Get after SCRIPT FLUSH = %v", err)
	}
	r.Kill()
	if _, err := store.One(t.Context(), s, thing("a").Key); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get without the server = %v, want an outage", err)
	}
	if _, err := revoke(s, "b"); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit without the server = %v, want an outage", err)
	}
	for range s.List(t.Context(), "thing", "alice") {
		break
	}
	r.Restart(t)
	until(t, "the server is back", func() error { _, err := store.One(t.Context(), s, thing("a").Key); return err })
	if _, err := revoke(s, "c"); err != nil {
		t.Errorf("Commit when the server is back = %v", err)
	}
}

// A server that says nothing is an outage in the end, for as many as ask it with contexts
// that never end, and answers again when it does.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	link, err := faultnet.Listen(testsvc.StartRedis(t).Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close() })
	s := open(t, redis.Options{URL: url(link.Addr()), Timeout: 2 * time.Second})
	if _, err := revoke(s, "a"); err != nil {
		t.Fatal(err)
	}
	get := func() error { return second(store.One(t.Context(), s, thing("a").Key)) }
	for _, mode := range []faultnet.Mode{faultnet.Hold, faultnet.Lose} {
		link.Set(faultnet.Fault{}, faultnet.Fault{Mode: mode})
		var wg sync.WaitGroup
		began := time.Now()
		for range 16 {
			wg.Go(func() {
				if err := get(); err == nil || errors.Is(err, store.ErrNotFound) {
					t.Errorf("Get from a silent server = %v, want an outage", err)
				}
			})
		}
		wg.Wait()
		t.Logf("an outage after %v", time.Since(began))
		link.Heal()
		until(t, "the server speaks again", get)
	}
}

// Full memory is an outage for who wants to sign in, and stops nobody from ending a
// session, from following the log, or from sweeping.
func TestMemoryIsFull(t *testing.T) {
	r := testsvc.StartRedis(t)
	s := open(t, redis.Options{URL: url(r.Addr())})
	if _, err := revoke(s, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{thing("b")}})
	if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Commit with full memory = %v, want an outage", err)
	}
	if _, err := store.One(t.Context(), s, thing("b").Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what was refused = %v, want ErrNotFound", err)
	}
	at, err := s.Commit(t.Context(), store.Batch{
		Delete: []store.Key{thing("a").Key}, Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: "a", Expires: time.Now()}},
	})
	if err != nil {
		t.Fatalf("a revocation with full memory = %v", err)
	}
	if _, head := allEntries(t, s); head != at {
		t.Errorf("head = %v, want %v", head, at)
	}
	if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
		t.Errorf("Sweep with full memory = %v", err)
	}
	// A policy that is set later is told at every sweep.
	if _, err := r.Do("CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lfu"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "allkeys-lfu") {
		t.Errorf("Sweep under allkeys-lfu = %v, want that it drops keys", err)
	}
}

// A large log goes when its time has come, and what lives stays.
func TestTrimming(t *testing.T) {
	s := open(t, redis.Options{URL: url(testsvc.StartRedis(t).Addr())})
	now := time.Now()
	for n := range 200 {
		var b store.Batch
		for i := range 100 {
			expires := now.Add(-time.Hour)
			if n%40 == 0 && i == 0 {
				expires = now.Add(time.Hour)
			}
			b.Revoke = append(b.Revoke, source.Revocation{Scope: source.ScopeSession, ID: fmt.Sprint(n, "-", i), Expires: expires})
		}
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	entries, before := allEntries(t, s)
	if len(entries) != 20000 {
		t.Fatalf("%d entries, want 20000", len(entries))
	}
	if _, err := s.Sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	entries, head := allEntries(t, s)
	if len(entries) != 5 || head != before {
		t.Errorf("%d entries up to %v, want 5 up to %v", len(entries), head, before)
	}
	if _, err := s.Sweep(t.Context(), now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if entries, head := allEntries(t, s); len(entries) != 0 || head != before {
		t.Errorf("%d entries up to %v, want none: an empty log is not a lost one", len(entries), head)
	}
}

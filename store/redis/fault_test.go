package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// until repeats do every few milliseconds until it returns nil, for a minute at most.
func until(t *testing.T, what string, do func() error) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var err error
	for range 3000 {
		if err = do(); err == nil {
			return
		}
		<-ticker.C
	}
	t.Fatalf("%s: %v", what, err)
}

// acked has the acknowledged commits of several writers.
type acked struct {
	mu  sync.Mutex
	ids []string
	at  []counterfoil.Cursor
}

// write starts writers that revoke until stop is closed. They ignore an error, because the
// outcome of that commit is unknown.
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
					t.Errorf("Commit during an outage = %v, want another error", err)
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

// reach waits until n more commits are acknowledged.
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

// missing returns the ids of the acknowledged records that the store does not have.
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

// REV-09: a durable server is killed again and again. It loses no acknowledged commit, and
// its log goes on.
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
	byCursor := map[counterfoil.Cursor]string{}
	for _, e := range entries {
		byCursor[e.At] = e.ID
	}
	for i, id := range a.ids {
		if byCursor[a.at[i]] != id {
			t.Fatalf("the entry of %s at %v is lost", id, a.at[i])
		}
	}
	if lost := a.missing(t, s); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
}

// A server that keeps nothing has another epoch after a restart. A client that has seen a
// later head gets ErrLost until a client begins a new epoch. A client that has seen none
// does not.
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
	allEntries(t, other) // other has seen the entry too
	r.Kill()
	r.Restart(t)
	// A command may be the first to use a connection that the kill broke. It then fails, and
	// the next command gets a new connection.
	lost := func(name string, do func() error) {
		t.Helper()
		var err error
		for range 20 {
			if err = do(); err == nil || errors.Is(err, store.ErrLost) {
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
	for name, s := range map[string]*redis.Store{"the client that began it": s, "a client that had seen the entry": other, "a client that had seen none": fresh} {
		if _, head, err := s.Log(t.Context(), before, 1); err != nil || head != began {
			t.Errorf("%s: Log = %v, %v, want %v", name, head, err, began)
		}
	}
}

// A partial loss is a loss too: the log is deleted, or the head is put back.
func TestPartialLoss(t *testing.T) {
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

// failover kills the primary while writers write. It checks three things: no outage looks
// like an answer; the log has another epoch; the store answers ErrLost if an acknowledged
// commit is lost.
func failover(t *testing.T, s *redis.Store, cut, kill func()) {
	if s.Describe().Durability != store.Lossy || !strings.Contains(s.Describe().WhyLossy, "replicas") {
		t.Errorf("Durability = %s %q, want lossy because of its replicas", s.Describe().Durability, s.Describe().WhyLossy)
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
		t.Errorf("%d of %d acknowledged commits are lost, and no call returned ErrLost", len(gone), len(a.ids))
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

// With wait=1 the store acknowledges a commit only if the one replica has it. So no failover
// loses an acknowledged commit. While the replica is cut off, each commit is ErrNotReplicated.
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
		t.Errorf("Get of a record that only the primary has = %v", err)
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
		t.Errorf("Get of a record that the replica never had = %v, want ErrNotFound", err)
	}
}

// A commit waits for its replicas. If they do not confirm, it is ErrNotReplicated. The whole
// commit is then done at the primary, and the same commit again is a conflict.
func TestWaitsForReplicas(t *testing.T) {
	primary, replica := testsvc.StartRedis(t, durable...), testsvc.StartRedis(t, durable...)
	follow := func() {
		if _, err := replica.Do("REPLICAOF", "127.0.0.1", strings.Split(primary.Addr(), ":")[1]); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	makeUser(t, primary, "+wait")
	_, _ = primary.Do("ACL", "SETUSER", "counterfoil", "+waitaof") // an error if the server has no WAITAOF
	s := open(t, redis.Options{URL: "redis://counterfoil@" + primary.Addr() + "?wait=1", Password: "secret", Timeout: 30 * time.Second})
	soon := func() context.Context { // Commit waits for replicas for half of this time
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
	if _, err := primary.Do("SCRIPT", "FLUSH"); err != nil { // makes the client send the next script twice
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
		t.Errorf("an empty commit, which confirms earlier reads, = %v, want ErrNotReplicated", err)
	}
	replica.Restart(t)
	follow()
	until(t, "the replica is back", func() error { return second(s.Commit(t.Context(), store.Batch{})) })
	if n, err := replica.Do("XLEN", "{counterfoil}:log"); n != "2" {
		t.Errorf("the replica that is back has %s entries, %v", n, err)
	}
}

// A replica that was cut off becomes the primary. The commits that it never got are lost, and
// the store answers ErrLost.
func TestSentinelFailoverLoses(t *testing.T) {
	c := testsvc.StartSentinel(t, durable...)
	s := open(t, redis.Options{URL: sentinelURL(c)})
	failover(t, s, func() { cutOff(t, c) }, c.Nodes[0].Kill)
}

// cutOff ends replication: the primary refuses its replica.
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

// The store reads and writes the log on the primary only (REV-03).
func TestReplicaIsRefused(t *testing.T) {
	c := testsvc.StartSentinel(t)
	if _, err := redis.Open(t.Context(), redis.Options{URL: url(c.Nodes[1].Addr())}); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("Open on a replica = %v, want an error that says so", err)
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

// While the server is down every call is an outage. After a restart the store works again,
// although the server has lost the scripts.
func TestDownAndUpAgain(t *testing.T) {
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
	for range s.List(t.Context(), "thing", "alice", "") {
		break
	}
	r.Restart(t)
	until(t, "the server is back", func() error { _, err := store.One(t.Context(), s, thing("a").Key); return err })
	if _, err := revoke(s, "c"); err != nil {
		t.Errorf("Commit when the server is back = %v", err)
	}
}

// A server is silent. Every call fails in the end, although its context never ends. The store
// works again when the server answers again.
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

// When the memory is full, a login is an outage. Revoking a session, following the log and
// sweeping still work.
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
		t.Errorf("Get of a record whose commit was refused = %v, want ErrNotFound", err)
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
	// A sweep reports an evicting policy that was set after Open.
	if _, err := r.Do("CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lfu"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "allkeys-lfu") {
		t.Errorf("Sweep under allkeys-lfu = %v, want an error that names the policy", err)
	}
}

// A sweep drops the expired entries of a large log, and keeps the others.
func TestSweepOfLargeLog(t *testing.T) {
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

// Moving to a new server is the wish of the operator: a warning says what it costs, and nothing
// in the log is an error. A server that loses its log while it is in use is one.
func TestNewServerIsNoError(t *testing.T) {
	var lines strings.Builder
	log := slog.New(slog.NewTextHandler(&lines, nil))
	open := func(r *testsvc.Redis, seen counterfoil.Cursor) (*redis.Store, counterfoil.Cursor) {
		t.Helper()
		s, err := redis.Open(t.Context(), redis.Options{URL: url(r.Addr()), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Remember(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		at, err := revoke(s, "ses_1")
		if err != nil {
			t.Fatal(err)
		}
		return s, at
	}
	_, at := open(testsvc.StartRedis(t, durable...), counterfoil.Cursor{})
	if lines.Len() > 0 {
		t.Errorf("the first start logs %s", &lines)
	}
	second := testsvc.StartRedis(t)
	s, at := open(second, at)
	if text := lines.String(); strings.Contains(text, "ERROR") || strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "all users sign in again") {
		t.Errorf("a new server logs %s, want one warning", text)
	}
	lines.Reset()
	if _, err := testsvc.RedisDo(second.Addr(), "FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Log(t.Context(), at, 1)
	if !errors.Is(err, store.ErrLost) {
		t.Errorf("Log after a loss = %v, want ErrLost", err)
	}
}

// Package redis keeps records and the log in Redis 7: in a single server, behind Sentinel,
// or in one slot of a Cluster (docs/decisions/0016-redis.md). Call [Open] first. It asks the
// server how durable a commit is; see [Store.Describe].
//
// The store is meant for sessions, grants and the log. Keep users and keys in a store whose
// durability does not depend on the settings of a server.
package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Options of Open.
type Options struct {
	// URL names the servers, see [Place]: redis://HOST:PORT, rediss:// for TLS,
	// redis-sentinel://HOST:PORT,HOST:PORT/NAME.
	URL string

	// Password replaces the password of the URL, so that the URL need not have one.
	Password string

	// Prefix begins every key, so that several stores can share a server; empty:
	// "counterfoil". It is also the hash tag of every key, so it chooses the slot of a
	// Cluster.
	Prefix string

	// Timeout bounds each call whose context ends later; zero: 5 s.
	Timeout time.Duration

	Log *slog.Logger // gets a message when the log begins another epoch; nil: slog.Default()
}

// Store is a [store.Store] in one Redis primary.
type Store struct {
	client   rueidis.Client
	prefix   string   // of all keys
	head     []string // the key of the head, which every script gets
	timeout  time.Duration
	replicas int // how many replicas must have a commit before Commit returns
	log      *slog.Logger
	stop     context.CancelFunc // ends listen
	stopped  chan struct{}      // closed when listen has ended

	mu     sync.Mutex         // guards the rest; never held during a call
	server server             // the primary, as inspect last found it
	fresh  bool               // there was no log when this process connected, and Remember was not called yet
	seen   counterfoil.Cursor // the latest head that this process has seen
	moved  chan struct{}      // closed when the head may have moved, or the store closes
	closed bool
}

// Open connects. It refuses a server that is older than Redis 7, and a server that evicts
// keys: it would drop sessions and revocations.
func Open(ctx context.Context, o Options) (*Store, error) {
	place, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("redis: Options.URL: %w", err)
	}
	if o.Password != "" {
		place.password = o.Password
	}
	if o.Prefix == "" {
		o.Prefix = place.Prefix
	}
	if o.Prefix == "" {
		o.Prefix = "counterfoil"
	}
	if strings.ContainsAny(o.Prefix, "{}") {
		return nil, errors.New("redis: Options.Prefix contains a brace")
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	opt, err := place.options(o.Timeout)
	if err != nil {
		return nil, fmt.Errorf("redis: Options.URL: %w", err)
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("redis: open: %w", err)
	}
	prefix := "{" + o.Prefix + "}:"
	s := &Store{
		client: client, prefix: prefix, head: []string{prefix + "head"}, timeout: o.Timeout, replicas: place.Wait, log: o.Log,
		stopped: make(chan struct{}), moved: make(chan struct{}),
	}
	listen, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.listen(listen)
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("redis: open: %w", err), s.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.inspect(ctx)
	if err != nil {
		return err
	}
	if err := v.usable(); err != nil {
		return err
	}
	s.mu.Lock()
	s.fresh = v.empty
	s.mu.Unlock()
	_, _, err = s.Log(ctx, counterfoil.Cursor{}, 1) // begins the first epoch
	return err
}

var errClosed = errors.New("store is closed")

// usable returns errClosed after Close. The client needs this check: in a Cluster it goes on
// answering after its own Close.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return nil
}

// bounded returns a context that ends with ctx, or at the store's timeout.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// withRetry calls do, and once more if the connection broke: the client notices the restart of
// a server only by a broken connection. do must be safe to repeat. The second call has the
// time that the first has left.
func (s *Store) withRetry(ctx context.Context, do func(ctx context.Context) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	within := deadline{ctx, time.Now().Add(s.timeout)}
	err := do(within)
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered && ctx.Err() == nil {
		bounded, cancel := context.WithDeadline(ctx, within.at)
		defer cancel()
		err = do(bounded)
	}
	return err
}

// deadline is a context with a deadline and no timer: with a timer for each call, look-ups
// by many callers cost some 15 % more. A dial ends at the deadline. A call that waits for an
// answer ends when the connection fails, which Place.options bounds, or when the inner
// context ends.
type deadline struct {
	context.Context
	at time.Time
}

// Deadline implements context.Context.
func (d deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// read runs a script that is safe to repeat.
func (s *Store) read(ctx context.Context, script *rueidis.Lua, args ...string) (m rueidis.RedisMessage, err error) {
	err = s.withRetry(ctx, func(ctx context.Context) error {
		m, err = script.Exec(ctx, s.client, s.head, args).ToMessage()
		return err
	})
	return m, err
}

// Get implements [store.Store]. It is one round trip.
func (s *Store) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records, err := s.fetch(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("redis: get: %w", err)
	}
	return records, nil
}

// fetch returns a record for each key. An absent record has Rev 0.
//
// After the reads fetch sends a write that changes nothing, over the same connection. A
// replica refuses the write, and so does a primary that min-replicas-to-write cuts off. So
// if the write succeeds, the reads were from the authoritative copy (REV-03). A script would
// prove the same. It would cost the server some nine times as much as both commands.
func (s *Store) fetch(ctx context.Context, keys []store.Key) ([]store.Record, error) {
	var answers []rueidis.RedisResult
	err := s.withRetry(ctx, func(ctx context.Context) error {
		commands := make([]rueidis.Completed, 0, len(keys)+1)
		for _, k := range keys {
			id := packID(k.ID)
			commands = append(commands, s.client.B().Hget().Key(s.hashKey(k.Kind, id)).Field(id).Build())
		}
		commands = append(commands, s.client.B().Unlink().Key(s.prefix+"nothing").Build())
		answers = s.client.DoMulti(ctx, commands...)
		return answers[len(keys)].Error()
	})
	if err != nil {
		return nil, err
	}
	records := make([]store.Record, len(keys))
	for i, answer := range answers[:len(keys)] {
		records[i].Key = keys[i]
		b, err := answer.AsBytes()
		if rueidis.IsRedisNil(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if records[i], err = unpackRecord(keys[i], b); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// maxPage is how many records List reads at a time at most. It bounds how long other callers
// wait.
const maxPage = 256

// List implements [store.Store]. It holds all ids in memory at once, because Redis does not
// keep them in order. For owner "" it reads all records of the kind, as for "*": records
// without an owner have no index.
func (s *Store) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		ids, err := s.ids(ctx, kind, owner)
		first, _ := slices.BinarySearch(ids, after+"\x00") // after itself is not meant
		ids = ids[first:]
		for size := 64; err == nil && len(ids) > 0; size = min(2*size, maxPage) {
			keys := make([]store.Key, min(size, len(ids)))
			for i := range keys {
				keys[i] = store.Key{Kind: kind, ID: ids[i]}
			}
			var page []store.Record
			page, err = s.fetch(ctx, keys)
			ids = ids[len(keys):]
			for _, r := range page {
				if r.Rev > 0 && (owner == "*" || r.Owner == owner) && !yield(r, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(store.Record{}, fmt.Errorf("redis: list %s: %w", kind, err))
		}
	}
}

// ids returns, in order, the ids of the records of kind and owner. For "*" and "" it returns
// the ids of all records of the kind.
func (s *Store) ids(ctx context.Context, kind store.Kind, owner string) ([]string, error) {
	var ids []string
	if owner != "*" && owner != "" {
		m, err := s.read(ctx, idsScript, string(kind), packID(owner))
		if err != nil {
			return nil, err
		}
		packed, err := m.AsStrSlice()
		if err != nil {
			return nil, err
		}
		if ids, err = appendIDs(nil, packed); err != nil {
			return nil, err
		}
		slices.Sort(ids)
		return ids, nil
	}
	for next := "0"; next != "256"; {
		m, err := s.read(ctx, idsScript, string(kind), "*", next)
		if err != nil {
			return nil, err
		}
		page, err := m.AsStrSlice()
		if err != nil || len(page) == 0 {
			return nil, errors.Join(errCorrupt, err)
		}
		if ids, err = appendIDs(ids, page[1:]); err != nil {
			return nil, err
		}
		next = page[0]
	}
	slices.Sort(ids)
	return ids, nil
}

func appendIDs(ids, packed []string) ([]string, error) {
	for _, p := range packed {
		id, err := unpackID([]byte(p))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Commit implements [store.Store]. Once the commit is sent, only the deadline of ctx ends the
// wait, not its cancellation: if Commit returned early, the next reader could still see the
// commit happen.
func (s *Store) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := b.Check(); err != nil {
		return counterfoil.Cursor{}, err
	}
	if err := errors.Join(ctx.Err(), s.usable()); err != nil {
		return counterfoil.Cursor{}, fmt.Errorf("redis: commit: %w", err)
	}
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		detached, cancel = context.WithDeadline(detached, deadline)
		defer cancel()
	}
	detached, cancel := s.bounded(detached)
	defer cancel()
	script := commitScript
	if len(b.Put) > 0 && len(b.Revoke) == 0 {
		script = putScript
	}
	client := s.committing()
	answer, err := s.withHead(detached, func(ctx context.Context, head []string) (rueidis.RedisMessage, error) {
		return script.Exec(ctx, client, s.head, appendBatch(head, b)).ToMessage()
	})
	if err == nil {
		err = client.replicated
	}
	if err != nil {
		return counterfoil.Cursor{}, fmt.Errorf("redis: commit: %w", err)
	}
	return s.cursor(answer)
}

// appendBatch appends b as commit.lua reads it.
func appendBatch(args []string, b store.Batch) []string {
	newEpoch := "0"
	if b.NewEpoch {
		newEpoch = "1"
	}
	args = append(args, newEpoch, strconv.Itoa(len(b.Require)))
	for _, r := range b.Require {
		args = append(args, string(r.Kind), packID(r.ID), packRev(r.Rev))
	}
	args = append(args, strconv.Itoa(len(b.DeleteOwned)))
	for _, o := range b.DeleteOwned {
		args = append(args, string(o.Kind), packID(o.Owner))
	}
	args = append(args, strconv.Itoa(len(b.Delete)))
	for _, k := range b.Delete {
		args = append(args, string(k.Kind), packID(k.ID))
	}
	args = append(args, strconv.Itoa(len(b.Put)))
	for _, r := range b.Put {
		args = append(args, string(r.Kind), packID(r.ID), packRev(r.Rev), string(packRecord(r)))
	}
	args = append(args, strconv.Itoa(len(b.Revoke)))
	for _, e := range b.Revoke {
		stride := 1 + rand.Uint64N(1024) // rv is in tokens: it must not tell how many revocations there are
		args = append(args, strconv.FormatUint(stride, 10), string(e.Scope), e.ID, strconv.FormatInt(toUnix(e.Expires), 10), e.Reason)
	}
	return args
}

// packRev returns the packed revision. It is empty for 0, which is never stored.
func packRev(rev uint64) string {
	if rev == 0 {
		return ""
	}
	return string(binary.AppendUvarint(nil, rev))
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	if !closed {
		close(s.moved)
	}
	s.mu.Unlock()
	if !closed {
		s.stop()
		s.client.Close()
	}
	<-s.stopped
	return nil
}

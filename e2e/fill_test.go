package e2e_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
)

// byRequests is how many sessions are made by requests. A node in this process makes the rest,
// with many logins in one commit: a million requests would take too long.
const byRequests = 5000

// fill makes the given number of sessions.
func (c *cluster) fill(many int) {
	c.t.Helper()
	filling := &work{}
	filling.by(16, c.login)
	c.until(filling, int64(min(many, byRequests)))
	filling.stop()
	if filling.failed.Load() > 0 {
		c.t.Fatal(*filling.last.Load())
	}
	if many > byRequests {
		c.fillInside(many)
	}
}

func (c *cluster) fillInside(many int) {
	c.t.Helper()
	begun := time.Now()
	node, closeNode := c.inside()
	defer closeNode()
	var all sync.WaitGroup
	left := atomic.Int64{}
	left.Store(int64(many - len(c.good)))
	for range 512 {
		all.Go(func() {
			for left.Add(-1) >= 0 && !c.t.Failed() {
				s := newcomer()
				carrier, err := source.ParseCarrier(s.carrier)
				if err != nil {
					c.t.Error(err)
					return
				}
				got, err := node.Login(c.t.Context(), login.Proof{Subject: s.Session.Subject, Methods: []string{"pwd"}, At: time.Now()}, issuer.Request{Carrier: carrier})
				if err != nil {
					c.t.Error(err)
					return
				}
				s.Access, s.Refresh, s.Session.ID = got.Access.Reveal(), got.Refresh.Reveal(), got.Session.ID
				c.add(s)
			}
		})
	}
	all.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	c.t.Logf("%s: %d sessions after %v", c.engine.name, len(c.good), time.Since(begun).Round(time.Second))
}

// inside returns one more node on the engine, in this process and without HTTP. Its logins
// share commits.
func (c *cluster) inside() (node *issuer.Issuer, closeNode func()) {
	c.t.Helper()
	var seal [32]byte
	data, err := os.ReadFile(filepath.Join(c.data, "counterfoil.key"))
	if err != nil {
		c.t.Fatal(err)
	}
	copy(seal[:], data)
	users, sessions, closeNode := c.open()
	auth, err := server.Open(c.t.Context(), server.Config{
		Store: users, Sessions: &sharing{Store: sessions}, URL: c.url, SealKey: seal, Idle: 24 * time.Hour, AccessTTL: 15 * time.Minute,
		Offline: true, Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, KeepAudit: -1,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return auth.Issuer(), closeNode
}

// open opens the stores as a node does. Both may be the same store.
func (c *cluster) open() (users, sessions store.Store, closeAll func()) {
	c.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	users, err := postgres.Open(c.t.Context(), postgres.Options{URL: c.engine.store, Log: quiet})
	if err != nil {
		c.t.Fatal(err)
	}
	if c.engine.sessions == "" {
		return users, users, func() { _ = users.Close() }
	}
	if sessions, err = redis.Open(c.t.Context(), redis.Options{URL: c.engine.sessions, Log: quiet}); err != nil {
		c.t.Fatal(err)
	}
	return users, sessions, func() { _ = sessions.Close(); _ = users.Close() }
}

// sharing is a store whose callers share commits: the batches that arrive during one commit
// are the next commit. It is for logins of different subjects, which do not conflict.
type sharing struct {
	store.Store

	mu      sync.Mutex // guards the fields below
	next    *shared
	leading bool
}

type shared struct {
	batch    store.Batch
	required map[store.Key]bool // keys of batch.Require
	head     counterfoil.Cursor
	err      error
	over     chan struct{} // closed when head and err are set
}

func (s *sharing) Commit(_ context.Context, b store.Batch) (counterfoil.Cursor, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &shared{over: make(chan struct{}), required: make(map[store.Key]bool)}
	}
	mine := s.next
	mine.batch.Put = append(mine.batch.Put, b.Put...)
	for _, r := range b.Require {
		if !mine.required[r.Key] {
			mine.required[r.Key] = true
			mine.batch.Require = append(mine.batch.Require, r)
		}
	}
	lead := !s.leading
	s.leading = true
	s.mu.Unlock()
	if lead {
		go s.lead()
	}
	<-mine.over
	return mine.head, mine.err
}

func (s *sharing) lead() {
	for {
		s.mu.Lock()
		mine := s.next
		s.next, s.leading = nil, mine != nil
		s.mu.Unlock()
		if mine == nil {
			return
		}
		mine.head, mine.err = s.Store.Commit(context.Background(), mine.batch)
		close(mine.over)
	}
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil/store"
)

// server is what is known of the process that is the primary.
type server struct {
	run      string // its run id: another one after every restart
	version  int    // major
	evicts   string // how it makes room by dropping keys of its own choice; empty: it does not
	class    store.Durability
	reason   string // why the class is not Durable
	replicas int
	waitaof  bool // it can wait until replicas have a commit on disk

	// unbroken says that a restart goes on with the log, and that no replica can take its
	// place. That replicas are waited for does not make it so: they are behind in what
	// was not acknowledged, and who followed the log may have seen that.
	unbroken bool
}

// known is how head.lua is told.
func (v server) known() string {
	if v.unbroken {
		return v.run + " 1"
	}
	return v.run + " 0"
}

// fit refuses what no setting of this store can mend.
func (v server) fit() error {
	if v.version < 7 {
		return fmt.Errorf("the server is version %d: 7 is needed", v.version)
	}
	if v.evicts != "" {
		return fmt.Errorf("the server has maxmemory-policy %s: it would drop sessions and revocations to make room; set noeviction", v.evicts)
	}
	return nil
}

// tooFew says that commits would wait in vain, or nothing.
func (s *Store) tooFew(v server) string {
	if v.replicas >= s.replicas {
		return ""
	}
	return fmt.Sprintf("wait is %d, and the replicas connected are %d: nobody can sign in or be signed out", s.replicas, v.replicas)
}

// learn asks the primary what it is: once more after a broken connection, which may be
// one that was kept since before a restart.
func (s *Store) learn(ctx context.Context) (v server, err error) {
	v, err = s.ask(ctx)
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered && ctx.Err() == nil {
		v, err = s.ask(ctx)
	}
	if err != nil {
		return server{}, err
	}
	if missing := s.tooFew(v); missing != "" {
		s.log.Warn("redis: " + missing)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = v
	return v, nil
}

// ask puts all questions over one connection, so all answers are of one process.
func (s *Store) ask(ctx context.Context) (v server, err error) {
	err = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		// A command with a key goes first: in a Cluster it picks the node.
		if err := c.Do(ctx, c.B().Exists().Key(s.head[0]).Build()).Error(); err != nil {
			return err
		}
		text, err := c.Do(ctx, c.B().Info().Build()).ToString()
		if err != nil {
			return err
		}
		info := parseInfo(text)
		if info["role"] != "master" {
			return errors.New("the server is a replica")
		}
		// Some hosted servers allow no CONFIG: then nothing is known of the disk.
		fsync, err := c.Do(ctx, c.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap()
		if _, refused := rueidis.IsRedisErr(err); err != nil && !refused {
			return err
		}
		v = s.judge(info, fsync["appendfsync"])
		if s.replicas > 0 { // waits for nobody: does it know how to?
			err := c.Do(ctx, c.B().Waitaof().Numlocal(0).Numreplicas(0).Timeout(1).Build()).Error()
			if _, refused := rueidis.IsRedisErr(err); err != nil && !refused {
				return err
			}
			v.waitaof = err == nil && info["aof_enabled"] == "1"
		}
		return nil
	})
	return v, err
}

func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	return info
}

func (s *Store) judge(info map[string]string, fsync string) server {
	v := server{run: info["run_id"], class: store.Lossy}
	major, _, _ := strings.Cut(info["redis_version"], ".")
	v.version, _ = strconv.Atoi(major) // no number: 0, which is not fit
	v.replicas, _ = strconv.Atoi(info["connected_slaves"])
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" && strings.HasPrefix(policy, "allkeys-") {
		v.evicts = policy
	}
	failsOver := s.client.Mode() != rueidis.ClientModeStandalone
	switch {
	case info["aof_enabled"] != "1":
		v.reason = "appendonly is off: a restart of Redis signs everybody out"
	case fsync == "":
		v.reason = "the server does not say whether appendfsync is always: the last commits may be lost when it dies"
	case fsync != "always":
		v.reason = "appendfsync is " + fsync + ": the last commits may be lost when the server dies"
	case failsOver && v.replicas > 0 && s.replicas == 0:
		v.reason = "replicas are asynchronous: the last commits may be lost when one takes over"
	case failsOver && v.replicas > s.replicas:
		v.reason = fmt.Sprintf("commits wait for %d of %d replicas: the last ones may be lost when another takes over", s.replicas, v.replicas)
	default:
		v.class = store.Durable
		v.unbroken = !failsOver || v.replicas == 0 && s.replicas == 0
	}
	return v
}

// Describe implements store.Store. The store is Durable on a server that writes to disk
// before it answers (appendonly yes, appendfsync always) and that no replica can replace
// which commits do not wait for. It is what was last found out: at Open, after a restart
// or failover, and at each Sweep.
func (s *Store) Describe() store.Description {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Description{Durability: s.server.class, WhyLossy: s.server.reason}
}

// relearn notices settings that were changed while the server runs; unfit says that it
// would be refused now. When it is no longer unbroken, a restart may lose data, so the log
// must not be taken for whole after one.
func (s *Store) relearn(ctx context.Context) (unfit, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.learn(ctx)
	if err != nil || v.unbroken {
		return v.fit(), err
	}
	return v.fit(), softScript.Exec(ctx, s.client, s.head, nil).Error()
}

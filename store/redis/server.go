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

// server describes the process that is the primary.
type server struct {
	run      string // run_id of INFO: a restart changes it
	version  int    // major
	evicts   string // the maxmemory-policy by which the server evicts keys; empty: it evicts none
	class    store.Durability
	reason   string // why the class is not Durable
	replicas int
	empty    bool // there is no log yet
	node     bool // of a Cluster, whose other nodes the client does not know
	waitaof  bool // the server has WAITAOF: it can wait until replicas have a commit on disk

	// unbroken is true if a restart keeps the whole log, and no replica can become the
	// primary. Waiting for replicas is not enough: a replica may lack a commit that was not
	// acknowledged, and a follower of the log may have seen that commit.
	unbroken bool
}

// arg returns v as head.lua reads it.
func (v server) arg() string {
	if v.unbroken {
		return v.run + " 1"
	}
	return v.run + " 0"
}

var errNode = errors.New("the server is a node of a Cluster, and a Unix socket leads to no other node: name the nodes by host and port")

// usable returns an error if the store must not use the server.
func (v server) usable() error {
	if v.version < 7 {
		return fmt.Errorf("the server is version %d: 7 is needed", v.version)
	}
	if v.node {
		return errNode
	}
	if v.evicts != "" {
		return fmt.Errorf("the server has maxmemory-policy %s: it would drop sessions and revocations to make room; set noeviction", v.evicts)
	}
	return nil
}

// tooFew returns a message if fewer replicas are connected than a commit waits for, and
// otherwise the empty text.
func (s *Store) tooFew(v server) string {
	if v.replicas >= s.replicas {
		return ""
	}
	return fmt.Sprintf("wait is %d, and %d replicas are connected: nobody can sign in or be signed out", s.replicas, v.replicas)
}

// inspect asks the primary for its properties and keeps them. It tries again after a broken
// connection, which may date from before a restart.
func (s *Store) inspect(ctx context.Context) (v server, err error) {
	v, err = s.query(ctx)
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered && ctx.Err() == nil {
		v, err = s.query(ctx)
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

// query sends all its commands over one connection, so one process answers all of them.
func (s *Store) query(ctx context.Context) (v server, err error) {
	err = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		// The first command has a key: in a Cluster the key picks the node.
		used, err := c.Do(ctx, c.B().Exists().Key(s.head[0]).Build()).AsBool()
		if answer, ok := rueidis.IsRedisErr(err); ok && s.client.Mode() == rueidis.ClientModeStandalone {
			if _, moved := answer.IsMoved(); moved {
				return errNode
			}
		}
		if err != nil {
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
		// Some hosted servers refuse CONFIG: then fsync stays empty.
		fsync, err := c.Do(ctx, c.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap()
		if _, refused := rueidis.IsRedisErr(err); err != nil && !refused {
			return err
		}
		v = s.classify(info, fsync["appendfsync"])
		v.empty = !used
		if s.replicas > 0 { // waits for 0 replicas: this only tests whether the server has WAITAOF
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

// classify derives the properties of the primary from INFO and appendfsync.
func (s *Store) classify(info map[string]string, fsync string) server {
	v := server{run: info["run_id"], class: store.Lossy}
	major, _, _ := strings.Cut(info["redis_version"], ".")
	v.version, _ = strconv.Atoi(major) // 0 if it is not a number: usable refuses 0
	v.replicas, _ = strconv.Atoi(info["connected_slaves"])
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" && strings.HasPrefix(policy, "allkeys-") {
		v.evicts = policy
	}
	failsOver := s.client.Mode() != rueidis.ClientModeStandalone
	v.node = info["redis_mode"] == "cluster" && !failsOver
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

// Describe implements [store.Store]. The store is durable under two conditions. The server
// writes to disk before it answers (appendonly yes, appendfsync always). And no replica can
// become the primary, except one that commits wait for. The store checks this at [Open], after
// a restart or failover, and at each [Store.Sweep]. Describe returns the latest result.
func (s *Store) Describe() store.Description {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Description{Durability: s.server.class, WhyLossy: s.server.reason}
}

// recheck inspects the server again, because its settings may have changed. unusable is not
// nil if Open would refuse the server now. If the server is not unbroken, a restart may lose
// data. recheck then records in the head that a restart must begin a new epoch.
func (s *Store) recheck(ctx context.Context) (unusable, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.inspect(ctx)
	if err != nil || v.unbroken {
		return v.usable(), err
	}
	return v.usable(), lossyScript.Exec(ctx, s.client, s.head, nil).Error()
}

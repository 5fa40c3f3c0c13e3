package testsvc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Sentinel has a primary with one replica, and three sentinels that watch them. After half a
// second without an answer a sentinel considers a server dead.
type Sentinel struct {
	Nodes     []*Redis // at the start the first is the primary
	Sentinels []*Redis
}

// SentinelMaster is the sentinels' name for the primary.
const SentinelMaster = "counterfoil"

// Addrs returns the addresses of the sentinels.
func (s *Sentinel) Addrs() []string { return addrs(s.Sentinels) }

// StartSentinel starts the five servers. Args go to primary and replica.
func StartSentinel(tb testing.TB, args ...string) *Sentinel {
	tb.Helper()
	s := &Sentinel{}
	tb.Cleanup(func() { discard(s.Sentinels, s.Nodes) })
	if err := s.start(args); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *Sentinel) start(args []string) (err error) {
	if s.Nodes, err = group(2, func(int, int) []string { return args }); err != nil {
		return err
	}
	port := strconv.Itoa(s.Nodes[0].port)
	if _, err := s.Nodes[1].Do("REPLICAOF", "127.0.0.1", port); err != nil {
		return err
	}
	if err := until("replica", func() bool {
		info, err := s.Nodes[0].Do("INFO", "replication")
		return err == nil && strings.Contains(info, "state=online")
	}); err != nil {
		return err
	}
	s.Sentinels, err = group(3, func(int, int) []string { return []string{"--sentinel"} })
	if err != nil {
		return err
	}
	for _, r := range s.Sentinels {
		for _, cmd := range []string{
			"SENTINEL MONITOR " + SentinelMaster + " 127.0.0.1 " + port + " 2",
			"SENTINEL SET " + SentinelMaster + " down-after-milliseconds 500 failover-timeout 5000",
		} {
			if _, err := r.Do(strings.Fields(cmd)...); err != nil {
				return fmt.Errorf("%s: %w", cmd, err)
			}
		}
	}
	return until("quorum that knows the replica", func() bool {
		for _, r := range s.Sentinels {
			info, err := r.Do("INFO", "sentinel")
			if err != nil || !strings.Contains(info, "slaves=1,sentinels=3") {
				return false
			}
		}
		return true
	})
}

// Cluster is a Redis Cluster. The first nodes are the primaries. The others are replicas of
// the primaries, in turn.
type Cluster struct {
	Nodes []*Redis
}

// Addrs returns the addresses of the nodes.
func (c *Cluster) Addrs() []string { return addrs(c.Nodes) }

// StartCluster starts a cluster that covers all slots. Args go to each node.
func StartCluster(tb testing.TB, primaries, replicas int, args ...string) *Cluster {
	tb.Helper()
	c := &Cluster{}
	tb.Cleanup(func() { discard(c.Nodes) })
	if err := c.start(primaries, replicas, args); err != nil {
		tb.Fatal(err)
	}
	return c
}

const slots = 16384

func (c *Cluster) start(primaries, replicas int, args []string) (err error) {
	c.Nodes, err = group(primaries+replicas, func(_, port int) []string {
		// The bus does not use its default port+10000, which may be in use.
		bus, err := freePort()
		if err != nil {
			bus = port + 10000
		}
		return append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
			"--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf"}, args...)
	})
	if err != nil {
		return err
	}
	for i, r := range c.Nodes {
		if i < primaries {
			if _, err := r.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/primaries), strconv.Itoa((i+1)*slots/primaries-1)); err != nil {
				return err
			}
		}
		if err := c.Nodes[0].meet(r); err != nil {
			return err
		}
	}
	if err := c.agreed(); err != nil {
		return err
	}
	for i, r := range c.Nodes[primaries:] {
		id, err := c.Nodes[i%primaries].Do("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		if _, err := r.Do("CLUSTER", "REPLICATE", id); err != nil {
			return err
		}
	}
	return until("replicas in sync", func() bool {
		for _, r := range c.Nodes[primaries:] {
			if info, err := r.Do("INFO", "replication"); err != nil || !strings.Contains(info, "master_link_status:up") {
				return false
			}
		}
		return true
	})
}

func (r *Redis) meet(other *Redis) error {
	if r == other {
		return nil
	}
	bus, err := other.Do("CONFIG", "GET", "cluster-port")
	if err != nil {
		return err
	}
	_, err = r.Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(other.port), strings.TrimPrefix(bus, "cluster-port\n"))
	return err
}

// agreed waits until every node knows every other node and reports that the cluster is up. On
// a busy machine a node may answer too late. The others then forget it, and agreed
// introduces it again.
func (c *Cluster) agreed() error {
	all := fmt.Sprintf("cluster_known_nodes:%d", len(c.Nodes))
	return until("agreement", func() bool {
		met, err := c.Nodes[0].Do("CLUSTER", "NODES")
		if err != nil {
			return false
		}
		for _, r := range c.Nodes {
			if !strings.Contains(met, fmt.Sprintf(":%d@", r.port)) {
				_ = c.Nodes[0].meet(r) // until calls this function again
				return false
			}
			info, err := r.Do("CLUSTER", "INFO")
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, all) {
				return false
			}
		}
		return true
	})
}

func addrs(nodes []*Redis) []string {
	out := make([]string, len(nodes))
	for i, r := range nodes {
		out[i] = r.Addr()
	}
	return out
}

func discard(groups ...[]*Redis) {
	for _, g := range groups {
		for _, r := range g {
			if r != nil && r.proc != nil {
				r.discard()
			}
		}
	}
}

package compare

import (
	"context"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/compare/plain"
)

const (
	connections = 16 // of the load
	nodes       = 3  // of the rows with several nodes
)

// stage is the processes of a run, and the credentials of its callers.
type stage struct {
	b     *bench
	auth  *process
	at    AuthReply
	nodes []*nodeProcess
	keys  map[string]plain.Key

	credentials map[string][][]Credential // by contender, for each node
}

// nodeProcess is a child that is a node.
type nodeProcess struct {
	*process
	address string
}

// open starts the auth server and the first nodes, if they do not run yet.
func (s *stage) open(ctx context.Context, want int) error {
	if s.auth == nil {
		auth, at, err := startAuth(ctx, s.b.Child, s.b.Stores[0].Auth)
		if err != nil {
			return err
		}
		s.auth, s.at = auth, at
		if err := s.makeKeys(); err != nil {
			return err
		}
	}
	for len(s.nodes) < want {
		n, err := s.node(ctx, NodePlan{})
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	return nil
}

func (s *stage) makeKeys() error {
	s.keys = make(map[string]plain.Key)
	for id, alg := range algorithms {
		k, err := plain.MakeKey(alg)
		if err != nil {
			return err
		}
		if id == jwtEncrypted {
			k.Shared = make([]byte, 32)
			copy(k.Shared, s.at.Key) // random, and known here alone
		}
		s.keys[id] = k
	}
	return nil
}

func startAuth(ctx context.Context, command []string, place string) (p *process, at AuthReply, err error) {
	if p, err = startProcess(command); err != nil {
		return nil, at, err
	}
	if err := p.call(ctx, "Auth.Open", place, &at); err != nil {
		p.stop()
		return nil, at, err
	}
	return p, at, nil
}

// node starts a node beside the auth server. Plan has what is unusual about it.
func (s *stage) node(ctx context.Context, plan NodePlan) (*nodeProcess, error) {
	plan.Auth, plan.Key, plan.Keys, plan.Stores = s.at.URL, s.at.Key, s.keys, s.b.Stores
	p, err := startProcess(s.b.Child)
	if err != nil {
		return nil, err
	}
	n := &nodeProcess{process: p}
	if err := p.call(ctx, "Node.Open", plan, &n.address); err != nil {
		p.stop()
		return nil, err
	}
	return n, nil
}

// login makes n credentials of a contender, with the numbers from from on. Those of sessions in
// memory are good at node alone.
func (s *stage) login(ctx context.Context, node *nodeProcess, c Contender, from, n int, life time.Duration) (found []Credential, err error) {
	p, method := node.process, "Node.Login"
	if c.Family == FamilyOurs {
		p, method = s.auth, "Auth.Login"
	}
	return found, p.call(ctx, method, LoginPlan{Contender: c.ID, From: from, N: n, Life: life}, &found)
}

// sets returns the credentials of the callers for each of the first count nodes.
func (s *stage) sets(ctx context.Context, c Contender, count int) ([][]Credential, error) {
	have := s.credentials[c.ID]
	for len(have) < count {
		if len(have) > 0 && c.ID != sessionMemory {
			have = append(have, have[0])
			continue
		}
		set, err := s.login(ctx, s.nodes[len(have)], c, 0, s.b.Callers, time.Hour)
		if err != nil {
			return nil, err
		}
		have = append(have, set)
	}
	s.credentials[c.ID] = have
	return have[:count], nil
}

// load returns a load of a contender on the first count nodes. Every node has seen all callers.
func (s *stage) load(ctx context.Context, c Contender, conns, count int) (*load, error) {
	sets, err := s.sets(ctx, c, count)
	if err != nil {
		return nil, err
	}
	addresses, requests := make([]string, count), make([][][]byte, count)
	for n := range count {
		addresses[n] = s.nodes[n].address
		for _, in := range sets[n] {
			requests[n] = append(requests[n], prepared("GET", "/check/"+c.ID, in.Field))
		}
	}
	l, err := newLoad(ctx, conns, addresses, requests)
	if err != nil {
		return nil, err
	}
	if err := l.warm(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// loads returns a load for each contender.
func (s *stage) loads(ctx context.Context, conns, count int) (map[string]*load, func(), error) {
	all := make(map[string]*load)
	closeAll := func() {
		for _, l := range all {
			l.close()
		}
	}
	for _, c := range s.b.all {
		l, err := s.load(ctx, c, conns, count)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%s: %w", c.ID, err)
		}
		all[c.ID] = l
	}
	return all, closeAll, nil
}

func (s *stage) close() {
	for _, n := range s.nodes {
		n.stop()
	}
	if s.auth != nil {
		s.auth.stop()
	}
}

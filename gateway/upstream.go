package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// upstream is a server that requests are passed to.
type upstream struct {
	spec
	scheme    string // http or https
	host      string // with the port
	transport *http.Transport

	pending atomic.Int64 // requests under way
	failed  atomic.Int64 // when a connection to it failed last, in nanoseconds since 1970
	down    atomic.Bool  // by its health
}

// spec is all that a route says of an upstream. Routes that say the same share it.
type spec struct {
	url      string
	health   Health
	timeouts Timeouts
}

// pool has the upstreams of a route.
type pool []*upstream

// pause is how long an upstream is left out, while there is another one, after a connection to it
// failed.
const pause = time.Second

// pick returns the upstream with the fewest requests under way that is healthy and not among tried,
// or nil. Of several it takes one after the other.
func (p pool) pick(turn uint64, now time.Time, tried []*upstream) *upstream {
	var best *upstream
	var least int64
	for n := range p {
		u := p[(uint64(n)+turn)%uint64(len(p))]
		if u.down.Load() || slices.Contains(tried, u) {
			continue
		}
		load := u.pending.Load()
		if now.UnixNano()-u.failed.Load() < int64(pause) {
			load += 1 << 32 // the last choice
		}
		if best == nil || load < least {
			best, least = u, load
		}
	}
	return best
}

// at returns u on this upstream.
func (up *upstream) at(u *url.URL) *url.URL {
	moved := *u
	moved.Scheme, moved.Host = up.scheme, up.host
	return &moved
}

// upstreams are those of all routes of a gateway, with their connections. They stay while a route
// names them, also one of another file of routes.
type upstreams struct {
	changed chan struct{} // has room for one

	mu         sync.Mutex // guards the fields below
	all        map[spec]*upstream
	transports map[wire]*http.Transport
}

func newUpstreams() *upstreams {
	return &upstreams{changed: make(chan struct{}, 1), all: map[spec]*upstream{}, transports: map[wire]*http.Transport{}}
}

// connect gives the routes of t their upstreams, and forgets those that no route names. Requests that
// are under way there go on.
func (u *upstreams) connect(t table) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	used, wires := map[spec]*upstream{}, map[wire]*http.Transport{}
	for _, some := range t {
		for _, r := range some {
			for _, text := range r.Upstreams {
				at := spec{text, r.Health, r.Timeouts}
				if used[at] == nil {
					if err := u.addLocked(at, used, wires); err != nil {
						return err
					}
				}
				r.pool = append(r.pool, used[at])
			}
		}
	}
	for w, transport := range u.transports {
		if wires[w] == nil {
			transport.CloseIdleConnections()
		}
	}
	u.all, u.transports = used, wires
	select {
	case u.changed <- struct{}{}:
	default:
	}
	return nil
}

func (u *upstreams) addLocked(at spec, used map[spec]*upstream, wires map[wire]*http.Transport) error {
	to, err := parseUpstream(at.url)
	if err != nil {
		return err
	}
	w := wire{at.timeouts.withDefaults(), to.Scheme == "h2c"}
	if wires[w] == nil {
		if wires[w] = u.transports[w]; wires[w] == nil {
			wires[w] = w.transport()
		}
	}
	if used[at] = u.all[at]; used[at] == nil {
		made := &upstream{spec: at, scheme: to.Scheme, host: to.Host, transport: wires[w]}
		if w.h2c {
			made.scheme = "http"
		}
		used[at] = made
	}
	return nil
}

// now returns the upstreams that routes name.
func (u *upstreams) now() map[spec]*upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.all)
}

// parseUpstream reads the URL of an upstream. It has no path: an upstream gets the path that was
// decided about.
func parseUpstream(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return nil, fmt.Errorf("upstream %q: want a URL such as http://127.0.0.1:8090, https://app.internal or h2c://127.0.0.1:50051", text)
	case u.Scheme+"://"+u.Host != text:
		return nil, fmt.Errorf("upstream %q: want scheme, host and port alone, because a service gets the path that the visitor asks for", text)
	}
	return u, nil
}

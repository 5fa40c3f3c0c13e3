package faultnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// Balancer is a plain HTTP load balancer. Each request goes to the next target, without
// affinity to a client. The balancer asks each target for /readyz, and skips a target that
// does not answer 200. If a target refuses the connection, the request goes to the next
// target. If the request fails later, only a GET goes to the next target: another request may
// already have been done.
type Balancer struct {
	listener net.Listener
	web      http.Server
	via      *http.Transport
	next     atomic.Uint64
	stop     context.CancelFunc
	done     sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	targets []string
	down    map[string]bool
}

const (
	askReady  = 50 * time.Millisecond
	readyIn   = 500 * time.Millisecond
	maxBody   = 1 << 20
	keptConns = 128
)

// Balance starts a balancer on loopback for targets ("host:port").
func Balance(targets ...string) (*Balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Balancer{
		listener: listener, stop: stop, targets: targets, down: make(map[string]bool),
		via: &http.Transport{MaxIdleConnsPerHost: keptConns, DialContext: (&net.Dialer{Timeout: readyIn}).DialContext},
	}
	b.web.Handler = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host },
		Transport: b,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	b.done.Go(func() { _ = b.web.Serve(listener) })
	for _, target := range targets {
		b.done.Go(func() { b.watch(ctx, target) })
	}
	return b, nil
}

// Addr returns the address on which the balancer listens.
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// Close stops the balancer and closes all connections.
func (b *Balancer) Close() error {
	b.stop()
	err := b.web.Close()
	b.done.Wait()
	b.via.CloseIdleConnections()
	return err
}

// watch asks a target again and again whether it is ready.
func (b *Balancer) watch(ctx context.Context, target string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: readyIn}
	for ctx.Err() == nil {
		ready := false
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/readyz", nil)
		if err == nil {
			var res *http.Response
			if res, err = client.Do(r); err == nil {
				ready = res.StatusCode == http.StatusOK
				_ = res.Body.Close()
			}
		}
		b.mu.Lock()
		b.down[target] = !ready
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(askReady):
		}
	}
}

// order returns the targets for one request, in order: first the ready ones, then the
// others, which may be ready again.
func (b *Balancer) order() (ready, others []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.next.Add(1)
	for n := range b.targets {
		target := b.targets[(first+uint64(n))%uint64(len(b.targets))]
		if b.down[target] {
			others = append(others, target)
		} else {
			ready = append(ready, target)
		}
	}
	return ready, others
}

// RoundTrip implements [http.RoundTripper].
func (b *Balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	var err error
	if r.Body != nil {
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxBody)); err != nil {
			return nil, err
		}
	}
	ready, others := b.order()
	for _, target := range append(ready, others...) {
		try := r.Clone(r.Context())
		try.URL.Host = target
		if try.Body = http.NoBody; len(body) > 0 {
			try.Body = io.NopCloser(bytes.NewReader(body))
		}
		var res *http.Response
		if res, err = b.via.RoundTrip(try); err == nil {
			return res, nil
		}
		var op *net.OpError
		refused := errors.As(err, &op) && op.Op == "dial"
		if r.Context().Err() != nil || !refused && r.Method != http.MethodGet {
			break
		}
	}
	return nil, err
}

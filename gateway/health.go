package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// failures is how many looks in a row find an upstream ill before it is left out. One that finds it
// well brings it back.
const failures = 2

// CheckHealth looks after the health of upstreams until ctx ends. Without it all of them count as
// well. It sees routes that SetRoutes brings.
func (g *Gateway) CheckHealth(ctx context.Context) error {
	for ctx.Err() == nil {
		looking, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		for _, u := range g.upstreams.now() {
			if u.health.Path != "" {
				all.Go(func() { g.look(looking, u) })
			}
		}
		select {
		case <-g.upstreams.changed:
		case <-ctx.Done():
		}
		stop()
		all.Wait()
	}
	return nil
}

// look looks at u again and again.
func (g *Gateway) look(ctx context.Context, u *upstream) {
	interval := u.health.Interval
	if interval == 0 {
		interval = 5 * time.Second
	}
	ill := 0
	for {
		if err := u.ask(ctx, interval); err == nil {
			ill = 0
			if u.down.Swap(false) {
				g.opts.Logger.InfoContext(ctx, "upstream is well again", "upstream", u.url)
			}
		} else if ill++; ctx.Err() == nil && ill == failures && !u.down.Swap(true) {
			g.opts.Logger.WarnContext(ctx, "upstream is ill", "upstream", u.url, "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// ask asks for the health of u. It may take as long as the time between two looks, and 5 s at most.
func (u *upstream) ask(ctx context.Context, interval time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, min(interval, 5*time.Second))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.scheme+"://"+u.host+u.health.Path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "counterfoil-gateway")
	res, err := u.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, res.Body, 64<<10)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, res.Body.Close()); err == nil && (res.StatusCode < 200 || res.StatusCode > 399) {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return err
}

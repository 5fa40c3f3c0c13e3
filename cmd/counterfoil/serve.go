package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

type serveCommand struct {
	configFlags
	Demo       bool   `help:"Add demo users and a sample service; in memory unless --store says otherwise."`
	DemoListen string `help:"Address of the demo's sample service." default:"127.0.0.1:8081" placeholder:"ADDR"`
}

// Run serves until a signal arrives.
func (c *serveCommand) Run(ctx context.Context, flags given) error {
	v, err := c.load(flags)
	if err != nil {
		return err
	}
	if c.Demo {
		if c.Production {
			return config.Invalid{{Where: "flag --demo", Problem: "makes users with a public password, which production mode refuses"}}
		}
		if c.Store == "" && c.Sessions == "" {
			c.Store = "memory"
		}
		if v.Origins["registration"] == "default" {
			c.Registration = true
		}
		if v.Origins["log_level"] == "default" {
			c.LogLevel = "warn" // or what the demo prints to read would scroll away
		}
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.level()}))
	slog.SetDefault(log) // packages that were given no logger
	for _, w := range v.Warnings {
		log.Warn("setting", "key", w.Key, "where", w.Where, "problem", w.Problem, "hint", w.Hint)
	}
	s := &service{settings: &c.settings, log: log, metrics: newMetrics(), opsMayFail: c.Demo && v.Origins["ops_listen"] == "default"}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.close()
	if !c.Demo {
		return s.run(ctx, func() error { return nil })
	}
	if err := demoUsers(ctx, s.parts, log); err != nil {
		return err
	}
	return s.run(ctx, func() error { return demo(ctx, s.parts, s.Issuer, c.DemoListen, log) })
}

func (c *settings) level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo // check refuses such a level
	}
	return l
}

// service is a running auth server with its two listeners.
type service struct {
	*settings
	*parts
	log      *slog.Logger
	metrics  *metrics
	observer *observer
	public   net.Listener
	ops      net.Listener // nil: off
	local    net.Listener // the Unix socket for administration; nil: none
	handler  http.Handler
	opsMux   http.Handler
	localMux http.Handler

	opsMayFail bool // a newcomer's demo starts even if something else has that port
}

// open makes everything ready to serve, and serves nothing yet.
func (s *service) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.public, err = net.Listen("tcp", s.Listen); err != nil {
		return fmt.Errorf("%w\nhint: choose another address with --listen", err)
	}
	if s.Issuer == "" {
		s.Issuer = urls.At("http", s.public.Addr().String())
		if s.TLSCert != "" {
			s.Issuer = urls.At("https", s.public.Addr().String())
		}
	}
	err = again(ctx, func() (err error) {
		s.parts, err = s.settings.open(ctx, openOptions{s.metrics.commits, s.metrics.audited(audit.Log(s.log)), true})
		return err
	})
	if err != nil {
		return err
	}
	api, err := server.New(server.Options{
		Issuer: s.issuer, Users: s.users, Passwords: s.passwords,
		URL: s.Issuer, Registration: s.Registration, ClearSiteData: s.ClearSiteData, Logger: s.log,
	})
	if err != nil {
		return err
	}
	if s.Store != "memory" { // a store that others can know of has a folder of its own
		if s.local, err = listenLocal(filepath.Join(s.Data, socketName)); err != nil {
			return err
		}
		s.localMux = localHandler(api)
		if users, _, err := s.users.List(ctx, "", 1); err == nil && len(users) == 0 {
			s.log.Info("there are no users yet", "hint", "counterfoil user add NAME --role admin --invite --data "+s.Data)
		}
	}
	return s.listen(api)
}

// listen makes the handlers and listeners of what api serves.
func (s *service) listen(api *server.Server) (err error) {
	trusted := s.trusted()
	s.observer = &observer{log: s.log, metrics: s.metrics, trusted: trusted}
	s.handler = s.observer.wrap(api)
	s.public = &limited{
		Listener: s.public, most: s.ConnectionsPerAddress, held: map[netip.Addr]int{}, count: s.metrics.connection,
		exempt: trusted.Contain,
	}
	if s.public, err = s.withTLS(s.public, s.log); err != nil {
		return err
	}
	if s.OpsListen == "off" {
		return nil
	}
	known := &state{status: s.issuer.Status, load: s.passwords.Load, now: time.Now}
	if err := s.metrics.registry.Register(known); err != nil {
		return err
	}
	s.opsMux = opsHandler(s.metrics, known, s.observer.wrap(api), s.OpsToken, !urls.Loopback(s.OpsListen))
	if s.ops, err = net.Listen("tcp", s.OpsListen); err != nil && s.opsMayFail {
		s.ops = nil
		s.log.Warn("ops listener", "error", err.Error())
		return nil
	} else if err != nil {
		return fmt.Errorf("%w\nhint: choose another address with --ops-listen, or off", err)
	}
	if !urls.Loopback(s.OpsListen) {
		s.ops, err = s.withTLS(s.ops, s.log)
	}
	return err
}

// trusted are the networks of the proxies; check has seen that they parse.
func (c *settings) trusted() forwarded.Proxies {
	var all forwarded.Proxies
	for _, text := range c.TrustedProxies {
		if n, err := network(text); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// run serves until ctx ends: then /readyz fails for as long as configured, no new
// connection is taken, and what is under way finishes.
func (s *service) run(ctx context.Context, started func() error) error {
	s.printClass("store", s.store)
	if s.sessions != s.store {
		s.printClass("sessions", s.sessions)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 6)
	begin := func(l net.Listener, h http.Handler) { go func() { done <- serveUntil(serving, l, h) }() }
	begin(s.public, s.handler)
	running := 2
	s.log.Info("listening", "address", s.public.Addr().String(), "issuer", s.Issuer)
	if s.ops != nil {
		begin(s.ops, s.opsMux)
		running++
		s.log.Info("ops listening", "address", s.ops.Addr().String())
	}
	if s.local != nil {
		begin(s.local, s.localMux)
		running++
	}
	go func() { s.sweep(serving); done <- nil }()
	if kept := s.settings.seen(); kept.path != "" {
		running++
		go func() { s.remember(serving, kept); done <- nil }()
	}
	if s.sessions != s.store {
		running++
		go func() { s.issuer.Audit().Run(serving); done <- nil }()
	}
	err := started()
	if ctx.Err() != nil {
		err = nil // told to stop while starting: whatever could not be finished is no failure
	}
	if err == nil {
		err = notify("READY=1")
	}
	if err == nil {
		select {
		case <-ctx.Done():
			s.drain()
		case err = <-done: // one of them failed
			running--
		}
	}
	stop()
	for range running {
		err = errors.Join(err, <-done)
	}
	return err
}

// printClass says what of a store survives its end (4.10).
func (s *service) printClass(key string, in store.Store) {
	is := in.Describe()
	if is.Durability == store.Durable {
		s.log.Info("durability", "key", key, "class", string(is.Durability))
		return
	}
	s.log.Warn("durability: what was acknowledged may be lost at a restart", "key", key, "class", string(is.Durability), "why", is.WhyLossy)
}

// drain lets a load balancer see that this server is about to go.
func (s *service) drain() {
	s.observer.draining.Store(true)
	s.log.Info("stopping", "drain", config.Duration(s.Drain))
	if err := notify("STOPPING=1"); err != nil {
		s.log.Warn("notify", "error", err.Error())
	}
	time.Sleep(s.Drain)
}

// close ends what open made.
func (s *service) close() {
	var errs []error
	for _, l := range []net.Listener{s.public, s.ops, s.local} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if s.parts != nil {
		errs = append(errs, s.passwords.Close(), s.closeStores())
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Error("close", "error", err.Error())
	}
}

func (s *service) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			begun := time.Now()
			err := errors.Join(s.users.Finish(ctx), s.issuer.Sweep(ctx))
			s.metrics.sweeps.WithLabelValues(outcome(err)).Observe(time.Since(begun).Seconds())
			if err != nil && ctx.Err() == nil {
				s.log.Error("sweep", "error", err.Error())
			}
		}
	}
}

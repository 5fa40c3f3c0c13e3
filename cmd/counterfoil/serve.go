package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

type serveCommand struct {
	configFlags
	Demo       bool   `help:"Add demo users and a sample service; in memory unless --store says otherwise."`
	DemoListen string `help:"Address of the demo's sample service." default:"127.0.0.1:8081" placeholder:"ADDR"`

	ClockWasSetBack bool `help:"For one start: the clock is right, although it is earlier than the time that the store remembers. Clients refresh all tokens."`
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
		if c.Algorithm == "HS256" {
			return config.Invalid{{Where: v.Origins["algorithm"], Key: "algorithm", Problem: "is HS256, with which only the auth server can check a token: the demo's sample service could not",
				Hint: "leave it out with --demo, or name another algorithm"}}
		}
		if c.Store == "" && c.Sessions == "" {
			c.Store, v.Origins["store"] = "memory", demoOrigin
		}
		if v.Origins["registration"] == config.Default {
			c.Registration, v.Origins["registration"] = true, demoOrigin
		}
		if v.Origins["log_level"] == config.Default {
			c.LogLevel, v.Origins["log_level"] = "warn", demoOrigin // lines of the log would push the text of the demo off the screen
		}
	}
	log, lines := startLog(c.Level(), v.Warnings)
	defer lines.Close()
	s := &service{settings: &c.settings, demo: c.Demo, log: log, metrics: newMetrics(lines.Dropped), origins: v.Origins, clockWasSetBack: c.ClockWasSetBack}
	defer surviveSignals(s.again)()
	// The demo starts even if another program has the port of the ops listener.
	if err := s.open(ctx, c.Demo && v.Origins["ops_listen"] == config.Default); err != nil {
		return err
	}
	defer s.close()
	if !c.Demo {
		return s.run(ctx, func() error { s.inviteAdministrator(ctx); return nil })
	}
	if err := demoUsers(ctx, s.Users(), log); err != nil {
		return err
	}
	return s.run(ctx, func() error { return demo(ctx, s.Users(), s.settings.Issuer, c.DemoListen, log) })
}

// service is a running auth server.
type service struct {
	*settings
	*installation
	demo    bool
	log     *slog.Logger
	metrics *metrics
	origins config.Origins
	web     *ops.Server

	clockWasSetBack bool

	gateway atomic.Pointer[gateway.Gateway] // nil: no proxy may ask, or not yet
	watches atomic.Bool                     // false: nothing is watched, or not yet
}

// again reads what can be read again while the server runs.
func (s *service) again() {
	if s.watches.Load() {
		s.watchAgain()
	}
	if g := s.gateway.Load(); g != nil {
		routesAgain(g, s.GatewayRoutes, false, s.log)
		return
	}
	if !s.watches.Load() {
		nothingAgain(s.log)()
	}
}

// watchAgain reads the file of the monitor again. If it is wrong, all stays as it was.
func (s *service) watchAgain() {
	file, err := s.monitorPlace.file()
	if err == nil {
		err = s.SetMonitor(file)
	}
	if err != nil {
		s.log.Error("the checks stay as they were", "file", s.monitorPlace.Monitor, "error", err.Error())
		return
	}
	s.log.Info("checks", "file", s.monitorPlace.Monitor, "checks", len(file.Checks))
}

// open opens listeners and stores, and serves nothing yet.
func (s *service) open(ctx context.Context, opsOptional bool) (err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	issuer, err := url.Parse(s.settings.Issuer) // checked; if it is empty, so is its path
	if err != nil {
		return err
	}
	if s.web, err = ops.Listen(ops.Options{
		Settings: &s.Settings, Metrics: s.metrics.Metrics, Logger: s.log, Quiet: append([]string{"GET /v1/log", pushPattern}, gatewayPatterns...),
		Base: issuer.Path, NotifySocket: os.Getenv("NOTIFY_SOCKET"), OpsOptional: opsOptional,
	}); err != nil {
		return err
	}
	if s.settings.Issuer == "" {
		s.settings.Issuer = s.web.URL()
	}
	routes, err := s.proxied()
	if err != nil {
		return err
	}
	hashing, err := hashWorker()
	if err != nil {
		return err
	}
	brand, err := s.brand()
	if err != nil {
		return err
	}
	checks, err := s.monitorPlace.file()
	if err != nil {
		return err
	}
	var figures *monitorMetrics
	var ran func(*monitor.Check, monitor.Result)
	if checks != nil {
		figures = newMonitorMetrics(s.metrics.Registry)
		ran = figures.ran
	}
	err = again(ctx, func() (err error) {
		s.installation, err = s.settings.open(ctx, s.metrics.commits, server.Config{
			Brand: brand, HashWorker: hashing, Logger: s.log, Audit: s.metrics.audited(audit.Log(s.log)), Swept: s.metrics.swept,
			Settings: s.shown(), Delivered: s.metrics.delivered, Monitor: checks, Ran: ran, ClockWasSetBack: s.clockWasSetBack, Demo: s.demo, ServeStale: gateway.LongestStale(routes),
		})
		return err
	})
	if err != nil {
		return err
	}
	api := s.Server
	known := &state{status: s.installation.Issuer().Feed().Status, load: s.Hashing, clock: s.Clock().Status, now: s.Clock().Steady, outbox: s.Outbox().Counts, wall: s.Clock().Now}
	if err := s.metrics.Registry.Register(known); err != nil {
		return err
	}
	s.web.Handle(api, map[string]http.Handler{"GET /debug/revocation": http.HandlerFunc(known.page)})
	s.web.Go(func(ctx context.Context) error { <-ctx.Done(); s.installation.Issuer().Feed().Stop(); return nil })
	if err := s.watch(ctx, figures); err != nil {
		return err
	}
	if err := s.openGateway(routes); err != nil {
		return err
	}
	if s.Store == "memory" {
		// Commands do not reach it. They see that it is there, where its folder allows that.
		if err := s.web.HandleLocal(filepath.Join(s.Data, volatileName), http.NotFoundHandler()); err != nil {
			s.log.Debug("commands in this folder will not see that a server runs in memory", "error", err.Error())
		}
		return nil
	}
	return s.web.HandleLocal(filepath.Join(s.Data, socketName), api.LocalAdmin(localActor))
}

// watch shows what the monitor finds, if there is one, in the metrics and to commands.
func (s *service) watch(ctx context.Context, figures *monitorMetrics) error {
	m := s.installation.Monitor()
	if m == nil {
		return nil
	}
	if err := figures.show(m); err != nil {
		return err
	}
	if err := figures.keeps(s.MonitorLost); err != nil {
		return err
	}
	socket := &monitorSocket{Monitor: m, place: s.monitorPlace, log: s.log, known: s.Watched}
	socket.answer(ctx, s.web)
	s.watches.Store(true)
	return nil
}

// demoOrigin is where the demo's own values come from.
const demoOrigin = "flag --demo"

// shown are the settings as administrators see them. A secret has no text.
func (s *service) shown() (all []server.Setting) {
	for _, set := range s.settings.loader().All() {
		all = append(all, server.Setting{Key: set.Key(), Value: set.Text(), Origin: s.origins[set.Key()]})
	}
	return all
}

// run serves until ctx ends, and then until the requests under way have finished.
func (s *service) run(ctx context.Context, started func() error) error {
	s.printClass("store", s.store)
	if s.sessions != s.store {
		s.printClass("sessions", s.sessions)
	}
	s.log.Info("listening", "address", s.web.Addr().String(), "issuer", s.settings.Issuer)
	return s.web.Run(ctx, started)
}

// printClass logs which acknowledged writes survive a crash of the store (docs/revocation.md 4.10).
func (s *service) printClass(key string, in store.Store) {
	is := in.Describe()
	if is.Durability == store.Durable {
		s.log.Info("durability", "key", key, "class", string(is.Durability))
		return
	}
	s.log.Warn("durability: what was acknowledged may be lost at a restart", "key", key, "class", string(is.Durability), "why", is.WhyLossy)
}

// close closes what open has opened.
func (s *service) close() {
	var errs []error
	if s.web != nil {
		errs = append(errs, s.web.Close())
	}
	if s.installation != nil {
		errs = append(errs, s.installation.close())
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Error("close", "error", err.Error())
	}
}

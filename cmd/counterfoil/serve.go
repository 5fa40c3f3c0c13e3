package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

type serveCommand struct {
	dataFlags
	Listen       string `help:"Address to listen on." default:"127.0.0.1:8080"`
	Issuer       string `help:"External URL, https unless loopback. Default: http:// and the address."`
	Registration bool   `help:"Let strangers make themselves an account."`
	DemoListen   string `help:"Address of the demo's sample service." default:"127.0.0.1:8081"`
	Demo         bool   `help:"Add demo users and a sample service; in memory unless --store says otherwise."`
}

// Run serves until a signal arrives.
func (c *serveCommand) Run(ctx context.Context, log *slog.Logger) error {
	if c.Store == "" && c.Demo {
		c.Store = "memory"
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if c.Issuer == "" {
		c.Issuer = "http://" + listener.Addr().String()
	}
	p, err := c.open(ctx, c.Issuer)
	if err != nil {
		return err
	}
	defer p.store.Close()
	handler, err := server.New(server.Options{
		Issuer: p.issuer, Users: p.users, Passwords: p.passwords,
		URL: c.Issuer, Registration: c.Registration, Logger: log,
	})
	if err != nil {
		return err
	}
	if store.DurabilityOf(p.store) == store.Lossy {
		log.Warn("sessions are kept in memory: all of them end with this process")
	}
	go sweep(ctx, p, log)
	log.Info("listening", "address", listener.Addr().String(), "issuer", c.Issuer)

	done := make(chan error, 1)
	go func() { done <- serveUntil(ctx, listener, handler) }()
	if c.Demo {
		if err := demo(ctx, p, c.Issuer, c.DemoListen, log); err != nil {
			return err
		}
	}
	return <-done
}

// serveUntil serves on listener until ctx ends, then lets requests finish. There
// is no write timeout: a verifier's long poll takes up to 30 s.
func serveUntil(ctx context.Context, listener net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := s.Shutdown(late)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close() // only long polls are left, and they lose nothing
		}
		stopped <- err
	}()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func sweep(ctx context.Context, p *parts, log *slog.Logger) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := p.issuer.Sweep(ctx); err != nil && ctx.Err() == nil {
				log.Error("sweep", "error", err.Error())
			}
		}
	}
}

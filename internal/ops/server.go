// Package ops is what a server program has around its handlers: listeners with TLS and a
// limit of connections, an access log, metrics, probes, an ops listener, and
// notifications to systemd. Call [Listen], then [Server.Handle], then [Server.Run].
//
// The package knows nothing of what the handlers do. They answer /healthz and /readyz
// themselves; while the program stops, the package answers /readyz instead.
package ops

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
	"slices"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// Options of Listen.
type Options struct {
	Settings *Settings // checked
	Metrics  *Metrics
	Logger   *slog.Logger

	// Quiet has the patterns of routes that machines ask all the time. Their lines are
	// logged at the level debug, as those of the probes.
	Quiet []string

	Base         string // path below which the handler answers as at the root; its /readyz fails too while the program stops
	NotifySocket string // the variable NOTIFY_SOCKET of sd_notify(3); empty: no systemd
	OpsOptional  bool   // a failure to open the ops listener is logged, and is no error
}

// Server is the listeners and background tasks of one program.
type Server struct {
	opts     Options
	public   net.Listener   // nil: off
	ops      net.Listener   // nil: off
	opened   []net.Listener // Close closes them
	observer *observer
	tasks    []func(context.Context) error
	draining atomic.Bool
}

// Listen opens the listeners and serves nothing yet. If Settings.Listen is "off", there is no public
// one.
func Listen(o Options) (*Server, error) {
	s := &Server{opts: o}
	s.observer = &observer{
		log: o.Logger, metrics: o.Metrics, trusted: o.Settings.Trusted(), draining: &s.draining,
		base: o.Base, quiet: append([]string{"GET /healthz", "GET /readyz"}, o.Quiet...),
	}
	err := s.listenPublic()
	if err == nil {
		err = s.listenOps()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) listenPublic() (err error) {
	if address := s.opts.Settings.Listen; address != "off" {
		s.public, err = s.listenLimited(address, "--listen", s.observer.trusted)
	}
	return err
}

// listenLimited listens with TLS and a limit of connections, which trusted proxies do not have. Flag
// names the address to an operator.
func (s *Server) listenLimited(address, flag string, trusted forwarded.Proxies) (net.Listener, error) {
	l, err := s.listenPlain(address, flag, trusted)
	if err != nil {
		return nil, err
	}
	if s.opts.Settings.TLSCert == "" {
		return headListener{l}, nil
	}
	return s.opts.Settings.withTLS(l, s.opts.Logger, nil)
}

// listenPlain is listenLimited without TLS.
func (s *Server) listenPlain(address, flag string, trusted forwarded.Proxies) (net.Listener, error) {
	l, err := s.listen(address)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: choose another address with %s", err, flag)
	}
	return &limited{
		Listener: l, most: s.opts.Settings.ConnectionsPerAddress, held: map[netip.Addr]int{},
		exempt: trusted.Contain, count: s.opts.Metrics.connection,
	}, nil
}

func (s *Server) listenOps() (err error) {
	address := s.opts.Settings.OpsListen
	if address == "off" {
		return nil
	}
	if s.ops, err = s.listen(address); err != nil && s.opts.OpsOptional {
		s.ops = nil
		s.opts.Logger.Warn("ops listener", "error", err.Error())
		return nil
	} else if err != nil {
		return fmt.Errorf("%w\nhint: choose another address with --ops-listen, or off", err)
	}
	if !urls.Loopback(address) {
		s.ops, err = s.opts.Settings.withTLS(s.ops, s.opts.Logger, nil)
	}
	return err
}

func (s *Server) listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, l)
	return deadlineListener{l}, nil
}

// Addr is the address of the public listener. There must be one.
func (s *Server) Addr() net.Addr { return s.public.Addr() }

// URL is the URL of the public listener.
func (s *Server) URL() string {
	if s.opts.Settings.TLSCert != "" {
		return urls.At("https", s.Addr().String())
	}
	return urls.At("http", s.Addr().String())
}

// Handle makes h what the public listener serves. The ops listener serves the probes of
// h, and pages by their patterns, beside metrics and profiles.
func (s *Server) Handle(h http.Handler, pages map[string]http.Handler) {
	observed := s.observer.wrap(h)
	if s.public != nil {
		s.Go(func(ctx context.Context) error { return serve(ctx, s.strict(s.public), observed, withAddress) })
	}
	if s.ops != nil {
		debug := opsHandler(s.opts.Metrics, pages, observed, s.opts.Settings.OpsToken, !urls.Loopback(s.opts.Settings.OpsListen))
		s.Go(func(ctx context.Context) error { return serve(ctx, s.strict(s.ops), debug, withAddress) })
	}
}

// HandleAt makes h what another listener serves, with TLS, limits and a log as the public one has
// them. Trusted are the proxies in front of it. Flag names its address to an operator. It returns
// the address.
func (s *Server) HandleAt(address, flag string, trusted forwarded.Proxies, h http.Handler) (net.Addr, error) {
	l, err := s.listenLimited(address, flag, trusted)
	if err != nil {
		return nil, err
	}
	o := *s.observer
	o.trusted = trusted
	observed := o.wrap(h)
	s.Go(func(ctx context.Context) error { return serve(ctx, s.strict(l), observed, withAddress) })
	return l.Addr(), nil
}

// HandleLocal makes h what a Unix socket at path serves, to the owner of the process and to
// root only. Its folder must belong to one of them. The handler finds the caller by
// [LocalPeer].
func (s *Server) HandleLocal(path string, h http.Handler) error {
	if _, err := private.Folder(filepath.Dir(path)); err != nil {
		return err
	}
	l, err := listenLocal(path)
	if err != nil {
		return err
	}
	l = &localListener{l, private.Owner(os.Geteuid()), s.opts.Logger}
	s.opened = append(s.opened, l)
	s.Go(func(ctx context.Context) error { return serve(ctx, l, h, withPeer) })
	return nil
}

// Go adds a background task to Run. The task returns when its context ends.
func (s *Server) Go(task func(context.Context) error) { s.tasks = append(s.tasks, task) }

// Run serves and runs the tasks until ctx ends or one of them returns. It calls started
// once, and tells systemd that the program is ready when started returns nil. When ctx ends,
// /readyz fails for as long as Settings.Drain; then no new connection is taken, and
// requests under way finish.
func (s *Server) Run(ctx context.Context, started func() error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, len(s.tasks))
	for _, task := range s.tasks {
		go func() { done <- task(serving) }()
	}
	running := len(s.tasks)
	if s.ops != nil {
		s.opts.Logger.Info("ops listening", "address", s.ops.Addr().String())
	}
	err := started()
	if ctx.Err() != nil {
		err = nil // it was stopped while it started: that is no failure
	}
	if err == nil {
		err = s.notify("READY=1")
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

// drain lets a load balancer see that this server is about to go.
func (s *Server) drain() {
	s.draining.Store(true)
	s.opts.Logger.Info("stopping", "drain", config.Duration(s.opts.Settings.Drain))
	if err := s.notify("STOPPING=1"); err != nil {
		s.opts.Logger.Warn("notify", "error", err.Error())
	}
	time.Sleep(s.opts.Settings.Drain)
}

// Close closes the listeners. After Run it has nothing to do.
func (s *Server) Close() error {
	var errs []error
	for _, l := range slices.Backward(s.opened) {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// writeTimeout is for a request and its answer together: a long poll takes 30 s, and a
// revocation that waits for every verifier a little more than a minute. A client that
// does not read its answer must not hold its connection, and the work for it, for ever.
const writeTimeout = 2 * time.Minute

// stuckTimeout ends a connection of HTTP/2 that takes no byte. writeTimeout ends only its requests.
const stuckTimeout = 30 * time.Second

// protocols are those of every listener. Some proxies and service meshes speak HTTP/2 without TLS
// to what is behind them, with prior knowledge (RFC 9113 section 3.3). There is no upgrade from
// HTTP/1.1: a proxy that passes such a request on would not see the requests after it.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Serve serves on listener until ctx ends, then lets requests finish for 5 s.
func Serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	return serve(ctx, strictListener{listener, nil}, h, withAddress)
}

func serve(ctx context.Context, listener net.Listener, h http.Handler, conn func(context.Context, net.Conn) context.Context) error {
	s := newServer(h, conn)
	s.ReadTimeout, s.WriteTimeout = 15*time.Second, writeTimeout
	return run(ctx, s, listener)
}

// newServer returns a server whose requests may take any time.
func newServer(h http.Handler, conn func(context.Context, net.Conn) context.Context) *http.Server {
	return &http.Server{
		Handler: h, ConnContext: conn, DisableGeneralOptionsHandler: true, ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ConnState: afterHijack,
		Protocols: protocols(), HTTP2: &http.HTTP2Config{WriteByteTimeout: stuckTimeout},
	}
}

// run serves until ctx ends, then lets requests finish for 5 s.
func run(ctx context.Context, s *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := s.Shutdown(late)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close() // only long polls are left: their clients ask again
		}
		stopped <- err
	}()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

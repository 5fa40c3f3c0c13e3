package ops

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// HandleProxy makes h, which passes requests on, what a listener at address serves. No path there
// is the program's own: probes are for [Server.Handle]. A request may take any time, because the
// services behind h decide that, but a client must take what is sent to it. While the program stops, each answer asks the client to use
// another connection for its next request. Flag names the address to an operator. Over, if it is not nil, returns the
// configuration of TLS: it gets that of the settings, which is nil if they have no certificate.
func (s *Server) HandleProxy(address, flag string, h http.Handler, over func(*tls.Config) *tls.Config) (net.Addr, error) {
	l, err := s.listenPlain(address, flag, s.observer.trusted)
	if err == nil {
		l, err = s.opts.Settings.withTLS(stalledListener{l}, s.opts.Logger, over)
	}
	if err != nil {
		return nil, err
	}
	o := *s.observer
	o.proxied = true
	observed := o.wrap(h)
	s.Go(func(ctx context.Context) error { return run(ctx, newServer(observed, withAddress), s.strict(l)) })
	return l.Addr(), nil
}

// HandlePlain makes h what a listener at address serves without TLS, which the client is to use instead. No path there
// is the program's own. Flag names the address to an operator.
func (s *Server) HandlePlain(address, flag string, h http.Handler) (net.Addr, error) {
	l, err := s.listenPlain(address, flag, s.observer.trusted)
	if err != nil {
		return nil, err
	}
	o := *s.observer
	o.proxied = true
	observed := o.wrap(h)
	s.Go(func(ctx context.Context) error { return serve(ctx, s.strict(l), observed, withAddress) })
	return l.Addr(), nil
}

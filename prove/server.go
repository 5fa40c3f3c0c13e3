package prove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

var quiet = slog.New(slog.DiscardHandler)

// authServer is a real auth server on loopback, in this process.
type authServer struct {
	url    string
	key    string // an API key with every scope
	issuer *issuer.Issuer
	web    *http.Server
	served chan error
}

// serverPlan is what an auth server is made of. A server that is started anew on the
// same plan is the same issuer.
type serverPlan struct {
	Listen string        `json:"listen"` // host:port
	Seal   [32]byte      `json:"seal"`
	Bound  time.Duration `json:"bound"`
}

// startServer serves s until stop. It does not close s.
func startServer(ctx context.Context, s store.Store, plan serverPlan) (*authServer, error) {
	listener, err := net.Listen("tcp", plan.Listen)
	if err != nil {
		return nil, err
	}
	a := &authServer{url: "http://" + plan.Listen, served: make(chan error, 1)}
	handler, err := a.build(ctx, s, plan)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a.web = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(quiet.Handler(), 0)}
	go func() { a.served <- a.web.Serve(listener) }()
	return a, nil
}

func (a *authServer) build(ctx context.Context, s store.Store, plan serverPlan) (http.Handler, error) {
	keys, err := keyring.Open(ctx, keyring.Options{Store: s, SealKey: plan.Seal})
	if err != nil {
		return nil, err
	}
	trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}})
	if err != nil {
		return nil, err
	}
	users, err := directory.New(directory.Options{Store: s, Audit: trail})
	if err != nil {
		return nil, err
	}
	a.issuer, err = issuer.New(ctx, issuer.Options{Store: s, Keys: keys, URL: a.url, Audit: trail, MaxBound: plan.Bound})
	if err != nil {
		return nil, err
	}
	guesses, err := throttle.New(throttle.Options{Store: s, Key: a.issuer.Derive("device")})
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(password.Options{Users: users, Throttle: guesses, SubjectRev: a.issuer.SubjectRev})
	if err != nil {
		return nil, err
	}
	_, key, err := users.NewKey(ctx, audit.Act{By: audit.ByLocal}, directory.APIKey{
		Client: "prove", Scopes: []string{directory.ScopeAdmin, directory.ScopeFeed, directory.ScopeIntrospect, directory.ScopeSessions},
	})
	if err != nil {
		return nil, err
	}
	a.key = key.Reveal()
	people, err := accounts.New(accounts.Options{Users: users, Issuer: a.issuer, Passwords: passwords})
	if err != nil {
		return nil, err
	}
	return server.New(server.Options{Issuer: a.issuer, Users: people, Passwords: passwords, URL: a.url, Logger: quiet})
}

// stop ends all connections, and waits.
func (a *authServer) stop() {
	_ = a.web.Close()
	<-a.served
}

// freeAddress is an address that nobody listens on, for a server that must have the
// same one when it comes back. The port is below those that the kernel gives to
// clients, or one of them might have it meanwhile.
func freeAddress() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no free port")
}

package prove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

var quiet = slog.New(slog.DiscardHandler)

// authServer is a real auth server on loopback, in this process.
type authServer struct {
	*server.Embedded
	url    string
	key    string // an API key with every scope
	web    *http.Server
	served chan error
}

// serverPlan is the configuration of an auth server. A server that restarts with the same
// plan is the same issuer.
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
	if err := a.build(ctx, s, plan); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a.web = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(quiet.Handler(), 0)}
	go func() { a.served <- a.web.Serve(listener) }()
	return a, nil
}

func (a *authServer) build(ctx context.Context, s store.Store, plan serverPlan) (err error) {
	a.Embedded, err = server.Open(ctx, server.Config{
		Store: s, URL: a.url, SealKey: plan.Seal, MaxBound: plan.Bound, NoVerifier: true,
		Logger: quiet, Audit: func(audit.Entry) {},
	})
	if err != nil {
		return err
	}
	_, key, err := a.Users().NewKey(ctx, rights.Owner(), audit.Act{By: audit.ByLocal}, directory.APIKey{
		Client: "prove", Scopes: []string{directory.ScopeAdmin, directory.ScopeFeed, directory.ScopeIntrospect, directory.ScopeSessions},
	})
	a.key = key.Reveal()
	return err
}

// stop closes all connections and the server, and waits.
func (a *authServer) stop() {
	_ = a.web.Close()
	<-a.served
	_ = a.Close()
}

// freeAddress returns an address on which no process listens. A server must get the same
// address after a restart. So the port is below the ephemeral ports: otherwise the kernel could
// give it to a client meanwhile. No address is returned twice, because a server listens some time
// after it was chosen.
func freeAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if _, again := chosen.LoadOrStore(address, true); again {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port")
}

var chosen sync.Map // addresses that freeAddress has tried

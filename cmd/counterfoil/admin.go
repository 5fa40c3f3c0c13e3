package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/server"
)

// anyIssuer is the issuer of a command that opens the store itself and makes no token.
const anyIssuer = "http://127.0.0.1:8080"

// socketName is the Unix socket that a server has in its data folder. Only its owner and
// root can open it, so the server treats every caller there as an administrator
// (LOGIN-15).
const socketName = "counterfoil.sock"

// localHandler is what the socket serves: administration, and the public route that sets a
// password with an invitation, which user add calls.
func localHandler(s *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/admin/", s.LocalAdmin())
	mux.Handle("POST /v1/invitations", s)
	return mux
}

// placeFlags are the flags of every command that administers: they name the data folder. All
// other settings come from the environment and the configuration file.
type placeFlags struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	Data       string `type:"path" placeholder:"DIR" help:"Folder of counterfoil.db, counterfoil.key and counterfoil.sock."`
	JSON       bool   `help:"Print JSON."`
}

func (p *placeFlags) load() (*settings, error) {
	c := configFlags{ConfigFile: p.ConfigFile, settings: settings{Data: p.Data}}
	if _, err := c.load(given{"data": p.Data != ""}); err != nil {
		return nil, err
	}
	return &c.settings, nil
}

// admin calls the administration API of the server that runs on the data folder. If none
// runs, it is a server inside this program.
type admin struct {
	api.Client
	close func() error
}

func (p *placeFlags) admin(ctx context.Context, create bool) (*admin, error) {
	c, err := p.load()
	if err != nil {
		return nil, err
	}
	var a *admin
	err = again(ctx, func() error {
		a, err = c.admin(ctx, create)
		return err
	})
	return a, err
}

func (c *settings) admin(ctx context.Context, create bool) (*admin, error) {
	path := filepath.Join(c.Data, socketName)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
		}}
		return &admin{api.Client{URL: localURL, HTTP: client}, func() error { client.CloseIdleConnections(); return nil }}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s %w: permission denied\nhint: run this as the user of the server", path, errUnreachable)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EINVAL):
		return nil, fmt.Errorf("%s %w: %w", path, errUnreachable, err)
	}
	_, err = os.Stat(filepath.Join(c.Data, c.landmark()))
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && !create {
		return nil, fmt.Errorf("%s %w: no %s there\nhint: name the server's folder with --data or COUNTERFOIL_DATA", c.Data, errUnreachable, c.landmark())
	}
	a, err := c.ownAdmin(ctx)
	if err == nil && missing {
		fmt.Fprintf(os.Stderr, "counterfoil: made a new database in %s\n", c.Data)
	}
	return a, err
}

// ownAdmin opens the store itself: no server runs.
func (c *settings) ownAdmin(ctx context.Context) (*admin, error) {
	if c.Issuer == "" {
		c.Issuer = anyIssuer
	}
	in, err := c.open(ctx, nil, server.Config{
		Offline: true, Logger: slog.New(slog.DiscardHandler),
		Audit: func(audit.Entry) {}, // entries are kept in the store
	})
	if err != nil {
		return nil, err
	}
	handler := localHandler(in.Server)
	return &admin{api.Client{URL: localURL, HTTP: inProcess{handler}}, in.close}, nil
}

// localURL is the URL of a server whose connection is known already.
const localURL = "http://local"

// inProcess is a server in this process.
type inProcess struct{ http.Handler }

// Do has the handler answer r.
func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	a := &recorded{header: http.Header{}, status: http.StatusOK}
	p.ServeHTTP(a, r)
	return &http.Response{
		Status: fmt.Sprint(a.status, " ", http.StatusText(a.status)), StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body),
	}, nil
}

// recorded is an answer in memory.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorded) Header() http.Header         { return a.header }
func (a *recorded) WriteHeader(status int)      { a.status = status }
func (a *recorded) Write(p []byte) (int, error) { return a.body.Write(p) }

// answered returns the status of the answer that err is, or 0 if it is none.
func answered(err error) int {
	if refused, ok := errors.AsType[*api.Error](err); ok {
		return refused.Status
	}
	return 0
}

// with calls f with a client. A folder without a store is an error: --data must be wrong.
func (p *placeFlags) with(ctx context.Context, f func(*admin) error) error {
	return p.open(ctx, false, f)
}

// withNew is [placeFlags.with] for commands that come before the first start of a server: it
// makes a store.
func (p *placeFlags) withNew(ctx context.Context, f func(*admin) error) error {
	return p.open(ctx, true, f)
}

func (p *placeFlags) open(ctx context.Context, create bool, f func(*admin) error) error {
	a, err := p.admin(ctx, create)
	if err != nil {
		return err
	}
	err = f(a)
	why := a.close()
	if why == nil && answered(err) == http.StatusServiceUnavailable && !strings.Contains(err.Error(), "\nhint: ") {
		err = fmt.Errorf("%w\nhint: the server's log says why; counterfoil doctor looks at its stores", err)
	}
	return errors.Join(err, why)
}

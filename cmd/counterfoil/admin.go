package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/server"
)

// anyIssuer stands where an issuer's URL is required and no token is made.
const anyIssuer = "http://127.0.0.1:8080"

// socketName is the Unix socket that a server has in its data folder. Whoever can
// open it is its owner, and so an administrator (LOGIN-15).
const socketName = "counterfoil.sock"

// localHandler is what the socket serves: administration, and the one public
// endpoint that makes an invitation a password.
func localHandler(api *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/admin/", api.LocalAdmin())
	mux.Handle("POST /v1/invitations", api)
	return mux
}

// placeFlags say where the data is; every command that administers has them.
// Everything else comes from the environment and the configuration file.
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

// admin is a client of the administration API: of the server that runs on the data
// folder, or when none does, of one inside this program.
type admin struct {
	send  func(*http.Request) (*http.Response, error)
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
		return &admin{client.Do, func() error { client.CloseIdleConnections(); return nil }}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s %w: permission denied\nhint: be the user that the server runs as", path, errUnreachable)
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
	p, err := c.open(ctx, openOptions{hook: func(audit.Entry) {}}) // entries are kept in the store
	if err != nil {
		return nil, err
	}
	api, err := server.New(server.Options{
		Issuer: p.issuer, Users: p.users, Passwords: p.passwords, URL: c.Issuer, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, errors.Join(err, p.closeStores())
	}
	handler := localHandler(api)
	return &admin{func(r *http.Request) (*http.Response, error) {
		a := &recorded{header: http.Header{}, status: http.StatusOK}
		handler.ServeHTTP(a, r)
		return &http.Response{
			Status: fmt.Sprint(a.status, " ", http.StatusText(a.status)), StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body),
		}, nil
	}, func() error { return errors.Join(p.issuer.Audit().Move(context.WithoutCancel(ctx)), p.closeStores()) }}, nil
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

// refused is an answer that is not a 2xx.
type refused struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func (e *refused) Error() string {
	text := strings.ToLower(e.Title[:1]) + e.Title[1:]
	if e.Detail != "" {
		text += ": " + strings.TrimSuffix(e.Detail, ".")
	}
	return text
}

// Is maps the status to an exit code.
func (e *refused) Is(target error) bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return target == errDenied
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return target == errUnreachable
	}
	return false
}

// call makes a request with body as JSON, if there is one, and reads the answer
// into into.
func (a *admin) call(ctx context.Context, method, path string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://local"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := a.send(r)
	if err != nil {
		return fmt.Errorf("server %w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("server %w: %w", errUnreachable, err)
	}
	if res.StatusCode/100 != 2 {
		problem := &refused{}
		if json.Unmarshal(answer, problem) != nil || problem.Title == "" {
			problem.Title = "Status " + res.Status
		}
		problem.Status = res.StatusCode
		return problem
	}
	if into == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// escaped is id as an element of a path.
func escaped(id string) string { return url.PathEscape(id) }

// with opens the administration for f. A folder that no server ever had is not made
// one: it is a wrong --data.
func (p *placeFlags) with(ctx context.Context, f func(*admin) error) error {
	return p.open(ctx, false, f)
}

// withNew is with for what one does before the first start.
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
	var answer *refused
	if why == nil && errors.As(err, &answer) && answer.Status == http.StatusServiceUnavailable && !strings.Contains(err.Error(), "\nhint: ") {
		err = fmt.Errorf("%w\nhint: the server's log says why; counterfoil doctor looks at its stores", err)
	}
	return errors.Join(err, why)
}

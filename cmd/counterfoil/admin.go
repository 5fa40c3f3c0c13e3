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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/server"
)

// anyIssuer is the issuer of a command that opens the store itself and makes no token.
const anyIssuer = "http://127.0.0.1:8080"

// socketName is the Unix socket that a server has in its data folder. Only its owner and
// root can open it, so the server treats every caller there as an administrator
// (LOGIN-15).
const socketName = "counterfoil.sock"

// volatileName is the Unix socket of a server that keeps everything in memory. It serves
// nothing: that it takes a connection tells commands that the server is there. It is another
// than socketName, which may be that of a server with files in the same folder.
const volatileName = "counterfoil-memory.sock"

// localActor names who sent a request through the socket, or runs this command.
func localActor(r *http.Request) string {
	uid, ok := ops.LocalPeer(r.Context())
	if !ok {
		uid = uint32(os.Geteuid()) // nobody else can open the socket
	}
	return audit.ByLocalUser(uid)
}

// placeFlags are the flags of every command that administers: they name the data folder and the
// stores. All other settings come from the environment and the configuration file.
type placeFlags struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	Data       string `type:"path" placeholder:"DIR" help:"Folder of counterfoil.db, counterfoil.key and counterfoil.sock."`
	Store      string `placeholder:"NAME" help:"Store of the server, as serve takes it; needed only while no server runs."`
	Sessions   string `placeholder:"NAME" help:"Store of its sessions, as serve takes it; needed only while no server runs."`
	JSON       bool   `help:"Print JSON."`
}

// load returns the settings, and what [configFlags.load] says of them. Also with an error the
// settings name the data folder, unless unplaced says otherwise.
func (p *placeFlags) load() (*settings, *config.Verdict, error) {
	c := configFlags{ConfigFile: p.ConfigFile, settings: settings{Data: p.Data, Store: p.Store, Sessions: p.Sessions}}
	v, err := c.load(given{"data": p.Data != "", "store": p.Store != "", "sessions": p.Sessions != ""})
	return &c.settings, v, err
}

// unplaced reports whether an error of the configuration leaves open which data folder is meant:
// its setting is wrong, the file cannot be read, or a name is no setting and may be a misspelt one.
func unplaced(err error) bool {
	invalid, _ := errors.AsType[config.Invalid](err)
	return err != nil && (invalid == nil || slices.ContainsFunc(invalid, func(p config.Problem) bool { return p.Key == "" || p.Key == "data" }))
}

// admin calls the administration API of the server that runs on the data folder. If none
// runs, it is a server inside this program.
type admin struct {
	api.Client
	close func() error
	own   bool // no server runs: this process has the stores open

	notes    []string  // for the person, about the stores
	progress *progress // of the command, while it waits for an answer
}

// admin asks the running server, which opened the stores with its own settings: those of this
// command need not be valid, except for the data folder. If no server runs, the command opens the
// stores, and needs all settings.
func (p *placeFlags) admin(ctx context.Context, absent newStore) (*admin, error) {
	c, v, invalid := p.load()
	if unplaced(invalid) {
		return nil, invalid
	}
	var a *admin
	err := again(ctx, func() (err error) {
		if a, err = c.running(ctx); a == nil && err == nil {
			if err = invalid; err == nil {
				a, err = c.admin(ctx, absent, v)
			}
		}
		return err
	})
	return a, err
}

// running connects to the server that runs on the data folder. It returns nil if none runs.
func (c *settings) running(ctx context.Context) (*admin, error) {
	owner, err := private.Folder(c.Data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, untrusted(err)
	}
	path := filepath.Join(c.Data, socketName)
	dial := func(ctx context.Context) (net.Conn, error) { return dialLocal(ctx, path, owner) }
	conn, err := dial(ctx)
	switch {
	case err == nil:
		_ = conn.Close()
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		}}
		return &admin{Client: api.Client{URL: localURL, HTTP: client}, close: func() error { client.CloseIdleConnections(); return nil }}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s %w: permission denied\nhint: run this as the user of the server", path, errUnreachable)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EINVAL):
		return nil, fmt.Errorf("%s %w: %w", path, errUnreachable, err)
	}
	return nil, nil
}

// volatile reports whether a server that keeps everything in memory runs on the data folder.
// A command would not reach it, and what it did in files instead, that server would not know.
func (c *settings) volatile(ctx context.Context) bool {
	owner, err := private.Folder(c.Data)
	if err != nil {
		return false
	}
	conn, err := dialLocal(ctx, filepath.Join(c.Data, volatileName), owner)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// dialLocal connects to the server's socket at path, if the one that listens is the owner of
// the folder or root: a command sends it passwords.
func dialLocal(ctx context.Context, path string, owner private.Owner) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	err = owner.File(path)
	if uid, ok := private.Peer(conn.(*net.UnixConn)); err == nil && ok && !owner.Trusts(uid) {
		err = &private.Error{Path: path, Problem: fmt.Sprintf("is served by user %d, and not by user %d", uid, owner), Hint: "find out who runs that program"}
	}
	if err != nil {
		return nil, errors.Join(untrusted(err), conn.Close())
	}
	return conn, nil
}

// untrusted is an error of the configuration: other users of the machine could change or read
// what this program trusts.
func untrusted(err error) error {
	if bad, ok := errors.AsType[*private.Error](err); ok {
		return config.Invalid{{Where: bad.Path, Problem: bad.Problem, Hint: bad.Hint}}
	}
	return err
}

// admin opens the stores: no server runs. absent says what it does if there are none.
func (c *settings) admin(ctx context.Context, absent newStore, v *config.Verdict) (*admin, error) {
	_, err := os.Stat(filepath.Join(c.Data, c.landmark()))
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && c.volatile(ctx) {
		return nil, fmt.Errorf("%s %w: the server that runs there keeps everything in memory, and takes no commands\n"+
			"hint: begin with one that keeps it in files: mkdir -m 700 DIR; counterfoil serve --demo --store sqlite --data DIR; then name the same DIR with --data here", c.Data, errUnreachable)
	}
	if missing && absent == inMemory && !isPostgres(c.Store) {
		if _, err := os.Stat(c.Data); err == nil {
			c.Store, c.Sessions = "memory", ""
			return c.ownAdmin(ctx)
		}
	}
	if missing && absent != onDisk {
		return nil, c.lacks(c.landmark())
	}
	a, err := c.ownAdmin(ctx)
	if err != nil {
		return nil, err
	}
	if missing {
		a.notes = append(a.notes, "made a new database in "+c.Data)
	}
	for _, w := range v.Warnings { // a wrong store answers too: what it does not have is not found, and not revoked
		if w.Key == "store" || strings.HasPrefix(w.Key, "sessions") {
			a.notes = append(a.notes, fmt.Sprint("warning: ", w))
		}
	}
	return a, nil
}

// lacks is the error of a data folder without a file that a server makes there.
func (c *settings) lacks(name string) error {
	return fmt.Errorf("%s %w: no %s there\nhint: name the server's folder with --data or COUNTERFOIL_DATA", c.Data, errUnreachable, name)
}

// ownAdmin is a server in this process.
func (c *settings) ownAdmin(ctx context.Context) (*admin, error) {
	if c.Issuer == "" {
		c.Issuer = anyIssuer
	}
	in, err := c.open(ctx, nil, server.Config{
		Offline: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: untimed})),
		Audit: func(audit.Entry) {}, // entries are kept in the store
	})
	if err != nil {
		return nil, err
	}
	return &admin{Client: api.Client{URL: localURL, HTTP: inProcess{in.LocalAdmin(localActor)}}, close: in.close, own: true}, nil
}

// untimed leaves the time out of a line of the log, which a command prints at once.
func untimed(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// localURL is the URL of a server whose connection is known already.
const localURL = "http://localhost"

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

// newStore says what a command does in a folder without a store.
type newStore int

const (
	noStore  newStore = iota // it fails: --data must be wrong
	onDisk                   // it makes one: it comes before the first start of a server
	inMemory                 // it goes on as if one had been made, and makes none
)

// with calls f with a client. A folder without a store is an error.
func (p *placeFlags) with(ctx context.Context, f func(*admin) error) error {
	return p.open(ctx, noStore, f)
}

// withNew is [placeFlags.with] for commands that come before the first start of a server: it
// makes a store.
func (p *placeFlags) withNew(ctx context.Context, f func(*admin) error) error {
	return p.open(ctx, onDisk, f)
}

func (p *placeFlags) open(ctx context.Context, absent newStore, f func(*admin) error) error {
	shown := newProgress("opening the store")
	var a *admin
	err := shown.during(func() (err error) {
		a, err = p.admin(ctx, absent)
		return err
	})
	if err != nil {
		return err
	}
	for _, note := range a.notes {
		fmt.Fprintln(os.Stderr, "counterfoil: "+note)
	}
	shown.at(-1, "waiting for the answer")
	a.HTTP, a.progress = shownWhileAsking{a.HTTP, shown}, shown
	err = f(a)
	if ctx.Err() != nil && answered(err) == http.StatusServiceUnavailable {
		err = ctx.Err() // a server in this process answers so when the command is interrupted
	}
	why := a.close()
	if hint := hintFor(err); why == nil && hint != "" && !strings.Contains(err.Error(), "\nhint: ") {
		err = fmt.Errorf("%w\nhint: %s", err, hint)
	}
	return errors.Join(err, why)
}

// hintFor says what to do when the server answers that it cannot do it now. Empty: err is
// another error.
func hintFor(err error) string {
	refused, ok := errors.AsType[*api.Error](err)
	switch {
	case !ok || refused.Status != http.StatusServiceUnavailable:
		return ""
	case refused.Type == "urn:counterfoil:problem:busy":
		return "nothing was done; run the command again when fewer commands and logins are under way"
	}
	return "the server's log says why; counterfoil doctor looks at its stores"
}

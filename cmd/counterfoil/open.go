package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// installation is the open stores that the settings name, and the server on them.
type installation struct {
	*server.Embedded
	store    store.Store // users, keys, clients, audit
	sessions store.Store // sessions and the log; may be store
}

// databaseName is the file of the SQLite store in the data folder.
const databaseName = "counterfoil.db"

// sealName is the file of the key that seals the signing keys.
const sealName = "counterfoil.key"

// openStores opens the store, and the store of sessions, which may be the same one. It returns
// both or none.
func (c *settings) openStores(ctx context.Context) (s, sessions store.Store, seal [32]byte, err error) {
	if c.Store != "memory" {
		if _, err := os.Stat(c.Data); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, seal, fmt.Errorf("%s %w: no such folder\nhint: mkdir -m 700 %s", c.Data, errUnreachable, c.Data)
		}
		if err := c.checkFiles(); err != nil {
			return nil, nil, seal, err
		}
	}
	s, err = c.openNamed(ctx, c.Store, databaseName)
	if err != nil {
		return nil, nil, seal, openError("store", c.Store, err)
	}
	if c.Store == "memory" {
		rand.Read(seal[:])
	} else if seal, err = c.sealKey(ctx, s); err != nil {
		return nil, nil, seal, errors.Join(err, s.Close())
	}
	if !c.apart() {
		return s, s, seal, nil
	}
	sessions, err = c.openNamed(ctx, c.Sessions, sessionsName)
	if err != nil {
		return nil, nil, seal, errors.Join(openError("sessions", c.Sessions, err), s.Close())
	}
	return s, sessions, seal, nil
}

// dataFiles are the files of the data folder that a server trusts.
var dataFiles = []string{databaseName, sessionsName, sealName, headName}

// checkFiles checks who owns the data folder and its files, and who else may change or read
// them.
func (c *settings) checkFiles() error {
	owner, err := private.Folder(c.Data)
	for _, name := range dataFiles {
		if err == nil {
			err = c.checkFile(owner, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return untrusted(err)
}

// checkFile checks a file of the data folder. The seal key may be a mounted secret, or a link to one.
func (c *settings) checkFile(owner private.Owner, name string) error {
	if name != sealName {
		return owner.File(filepath.Join(c.Data, name))
	}
	err := owner.Secret(filepath.Join(c.Data, name))
	if bad, ok := errors.AsType[*private.Error](err); ok && bad.Given {
		return nil
	}
	return err
}

// openError is err of a store that a setting names, with what to do.
func openError(setting, name string, err error) error {
	if errors.Is(err, sqlite.ErrInUse) {
		return fmt.Errorf("%w: %w\nhint: another counterfoil runs on this folder", errUnreachable, err)
	}
	if hint := openHint(name, err); hint != "" {
		return fmt.Errorf("%s %w: %s%w\nhint: %s", setting, errUnreachable, oneLine(err), hidden{err}, hint)
	}
	return fmt.Errorf("%s %w: %w", setting, errUnreachable, err)
}

// patience is how long a server and a command that start together wait for each other.
const patience = 5 * time.Second

// again calls do until another process no longer holds the store.
func again(ctx context.Context, do func() error) error {
	for begun := time.Now(); ; {
		err := do()
		if !errors.Is(err, sqlite.ErrInUse) || time.Since(begun) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// headName is the file in the data folder that holds the latest head this node has seen. It
// is not in the store, so that restoring a backup of the store does not restore it.
const headName = "counterfoil.head"

func (c *settings) head() server.HeadFile { return server.HeadFile(filepath.Join(c.Data, headName)) }

// open opens the stores and the server. It adds the settings to how. Issuer must be set. commits
// measures commits; nil: they are not measured.
func (c *settings) open(ctx context.Context, commits *prometheus.HistogramVec, how server.Config) (*installation, error) {
	s, sessions, seal, err := c.openStores(ctx)
	if err != nil {
		return nil, err
	}
	in := &installation{store: s, sessions: sessions}
	if commits != nil {
		in.store = &timed{s, commits}
		if in.sessions = in.store; c.apart() {
			in.sessions = &timed{sessions, commits}
		}
	}
	how.Store, how.Sessions, how.SealKey = in.store, in.sessions, seal
	in.Embedded, err = server.Open(ctx, c.assembly(how))
	switch {
	case errors.Is(err, keyring.ErrMixed):
		err = config.Invalid{{Where: "algorithm", Problem: err.Error(), Hint: "to change the kind, start with a new --data folder; all users sign in again"}}
	case errors.Is(err, keyring.ErrSealed):
		err = config.Invalid{{Where: filepath.Join(c.Data, sealName), Problem: "is not the key that this store was sealed with", Hint: "put the right file there, from another node or from where you keep a copy"}}
	}
	if err != nil {
		return nil, errors.Join(err, in.closeStores())
	}
	return in, nil
}

// assembly is how with the settings.
func (c *settings) assembly(how server.Config) server.Config {
	how.Hosts = c.Hosts
	how.URL, how.Audience, how.Algorithm = c.Issuer, c.Audience, c.Algorithm
	if key := c.HMACSecret.Reveal(); key != "" && c.Algorithm == "HS256" {
		how.HMACSecret = []byte(key)
	}
	how.MaxSessions = c.MaxSessions
	how.AccessTTL, how.Idle, how.Absolute, how.Grace, how.MaxBound = c.AccessTTL, c.Idle, c.Absolute, c.RefreshGrace, c.MaxBound
	how.RefreshIdle = c.RefreshIdle
	how.LoginsPerSecond = c.LoginRate
	how.Mail = c.mailSettings.options()
	how.SignInByMail = c.MailSignIn && c.Mail != ""
	how.Registration, how.ClearSiteData = c.Registration, c.ClearSiteData
	if how.KeepAudit = c.AuditKeep; c.AuditKeep == 0 {
		how.KeepAudit = -1
	}
	if c.Store != "memory" {
		how.Head = c.head()
	}
	how.NoVerifier = c.GatewayRoutes == "" // it answers the questions of proxies
	return how
}

// close stops the server, then closes its stores.
func (in *installation) close() error { return errors.Join(in.Close(), in.closeStores()) }

func (in *installation) closeStores() error {
	if in.sessions == in.store {
		return in.store.Close()
	}
	return errors.Join(in.sessions.Close(), in.store.Close())
}

// sealKey is the key of the data folder, which has sealed the signing keys in s.
func (c *settings) sealKey(ctx context.Context, s store.Store) ([32]byte, error) {
	key, err := keyring.SealFile(ctx, s, filepath.Join(c.Data, sealName))
	return key, sealProblem(err)
}

// sealProblem is err of package keyring as the program reports it: a file that cannot be trusted
// is an error in the settings.
func sealProblem(err error) error {
	if bad, ok := errors.AsType[*keyring.SealFileError](err); ok {
		return config.Invalid{{Where: bad.Path, Problem: bad.Problem, Hint: bad.Hint}}
	}
	return err
}

// hidden wraps an error for errors.Is and has no text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

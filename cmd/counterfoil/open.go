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

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// parts is an opened installation.
type parts struct {
	store     store.Store // users, keys, clients, audit
	sessions  store.Store // sessions and the log; may be store
	keys      *keyring.Keyring
	users     *accounts.Accounts
	passwords *password.Passwords
	issuer    *issuer.Issuer
}

// databaseName is the file of the SQLite store in the data folder.
const databaseName = "counterfoil.db"

// sealName is the file of the key that the keyring is sealed with.
const sealName = "counterfoil.key"

// openStores opens the store and that of the sessions, which may be the same. Of two
// it returns both or none.
func (c *settings) openStores(ctx context.Context) (s, sessions store.Store, seal [32]byte, err error) {
	if c.Store == "memory" {
		rand.Read(seal[:])
	} else {
		if _, err := os.Stat(c.Data); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, seal, fmt.Errorf("%s %w: no such folder\nhint: mkdir -m 700 %s", c.Data, errUnreachable, c.Data)
		}
		if seal, err = sealingKey(filepath.Join(c.Data, sealName)); err != nil {
			return nil, nil, seal, err
		}
	}
	s, err = c.openNamed(ctx, c.Store, databaseName)
	if err != nil {
		return nil, nil, seal, openError("store", err)
	}
	if !c.apart() {
		return s, s, seal, nil
	}
	sessions, err = c.openNamed(ctx, c.Sessions, sessionsName)
	if err != nil {
		return nil, nil, seal, errors.Join(openError("sessions", err), s.Close())
	}
	return s, sessions, seal, nil
}

func openError(setting string, err error) error {
	if errors.Is(err, sqlite.ErrInUse) {
		return fmt.Errorf("%w: %w\nhint: another counterfoil runs on this folder", errUnreachable, err)
	}
	if hint := openHint(err); hint != "" {
		return fmt.Errorf("%s %w: %w\nhint: %s", setting, errUnreachable, err, hint)
	}
	return fmt.Errorf("%s %w: %w", setting, errUnreachable, err)
}

// openOptions says who is told about what happens.
type openOptions struct {
	commits *prometheus.HistogramVec // measures commits; nil: nobody
	hook    func(audit.Entry)        // hears security events
	serving bool                     // passwords are hashed beside requests: in processes of their own
}

// patience is how long a server and a command that start together wait for each other.
const patience = 5 * time.Second

// again calls do until it does anything but find the store in use.
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

// open opens what the configuration names. Issuer must be set.
func (c *settings) open(ctx context.Context, o openOptions) (*parts, error) {
	s, sessions, seal, err := c.openStores(ctx)
	if err != nil {
		return nil, err
	}
	p := &parts{store: s, sessions: sessions}
	if o.commits != nil {
		p.store = &timed{s, o.commits}
		if p.sessions = p.store; c.apart() {
			p.sessions = &timed{sessions, o.commits}
		}
	}
	if err := p.build(ctx, c, o, seal); err != nil {
		return nil, errors.Join(err, p.closeStores())
	}
	return p, nil
}

func (p *parts) closeStores() error {
	if p.sessions == p.store {
		return p.store.Close()
	}
	return errors.Join(p.sessions.Close(), p.store.Close())
}

func (p *parts) build(ctx context.Context, c *settings, o openOptions, seal [32]byte) error {
	keep := c.AuditKeep
	if keep == 0 {
		keep = -1
	}
	trail, err := audit.New(audit.Options{Store: p.store, Beside: p.sessions, Keep: keep, Hook: o.hook})
	if err != nil {
		return err
	}
	ring := keyring.Options{Store: p.store, SealKey: seal, Alg: token.Alg(c.Algorithm), Now: time.Now}
	if key := c.HMACSecret.Reveal(); key != "" {
		ring.Secret = []byte(key)
	}
	p.keys, err = keyring.Open(ctx, ring)
	if errors.Is(err, keyring.ErrMixed) {
		return config.Invalid{{Where: "algorithm", Problem: err.Error(), Hint: "a new folder for --data begins with the other kind, and nobody signed in"}}
	}
	if errors.Is(err, keyring.ErrSealed) {
		return config.Invalid{{Where: filepath.Join(c.Data, sealName), Problem: "is not the key that this store was sealed with", Hint: "copy the file from another node, or from where you keep it"}}
	}
	if err != nil {
		return err
	}
	users, err := directory.New(directory.Options{Store: p.store, Audit: trail})
	if err != nil {
		return err
	}
	p.issuer, err = issuer.New(ctx, issuer.Options{
		Store: p.sessions, Clients: p.store, Keys: p.keys, URL: c.Issuer, Audience: c.Audience, Audit: trail, Now: time.Now,
		AccessTTL: c.AccessTTL, Idle: c.Idle, Absolute: c.Absolute, Grace: c.RefreshGrace, MaxBound: c.MaxBound,
	})
	if err != nil {
		return err
	}
	seen, err := c.seen().read()
	if err == nil && seen != (counterfoil.Cursor{}) {
		err = p.issuer.Remember(ctx, seen)
	}
	if err != nil {
		return err
	}
	guesses, err := throttle.New(throttle.Options{Store: p.store, Key: p.issuer.Derive("device")})
	if err != nil {
		return err
	}
	proving := password.Options{Users: users, Throttle: guesses, SubjectRev: p.issuer.SubjectRev}
	if o.serving {
		if proving.Worker, err = hashWorker(); err != nil {
			return err
		}
	}
	if p.passwords, err = password.New(proving); err != nil {
		return err
	}
	if p.users, err = accounts.New(accounts.Options{Users: users, Issuer: p.issuer, Passwords: p.passwords}); err != nil || !o.serving {
		return err
	}
	return p.users.Finish(ctx)
}

// makeKey makes a new key, and leaves one that is there: two processes may start at
// once, and one may be killed.
func makeKey(path string) error {
	var key [32]byte
	rand.Read(key[:])
	if err := writeKey(path, key); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeKey writes a key. One that is there is fs.ErrExist.
func writeKey(path string, key [32]byte) error { return writeWhole(path, key[:], os.Link) }

// writeWhole writes a file that nobody else may read, whole or not at all. os.Rename as
// place replaces one that is there, os.Link does not.
func writeWhole(path string, data []byte, place func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after os.Rename
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), path)
}

// sealingKey reads the key that the keyring is sealed with, and makes it at the
// first run. It lies beside the database, not in it: a copy of the database alone
// signs nothing.
func sealingKey(path string) (key [32]byte, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return key, err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return key, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return key, config.Invalid{{Where: path, Problem: "may be read by others", Hint: "chmod 600 " + path}}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	if len(data) != len(key) {
		return key, config.Invalid{{Where: path, Problem: fmt.Sprintf("has %d bytes: want %d", len(data), len(key))}}
	}
	copy(key[:], data)
	return key, nil
}

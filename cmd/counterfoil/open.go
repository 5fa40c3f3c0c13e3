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

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// dataFlags say where the data is; every command that touches it has them.
type dataFlags struct {
	Data  string `help:"Folder of counterfoil.db and counterfoil.key." default:"." type:"path"`
	Store string `help:"Where data lives: sqlite, or memory (gone at exit)." enum:"sqlite,memory," default:""`
}

// parts is an opened installation.
type parts struct {
	store     store.Store
	users     *directory.Directory
	passwords *password.Passwords
	issuer    *issuer.Issuer
}

func (d dataFlags) openStore(ctx context.Context) (s store.Store, seal [32]byte, err error) {
	if d.Store == "memory" {
		_, err := rand.Read(seal[:])
		return memory.New(), seal, err
	}
	if seal, err = sealingKey(filepath.Join(d.Data, "counterfoil.key")); err != nil {
		return nil, seal, err
	}
	s, err = sqlite.Open(ctx, filepath.Join(d.Data, "counterfoil.db"))
	return s, seal, err
}

func (d dataFlags) open(ctx context.Context, url string) (*parts, error) {
	s, seal, err := d.openStore(ctx)
	if err != nil {
		return nil, err
	}
	p := &parts{store: s}
	keys, err := keyring.Open(ctx, keyring.Options{Store: s, SealKey: seal, Now: time.Now})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	trail, err := audit.New(audit.Options{Store: s})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if p.users, err = directory.New(directory.Options{Store: s, Audit: trail}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if p.issuer, err = issuer.New(ctx, issuer.Options{Store: s, Keys: keys, URL: url, Audit: trail, Now: time.Now}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	p.passwords, err = password.New(password.Options{Users: p.users, SubjectRev: p.issuer.SubjectRev})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return p, nil
}

// sealingKey reads the key that the keyring is sealed with, and makes it at the
// first run. It lies beside the database, not in it: a copy of the database alone
// signs nothing.
func sealingKey(path string) (key [32]byte, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		rand.Read(key[:])
		_, err = f.Write(key[:])
		return key, errors.Join(err, f.Sync(), f.Close())
	case !errors.Is(err, fs.ErrExist):
		return key, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return key, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return key, fmt.Errorf("%s may be read by others\nhint: chmod 600 %s", path, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	if len(data) != len(key) {
		return key, fmt.Errorf("%s has %d bytes, want %d", path, len(data), len(key))
	}
	copy(key[:], data)
	return key, nil
}

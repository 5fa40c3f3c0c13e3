package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// dataFlags say where the data is.
type dataFlags struct {
	Store string `help:"Where data lives: memory (gone at exit) is the only place yet." enum:"memory" default:"memory"`
}

// parts is an opened installation.
type parts struct {
	store     store.Store
	users     *directory.Directory
	passwords *password.Passwords
	issuer    *issuer.Issuer
}

func (d dataFlags) openStore() (s store.Store, seal [32]byte, err error) {
	rand.Read(seal[:])
	return memory.New(), seal, nil
}

func (d dataFlags) open(ctx context.Context, url string) (*parts, error) {
	s, seal, err := d.openStore()
	if err != nil {
		return nil, err
	}
	p := &parts{store: s, users: directory.New(s, time.Now)}
	keys, err := keyring.Open(ctx, keyring.Options{Store: s, SealKey: seal, Now: time.Now})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if p.issuer, err = issuer.New(ctx, issuer.Options{Store: s, Keys: keys, URL: url, Now: time.Now}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	p.passwords, err = password.New(password.Options{Users: p.users, SubjectRev: p.issuer.SubjectRev})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return p, nil
}

package password

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// Import adds u as it was elsewhere, with the hash that it has there in any spelling
// that Canonical knows, or none. The password works as it did, however short, and is
// hashed anew at the first login. It fails with ErrHash, directory.ErrTaken,
// directory.ErrBadIdentifier or directory.ErrBadUser. With dry nothing is written.
func (p *Passwords) Import(ctx context.Context, act audit.Act, u directory.User, foreign string, dry bool) (directory.User, error) {
	work := time.Duration(0)
	if foreign != "" {
		k, err := adopt(foreign)
		if err != nil {
			return directory.User{}, err
		}
		u.Password = k.spelling
		if work, err = p.workOf(ctx, k, act.Address); err != nil {
			return directory.User{}, err
		}
	}
	if dry {
		return directory.User{}, p.importable(ctx, u)
	}
	return p.opts.Users.Import(ctx, act, u, work)
}

func (p *Passwords) importable(ctx context.Context, u directory.User) error {
	if _, err := directory.Canonical(u.Identifier); err != nil {
		return err
	}
	if err := u.Check(); err != nil {
		return err
	}
	_, err := p.opts.Users.IDOf(ctx, u.Identifier)
	switch {
	case err == nil:
		return directory.ErrTaken
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return err
}

// maxEven bounds how long a refusal takes.
const maxEven = 5 * time.Second

// workOf is how long a refusal has to take so that nobody sees whether a hash like k
// or one of ours was checked: twice the longer of the two, as it was measured here.
// Hashes that ask for the same are measured once.
func (p *Passwords) workOf(ctx context.Context, k kept, address netip.Addr) (time.Duration, error) {
	if k.argon == p.policy {
		return 0, nil
	}
	p.mu.Lock()
	work, known := p.measured[k.cost]
	p.mu.Unlock()
	if known {
		return work, nil
	}
	h, release, err := p.slotFor(ctx, address)
	if err != nil {
		return 0, err
	}
	defer release()
	for _, stored := range []string{p.dummy, k.spelling} {
		begun := time.Now()
		if _, _, err := h.verify(stored, "no such password", p.policy); err != nil {
			return 0, err
		}
		work = max(work, 2*time.Since(begun))
	}
	work = min(work, maxEven)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.measured[k.cost] = work
	return work, nil
}

// even makes a refusal that began its work then last as long as any other. With no
// user imported, all hashes are ours, and there is nothing to wait for.
func (p *Passwords) even(ctx context.Context, begun time.Time) error {
	work, err := p.opts.Users.ImportedWork(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTimer(work - p.opts.Now().Sub(begun))
	defer timer.Stop()
	select {
	case <-timer.C:
		return login.ErrRefused
	case <-ctx.Done():
		return ctx.Err()
	}
}

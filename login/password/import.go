package password

import (
	"context"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/login"
)

// Adopt returns the spelling that is stored for a hash from elsewhere, in any spelling that
// Canonical knows, and how long a refusal must take from now on. Its password works as it
// did, however short, and is hashed anew at the first login. It fails with ErrHash.
func (p *Passwords) Adopt(ctx context.Context, from netip.Addr, foreign string) (hash string, work time.Duration, err error) {
	k, err := adopt(foreign)
	if err != nil {
		return "", 0, err
	}
	work, err = p.workOf(ctx, k, from)
	return k.spelling, work, err
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
// user imported, all hashes are ours, and there is nothing to wait for. A client that does
// not wait has guessed all the same: the right password is answered at once.
func (p *Passwords) even(ctx context.Context, begun time.Time) error {
	work, err := p.opts.Users.ImportedWork(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	timer := time.NewTimer(work - p.opts.Now().Sub(begun))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return login.ErrRefused
}

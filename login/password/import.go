package password

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
)

// Adopt returns the spelling that is stored for a hash from elsewhere, in any spelling that
// Canonical knows, and the work that each refusal costs from now on. Its password works as it
// did, however short, and is hashed anew at the first login. It fails with ErrHash.
func (p *Passwords) Adopt(foreign string) (hash string, work directory.Work, err error) {
	k, err := adopt(foreign)
	if err != nil || k.argon == p.policy {
		return k.spelling, nil, err
	}
	return k.spelling, directory.Work{k.effort.Kind: k.effort.Units}, nil
}

// Kind is the kind of work that a check of a hash from elsewhere is, in any spelling. It fails
// with ErrHash.
func Kind(foreign string) (string, error) {
	k, err := adopt(foreign)
	if err != nil || k.argon == production {
		return "", err
	}
	return k.effort.Kind, nil
}

// even makes a refusal that began its work at begun last as long as any other, in a store whose
// users were imported by a version that kept a time, and not the work. A client that does not
// wait has guessed all the same: the right password is answered at once.
func (p *Passwords) even(ctx context.Context, begun time.Time, last time.Duration) error {
	timer := time.NewTimer(last - p.opts.Now().Sub(begun))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return login.ErrRefused
}

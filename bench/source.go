package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// Epoch is the epoch of the log of a [Source].
const Epoch = 1

// Source is an issuer whose tokens the caller signs. It accepts every opaque id. Its log
// revokes the sessions RevokedID(1) to RevokedID(Revoked).
type Source struct {
	JWKS    []byte
	Revoked int
	Now     func() time.Time // nil: time.Now
}

func (s *Source) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// RevokedID returns the id of the n-th revoked session.
func RevokedID(n int) string { return fmt.Sprintf("ses_revoked%015d", n) }

// pageSize is the maximum number of entries of a page.
const pageSize = 10_000

// Keys returns the key set.
func (s *Source) Keys(context.Context) ([]byte, error) { return s.JWKS, nil }

// Log answers at once if there are entries, and otherwise after f.Wait. There are never new
// entries.
func (s *Source) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	head := counterfoil.Cursor{Epoch: Epoch, Seq: uint64(s.Revoked)}
	p := source.Page{After: counterfoil.Cursor{Epoch: Epoch}, Head: head, Time: s.now()}
	if f.After.Epoch == Epoch {
		p.After = f.After
	}
	p.Upto = counterfoil.Cursor{Epoch: Epoch, Seq: min(p.After.Seq+pageSize, head.Seq)}
	for n := p.After.Seq + 1; n <= p.Upto.Seq; n++ {
		p.Entries = append(p.Entries, source.Revocation{
			At: counterfoil.Cursor{Epoch: Epoch, Seq: n}, Scope: source.ScopeSession, ID: RevokedID(int(n)),
			Expires: s.now().Add(time.Hour),
		})
	}
	if len(p.Entries) == 0 && f.Wait > 0 {
		select {
		case <-time.After(f.Wait):
		case <-ctx.Done():
			return source.Page{}, ctx.Err()
		}
	}
	return p, nil
}

// Lookup returns a session for every opaque id. It opens no JWE.
func (s *Source) Lookup(_ context.Context, credential string) (*counterfoil.Session, error) {
	if _, err := token.ParseOpaque(credential); err != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	now := s.now()
	return &counterfoil.Session{
		ID: "ses_" + credential[:22], Issuer: Issuer, Subject: "usr_3k2j5h4g6f7d8s9a0q1w2e", Client: "default", Audience: []string{Audience},
		Roles: []string{"staff"}, Methods: []string{"pwd"}, AuthTime: now, IssuedAt: now, Expires: now.Add(time.Hour),
		Born: counterfoil.Cursor{Epoch: Epoch, Seq: uint64(s.Revoked)},
	}, nil
}

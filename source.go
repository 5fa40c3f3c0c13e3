package counterfoil

import (
	"context"

	"github.com/counterfoil/counterfoil/internal/revocation"
)

// Source tells a verifier what a token cannot tell. [Remote] returns one that asks an auth
// server; *issuer.Issuer is one in the same process. To write another one, use the types of
// package source.
//
// An error means "could not ask": the verifier keeps what it knows until its
// bound runs out. Lookup alone may also answer "no such session", with an error
// that satisfies errors.Is(err, [ErrInvalidToken]).
type Source interface {
	// Keys returns the issuer's public keys as a JWK Set (RFC 7517).
	Keys(ctx context.Context) (jwks []byte, err error)

	// Log returns one page of the revocation log after f.After. It waits up to
	// f.Wait for something new, then reads the head of the log from the store:
	// the read begins after the call did, so a page that reaches the head shows the log
	// as it was at some moment after the call (REV-03, REV-05).
	Log(ctx context.Context, f revocation.Follow) (revocation.Page, error)

	// Lookup resolves a credential that is not proven by a signature the caller
	// can check: an opaque session id, or a JWE without the key to open it.
	// Carrier.Transport of the answer is the caller's to set.
	Lookup(ctx context.Context, credential string) (*Session, error)
}

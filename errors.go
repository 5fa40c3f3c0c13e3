package counterfoil

import "errors"

// What a check can answer. Every error that means "this credential is no good"
// satisfies errors.Is(err, ErrInvalidToken); the finer ones say why, for logs and
// for programs, and are never shown to the caller.
var (
	ErrInvalidToken    = errors.New("invalid credential")
	ErrExpired         = invalid("credential has expired")
	ErrRevoked         = invalid("session has been revoked")
	ErrStaleClaims     = invalid("claims have changed: refresh") // a new copy is to be had without signing in again
	ErrDuplicateCookie = invalid("session cookie sent twice")

	ErrNoCredential        = errors.New("no credential")
	ErrMultipleCredentials = errors.New("more than one credential")
	ErrCrossOrigin         = errors.New("cross-origin request")
	ErrStepUp              = errors.New("a fresher or stronger login is needed")
	ErrForbidden           = errors.New("not allowed")

	// ErrStale means that the verifier's knowledge is older than its bound: it
	// says nothing about the credential, which the client must keep.
	ErrStale = errors.New("verifier knowledge is stale")

	// ErrUnavailable means that a store or an issuer could not be reached. It is
	// never a statement about a credential.
	ErrUnavailable = errors.New("temporarily unavailable")
)

type invalidError struct{ text string }

func invalid(text string) error { return &invalidError{text} }

func (e *invalidError) Error() string        { return e.text }
func (e *invalidError) Is(target error) bool { return target == ErrInvalidToken }

// Package refusal holds what a check answers when it does not return a session: the errors,
// and for each of them the HTTP answer ([For]). The root package and package source show
// these names to programs.
package refusal

import "errors"

// The errors of a check. Every error that means "this credential is no good" satisfies
// errors.Is(err, ErrInvalidToken).
var (
	ErrInvalidToken    = errors.New("invalid credential")
	ErrExpired         = Invalid("credential has expired")
	ErrRevoked         = Invalid("session has been revoked")
	ErrStaleClaims     = Invalid("claims have changed: refresh")
	ErrDuplicateCookie = Invalid("session cookie sent twice")

	ErrNoCredential        = errors.New("no credential")
	ErrMultipleCredentials = errors.New("more than one credential")
	ErrCrossOrigin         = errors.New("cross-origin request")
	ErrStepUp              = errors.New("a fresher or stronger login is needed")
	ErrForbidden           = errors.New("not allowed")

	ErrStale       = errors.New("verifier knowledge is stale")
	ErrUnavailable = errors.New("temporarily unavailable")
)

type invalidError struct{ text string }

// Invalid returns an error that is an [ErrInvalidToken].
func Invalid(text string) error { return &invalidError{text} }

func (e *invalidError) Error() string        { return e.text }
func (e *invalidError) Is(target error) bool { return target == ErrInvalidToken }

package counterfoil

import "github.com/counterfoil/counterfoil/internal/refusal"

// What a check can answer. Every error that means "this credential is no good" satisfies
// errors.Is(err, [ErrInvalidToken]); the finer ones say why, for logs and for programs, and
// are never shown to the caller. Package source has those that only an adapter branches on.
var (
	ErrInvalidToken = refusal.ErrInvalidToken // no good: not ours, changed, or unknown to the issuer
	ErrExpired      = refusal.ErrExpired      // an ErrInvalidToken
	ErrRevoked      = refusal.ErrRevoked      // an ErrInvalidToken
	ErrStaleClaims  = refusal.ErrStaleClaims  // an ErrInvalidToken: the client gets a new copy by refreshing, without signing in

	ErrNoCredential = refusal.ErrNoCredential // the request carries none
	ErrStepUp       = refusal.ErrStepUp       // a rule demands a fresher or stronger login
	ErrForbidden    = refusal.ErrForbidden    // a rule does not allow this session

	// ErrStale means that the verifier's knowledge is older than its bound: it
	// says nothing about the credential, which the client must keep.
	ErrStale = refusal.ErrStale

	// ErrUnavailable means that a store or an issuer could not be reached. It is
	// never a statement about a credential.
	ErrUnavailable = refusal.ErrUnavailable
)

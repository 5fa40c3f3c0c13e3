// Package token reads and writes the credentials that Counterfoil issues: opaque ids, JWTs
// (compact JWS, RFC 7515 and 7519), JWEs (RFC 7516) and JWK Sets (RFC 7517). It is strict: it
// accepts one spelling of everything, has an explicit list of algorithms, and binds each key
// to one of them. It does no I/O, reads no clock and imports the standard library only.
//
// To check a token, call [VerifyJWS] and [ParseClaims]. To make one, call [Signer.Sign]. The
// package does not decide whether a token has expired, is meant for its reader, or is revoked.
package token

import "errors"

// ErrInvalid is wrapped by every refusal of this package. The text of a refusal is for logs,
// never for the sender of the token.
var ErrInvalid = errors.New("invalid token")

// AccessType is the typ of an access token, signed or encrypted (RFC 9068 section 2.1).
const AccessType = "at+jwt"

// Limits in bytes. They are checked before anything else (TOK-14).
const (
	MaxSize       = 8 << 10 // a whole token
	MaxHeaderSize = 1 << 10 // its decoded header
)

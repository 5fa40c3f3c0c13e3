// Package token reads and writes the credentials that Counterfoil hands out:
// opaque ids, JWTs (compact JWS, RFC 7515 and 7519), JWEs (RFC 7516) and JWK Sets
// (RFC 7517). It is strict: one spelling of everything, an explicit list of
// algorithms, each key bound to one of them. It does no I/O, knows no clock and
// imports the standard library only.
//
// Begin with VerifyJWS and ParseClaims to check a token, with Signer.Sign to make
// one. Whether a token is expired, meant for you or revoked is not decided here.
package token

import "errors"

// ErrInvalid is what every refusal in this package wraps. The text behind it is
// for logs, never for the caller who sent the token.
var ErrInvalid = errors.New("invalid token")

// AccessType is the typ of an access token, signed or encrypted (RFC 9068 section 2.1).
const AccessType = "at+jwt"

// Sizes that are checked before anything else (TOK-14), in bytes.
const (
	MaxSize       = 8 << 10 // a whole token
	MaxHeaderSize = 1 << 10 // its decoded header
)

// Package counterfoil is what a service imports to know who is calling, and to
// stop knowing it the moment the login is revoked.
//
// One login makes one session record at the issuer. What a client carries is a
// copy of that record (a JWT, or a JWT inside a JWE) or a name for it (an opaque
// id), in a cookie or in a header. A verifier resolves what it is given once and
// follows the issuer's revocation log, so every later check is local.
package counterfoil

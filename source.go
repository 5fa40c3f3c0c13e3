package counterfoil

import (
	"context"
	"time"
)

// Source is what a verifier needs and a token cannot tell. Remote and
// *issuer.Issuer implement it.
//
// An error means "could not ask": the verifier keeps what it knows until its
// bound runs out. Lookup alone may also answer "no such session", with an error
// that satisfies errors.Is(err, ErrInvalidToken).
type Source interface {
	// Keys returns the issuer's public keys as a JWK Set (RFC 7517).
	Keys(ctx context.Context) (jwks []byte, err error)

	// Log returns one page of the revocation log after f.After. It waits up to
	// f.Wait for something new, then reads the head of the log from the store:
	// the read begins after the call did, so a page that reaches the head proves
	// what was true at some moment after the caller asked (REV-03, REV-05).
	Log(ctx context.Context, f Follow) (Page, error)

	// Lookup resolves a credential that is not proven by a signature the caller
	// can check: an opaque session id, or a JWE without the key to open it.
	// Carrier.Transport of the answer is the caller's to set.
	Lookup(ctx context.Context, credential string) (*Session, error)
}

// Follow asks for the next page of the log, and says who asks: the issuer must
// know who may still be fresh to answer "everybody has it" (revoke with wait=all).
type Follow struct {
	After Cursor        // zero, or another epoch than the log's: from the beginning
	Proof string        // Page.Proof of the page that ended at After; without it the issuer believes no cursor beyond its head
	Wait  time.Duration // how long to wait for news; 0 answers at once; at most 30 s

	Verifier   string        // random id of this verifier, 8 to 64 characters of [A-Za-z0-9_-]; empty: not counted by wait=all
	Bound      time.Duration // D: how long the verifier goes on after its last complete page; required with Verifier
	ServeStale bool          // it may go on longer than Bound: wait=all lists it and does not wait for it
}

// Page is an answer to Follow: the entries in the interval (After, Upto].
type Page struct {
	Entries []Revocation
	After   Cursor    // where the interval begins: what was asked for, or zero of the epoch when it was not usable
	Upto    Cursor    // where the interval ends
	Head    Cursor    // the log's head, read after the question arrived
	Time    time.Time // the issuer's clock: raises the verifier's, and shows skew
	Proof   string    // shows the issuer later that it was at Upto; opaque, at most 64 characters
}

// Complete reports whether the page reaches the head: only then is it a
// watermark, a proof of freshness.
func (p Page) Complete() bool { return p.Upto == p.Head }

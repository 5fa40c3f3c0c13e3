// Package source is for authors of a Source, of a server or of an adapter: it has the pages
// of the revocation log, the answers of introspection, and the problems that HTTP answers
// are made of. A service that only checks its callers needs the root package alone.
//
// A Source of your own implements counterfoil.Source: Log takes a [Follow] and returns a
// [Page] of [Revocation] entries. A server finds the credential of a request with
// [FindCredential], refuses with [ProblemFor], and answers introspection with
// [Introspection]. An adapter to a transport other than net/http puts the session where
// handlers find it with [NewContext].
//
// It decides nothing: [Revocation] says by Covers what is revoked, and the verifier asks it.
package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/request"
)

// Introspection is an answer of token introspection (RFC 7662): a session, or nil for a
// credential that is not active.
type Introspection struct{ Session *counterfoil.Session }

var inactive = []byte(`{"active":false}`)

// MarshalJSON writes the session's form, or that the credential is not active: nothing
// else, so that a caller cannot tell why (RFC 7662 section 2.2).
func (i Introspection) MarshalJSON() ([]byte, error) {
	if i.Session == nil {
		return bytes.Clone(inactive), nil
	}
	return json.Marshal(i.Session)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (i *Introspection) UnmarshalJSON(data []byte) error {
	s := new(counterfoil.Session)
	switch err := s.UnmarshalJSON(data); {
	case errors.Is(err, counterfoil.ErrInvalidToken):
		i.Session = nil
	case err != nil:
		return err
	default:
		i.Session = s
	}
	return nil
}

// NewContext returns ctx with s in it, where counterfoil.FromContext finds it. Only a
// session that a Verifier returned belongs there. Verifier.Require does it by itself.
func NewContext(ctx context.Context, s *counterfoil.Session) context.Context {
	return context.WithValue(ctx, request.SessionKey{}, s)
}

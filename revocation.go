package counterfoil

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Cursor is a place in the revocation log. Order comes from here, never from a
// clock: an epoch is one unbroken log, and within it Seq grows in commit order.
// The zero Cursor is before everything.
type Cursor struct{ Epoch, Seq uint64 }

// String writes the cursor as it stands in the rv claim and in URLs:
// 16 hexadecimal digits of the epoch, a dot, the decimal seq.
func (c Cursor) String() string { return fmt.Sprintf("%016x.%d", c.Epoch, c.Seq) }

// MarshalText writes String's form.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}

var errCursor = errors.New("cursor is not EPOCH.SEQ")

// ParseCursor reads the canonical form that String writes, and nothing else:
// one value has one spelling. Seq stays below 2^53, so that it is an exact
// number in every JSON reader.
func ParseCursor(s string) (Cursor, error) {
	epoch, seq, ok := strings.Cut(s, ".")
	if !ok || len(epoch) != 16 || len(seq) == 0 || len(seq) > 16 || (seq[0] == '0' && len(seq) > 1) {
		return Cursor{}, errCursor
	}
	e, err := strconv.ParseUint(epoch, 16, 64)
	if err != nil || strings.ToLower(epoch) != epoch {
		return Cursor{}, errCursor
	}
	n, err := strconv.ParseUint(seq, 10, 53)
	if err != nil {
		return Cursor{}, errCursor
	}
	return Cursor{e, n}, nil
}

// Before reports whether c comes earlier than d in the same epoch. Cursors of
// different epochs have no order.
func (c Cursor) Before(d Cursor) bool { return c.Epoch == d.Epoch && c.Seq < d.Seq }

// Scope says what kind of thing a revocation names.
type Scope string

// The scopes. Session, Token and Key entries match by id, for ever. Grant, Subject,
// Client, All and Claims entries cover what was born before them.
//
// A verifier that does not know the scope of an entry refuses every copy as revoked
// for as long as the entry lives (see [Revocation.Covers]). So verifiers learn a scope
// before an issuer writes it.
const (
	ScopeSession Scope = "session" // ID is a session id (sid)
	ScopeGrant   Scope = "grant"   // ID is a session id, a space, and a client id: what that client holds of the session
	ScopeToken   Scope = "token"   // ID is a token id (jti)
	ScopeSubject Scope = "subject" // ID is a subject: every copy of it born before the entry
	ScopeClient  Scope = "client"  // ID is a client id: likewise
	ScopeKey     Scope = "key"     // ID is a key id (kid): everything that it signed
	ScopeAll     Scope = "all"     // ID is empty: every copy born before the entry
	ScopeClaims  Scope = "claims"  // ID is a subject whose roles changed: copies must be made anew, nobody is signed out
)

// Revocation is one entry of the revocation log.
type Revocation struct {
	At      Cursor    // set by the store, in commit order
	Scope   Scope     // what ID names
	ID      string    // empty only for ScopeAll
	Expires time.Time // when nothing that the entry covers can still be alive (exp_max)
	Reason  string    // for the audit trail; verifiers never act on it
}

// Covers reports whether r takes away s. It is the only definition of
// "revoked": issuer, verifier and gateway all ask it (REV-12).
//
// A copy born in another epoch than a cutoff is covered: cursors of different
// epochs have no order, and what cannot be shown to be younger is refused.
func (r Revocation) Covers(s *Session) bool {
	switch r.Scope {
	case ScopeSession:
		return s.ID == r.ID
	case ScopeGrant:
		sid, client, ok := token.CutGrantID(r.ID)
		return ok && s.ID == sid && s.Client == client && r.cuts(s.Born)
	case ScopeToken:
		return s.TokenID != "" && s.TokenID == r.ID
	case ScopeKey:
		return s.KeyID != "" && s.KeyID == r.ID
	case ScopeSubject, ScopeClaims:
		return s.Subject == r.ID && r.cuts(s.Born)
	case ScopeClient:
		return s.Client == r.ID && r.cuts(s.Born)
	case ScopeAll:
		return r.cuts(s.Born)
	}
	return true // an entry of a kind this program does not know may mean anything: refuse
}

func (r Revocation) cuts(born Cursor) bool {
	return born.Epoch != r.At.Epoch || born.Seq < r.At.Seq
}

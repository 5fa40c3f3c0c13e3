package source

import (
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/revocation"
)

// Revocation is one entry of the revocation log: At is its place, Scope says what ID names,
// Expires when nothing that it covers can still be alive, Reason is for the audit trail.
// Its method Covers is the only definition of "revoked" (REV-12).
type Revocation = revocation.Revocation

// Revocations is an index of the entries of one epoch that can still matter: Apply adds
// entries, Covers asks about a copy, Drop forgets what has expired, Reset forgets all.
type Revocations = revocation.Index

// NewRevocations returns an empty index.
func NewRevocations() *Revocations { return revocation.NewIndex() }

// Names are what an entry can name of a copy of a session: its ids, and where it was born.
// counterfoil.Session.Names returns them.
type Names = revocation.Names

// Follow asks for the next page of the log. After and Proof say where the last page ended,
// Wait how long the answer may take. Verifier, Bound and ServeStale say which verifier asks:
// the issuer must know that to answer "every verifier has it" (revoke with wait=all).
type Follow = revocation.Follow

// Program is what an issuer's server knows of a program that follows the log.
type Program = revocation.Program

// Page is an answer to [Follow]: the Entries in the interval (After, Upto], and the Head of
// the log, read after the question arrived. Time is the issuer's clock. Proof shows the
// issuer later that it was at Upto. A page that is Complete reaches the head: only then does
// it prove freshness. Its JSON is that of GET /v1/log, and is read strictly.
type Page = revocation.Page

// Scope says what kind of thing a revocation names.
type Scope = revocation.Scope

// The scopes. Session, Token and Key entries match by id, for ever. Grant, Subject,
// Others, Client, All and Claims entries cover the copies that were born before them.
//
// A verifier that does not know the scope of an entry refuses every copy as revoked
// for as long as the entry lives (see Covers of [Revocation]). So verifiers learn a scope
// before an issuer writes it.
const (
	ScopeSession = revocation.ScopeSession // ID is a session id (sid)
	ScopeGrant   = revocation.ScopeGrant   // ID is a session id, a space, and a client id: what that client holds of the session
	ScopeToken   = revocation.ScopeToken   // ID is a token id (jti)
	ScopeSubject = revocation.ScopeSubject // ID is a subject: every copy of it born before the entry
	ScopeOthers  = revocation.ScopeOthers  // ID is a subject, a space, and a session id: as Subject, but the copies of that session live on
	ScopeClient  = revocation.ScopeClient  // ID is a client id: likewise
	ScopeKey     = revocation.ScopeKey     // ID is a key id (kid): everything that it signed
	ScopeAll     = revocation.ScopeAll     // ID is empty: every copy born before the entry
	ScopeClaims  = revocation.ScopeClaims  // ID is a subject whose claims changed: copies must be made anew, and the login goes on
)

// ParseCursor reads the form that Cursor.String writes, and nothing else: one value has one
// spelling. Seq stays below 2^53, so that it is an exact number in every JSON reader.
func ParseCursor(s string) (counterfoil.Cursor, error) { return revocation.ParseCursor(s) }

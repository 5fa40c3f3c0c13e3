// Package revocation holds the words of the revocation log: its entries, what an entry
// covers, and the pages in which a verifier reads it. [Revocation.Covers] is the only
// definition of "revoked". Programs find these words in package source.
package revocation

import (
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Scope says what kind of thing a revocation names.
type Scope string

// The scopes. Session, Token and Key entries match by id, for ever. Grant, Subject,
// Others, Client, All and Claims entries cover the copies that were born before them.
//
// A verifier that does not know the scope of an entry refuses every copy as revoked
// for as long as the entry lives (see [Revocation.Covers]). So verifiers learn a scope
// before an issuer writes it.
const (
	ScopeSession Scope = "session" // ID is a session id (sid)
	ScopeGrant   Scope = "grant"   // ID is a session id, a space, and a client id: what that client holds of the session
	ScopeToken   Scope = "token"   // ID is a token id (jti)
	ScopeSubject Scope = "subject" // ID is a subject: every copy of it born before the entry
	ScopeOthers  Scope = "others"  // ID is a subject, a space, and a session id: as Subject, but the copies of that session live on
	ScopeClient  Scope = "client"  // ID is a client id: likewise
	ScopeKey     Scope = "key"     // ID is a key id (kid): everything that it signed
	ScopeAll     Scope = "all"     // ID is empty: every copy born before the entry
	ScopeClaims  Scope = "claims"  // ID is a subject whose claims changed: copies must be made anew, and the login goes on
)

// scopes are all that this program knows.
var scopes = [...]Scope{ScopeSession, ScopeGrant, ScopeToken, ScopeSubject, ScopeOthers, ScopeClient, ScopeKey, ScopeAll, ScopeClaims}

// Revocation is one entry of the revocation log.
type Revocation struct {
	At      Cursor    // set by the store, in commit order
	Scope   Scope     // what ID names
	ID      string    // empty only for ScopeAll
	Expires time.Time // when nothing that the entry covers can still be alive (exp_max)
	Reason  string    // for the audit trail; verifiers never act on it
}

// Names are what an entry can name of a copy of a session, and where the copy was born.
// Session.Names of the root package returns them.
type Names struct {
	Session string // sid
	Token   string // jti; empty for an opaque copy
	Key     string // kid; empty for an opaque copy
	Subject string // sub
	Client  string // client_id
	Born    Cursor // head of the log when the copy was made (rv)

	// Who acts as the subject, and with which session of which client (act). Empty: nobody does.
	Actor, ActorSession, ActorClient string
}

// actor is what an entry can name of the session of who acts: with that the copy ends.
func (n *Names) actor() Names {
	return Names{Session: n.ActorSession, Subject: n.Actor, Client: n.ActorClient, Born: n.Born}
}

// Covers reports whether r takes away the copy of these names. It is the only
// definition of "revoked": issuer, verifier and gateway all ask it (REV-12).
//
// A copy born in another epoch than a cutoff is covered: cursors of different
// epochs have no order, and a copy that cannot be shown to be younger is refused.
func (r Revocation) Covers(n Names) bool {
	if n.Actor != "" {
		if actor := n.actor(); r.covers(&actor) {
			return true
		}
	}
	return r.covers(&n)
}

func (r *Revocation) covers(n *Names) bool {
	switch r.Scope {
	case ScopeSession:
		return n.Session == r.ID
	case ScopeGrant:
		sid, client, ok := token.CutGrantID(r.ID)
		return ok && n.Session == sid && n.Client == client && r.cuts(n.Born)
	case ScopeToken:
		return n.Token != "" && n.Token == r.ID
	case ScopeKey:
		return n.Key != "" && n.Key == r.ID
	case ScopeSubject, ScopeClaims:
		return n.Subject == r.ID && r.cuts(n.Born)
	case ScopeOthers:
		subject, spared, ok := token.CutOthersID(r.ID)
		return !ok || n.Subject == subject && n.Session != spared && r.cuts(n.Born)
	case ScopeClient:
		return n.Client == r.ID && r.cuts(n.Born)
	case ScopeAll:
		return r.cuts(n.Born)
	}
	return true // an entry of a scope that this program does not know may mean anything: refuse
}

func (r *Revocation) cuts(born Cursor) bool {
	return born.Epoch != r.At.Epoch || born.Seq < r.At.Seq
}

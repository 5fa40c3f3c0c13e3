package counterfoil

import (
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/revocation"
)

// Cursor is a place in the revocation log: the number of its epoch and one that grows with
// every entry. Its text is EPOCH.SEQ, as in a receipt of a revocation, which
// [Verifier.WaitFor] can wait for.
type Cursor = revocation.Cursor

// Session is one login, seen through any carrier: what Verify returns. The same
// login gives the same Session by cookie, bearer, jwt-cookie and jwe; only
// Carrier, TokenID, KeyID, IssuedAt, Expires and Born belong to the copy at hand.
//
// A Session may be shared by many requests, and its lists by the sessions of other subjects: it must
// not be changed. slices.Clone makes a list that may be sorted or shortened.
type Session struct {
	ID       string   // public id ("ses_…", the sid claim): in logs and in the feed, never a credential
	Issuer   string   // iss: together with Subject the caller's identity
	Subject  string   // sub: unique and never reused within Issuer
	Client   string   // client_id of the program that the login was made for
	Audience []string // aud: whom the credential is meant for

	Roles         []string          // what the subject may do, as the issuer last copied it
	Scopes        []string          // what the client may do for the subject; empty means all it is registered for
	Methods       []string          // how the login was proven (amr, RFC 8176): "pwd", "otp", …
	ACR           string            // authentication context class (acr); empty when the issuer states none
	AuthTime      time.Time         // when the subject last proved its identity (auth_time)
	ClaimsVersion uint64            // grows whenever roles or other claims of the subject change
	Actor         string            // who acts as Subject (act, RFC 8693): the subject of an administrator; empty for most
	ActorSession  string            // the session of Actor, with which this one ends; empty for most
	ActorClient   string            // the client of ActorSession; empty for most
	Attributes    map[string]string // set by the application when the session was made; nil for most

	Carrier  Carrier   // how this copy travelled
	Origin   string    // the one service that this copy is for; a Route refuses it unless its Origins list it; empty for most
	TokenID  string    // jti of a JWT or JWE copy; empty for an opaque one, unless it has an Origin
	KeyID    string    // kid that signed this copy; empty for an opaque one
	IssuedAt time.Time // when this copy was made
	Expires  time.Time // when this copy dies; the login itself may live longer
	Born     Cursor    // head of the revocation log when this copy was made (rv)

	// Stale is true when the verifier accepted this copy under ServeStale with
	// knowledge older than its bound. It is never true under any other policy.
	Stale bool
}

// HasRole reports whether the session carries role.
func (s *Session) HasRole(role string) bool { return slices.Contains(s.Roles, role) }

// HasScope reports whether the session carries scope.
func (s *Session) HasScope(scope string) bool { return slices.Contains(s.Scopes, scope) }

// Names returns what an entry of the revocation log can name of this copy.
// Revocation.Covers of package source takes it.
func (s *Session) Names() revocation.Names {
	return revocation.Names{Session: s.ID, Token: s.TokenID, Key: s.KeyID, Subject: s.Subject, Client: s.Client, Born: s.Born, Actor: s.Actor, ActorSession: s.ActorSession, ActorClient: s.ActorClient}
}

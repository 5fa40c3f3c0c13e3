// Package rights says who may administer what. What changes something of other people, or of the
// whole system, takes an [Actor] and asks it by [Actor.Need] before it does anything, so that no caller
// can forget to. Which role or API key has which right is said by package accounts. A program that
// embeds the server decides itself, and begins with [Program].
//
// It authenticates nobody, and does not say who the audit trail names: that is audit.Act.
package rights

import (
	"slices"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Right is what an action of the administration needs. The empty right is nobody's: an action
// that names none is refused.
type Right string

// The rights.
const (
	Read   Right = "read"   // see users, sessions, clients, keys and settings
	Audit  Right = "audit"  // see the audit trail, and check it
	Revoke Right = "revoke" // end a session, or all of a user
	Write  Right = "write"  // everything else
)

// All are all rights.
func All() []Right { return []Right{Read, Audit, Revoke, Write} }

// Actor is who administers, with the rights that it was found to have. The zero Actor has none.
type Actor struct {
	rights []Right
	owner  bool
}

// Owner is the Actor that owns the machine. It can do all that there is to do, and is not kept from
// mistakes that it can repair itself.
func Owner() Actor { return Actor{All(), true} }

// Program is the Actor for a program that embeds the server and decides itself which of its users may do
// what. It has all rights, and is kept from the mistakes of an administrator.
func Program() Actor { return Of(All()...) }

// Of is the Actor with some rights.
func Of(rights ...Right) Actor { return Actor{rights, false} }

// Owns reports whether the Actor owns the machine.
func (a Actor) Owns() bool { return a.owner }

// May reports whether the Actor has a right.
func (a Actor) May(r Right) bool { return slices.Contains(a.rights, r) }

// Need returns nil, or the Forbidden of an Actor without a right.
func (a Actor) Need(r Right) error {
	if !a.May(r) {
		return Forbidden{"it needs the right " + string(r)}
	}
	return nil
}

// Forbidden is the counterfoil.ErrForbidden of who is known and may not do what was asked.
type Forbidden struct{ Why string }

func (f Forbidden) Error() string { return refusal.ErrForbidden.Error() + ": " + f.Why }

func (f Forbidden) Unwrap() error { return refusal.ErrForbidden }

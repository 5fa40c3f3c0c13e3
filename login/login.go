// Package login says what a way of proving who somebody is must give: types
// only. Each method is a package below this one.
package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// What a method answers, beside outages.
var (
	// ErrRefused stands for every reason not to believe an attempt: unknown,
	// disabled, without a password, wrong. Callers cannot tell them apart (LOGIN-06).
	ErrRefused = errors.New("identifier or password is wrong")

	// ErrBusy means that more logins are under way than the machine can check.
	ErrBusy = errors.New("too many logins at the moment")
)

// Throttled means that the attempt came too soon after others; it was not checked.
type Throttled struct{ RetryAfter time.Duration }

func (t Throttled) Error() string { return "too many attempts: wait " + t.RetryAfter.String() }

// RejectedPassword says why a new password is not accepted. Reason is for the
// person who chose it.
type RejectedPassword struct{ Reason string }

func (r RejectedPassword) Error() string { return "password not accepted: " + r.Reason }

// Attempt is what somebody presents. Its secrets have an internal type, which nothing
// prints: so a Method can be written within this module alone. A program with a way of
// its own gives package issuer a Proof instead.
type Attempt struct {
	Identifier string
	Password   secret.String
	Address    netip.Addr    // of the client, for throttling
	Device     secret.String // what this client kept from an earlier login to the account; empty: none. It only guards against being slowed by strangers
}

// Account is whose credential is checked.
//
// It is empty when nobody who may sign in has the name that was given. A method that is
// given an empty account does the same work as for any other, and answers the same: it
// must not tell which names exist (LOGIN-06).
type Account struct {
	Subject     string
	Identifier  string // in the one spelling that all its aliases share
	Name        string
	Roles       []string
	Credentials []Credential // of the method's kind

	SubjectRev uint64 // revision of the subject's record, read before Credentials
}

// Credential is what a proof is checked against: the hash of a password, a key. It is a
// record beside the user's.
type Credential struct {
	Kind     string          `json:"-"` // the name of its method
	ID       string          `json:"-"` // among those of the kind that the user has; empty if there can be one only
	Data     json.RawMessage `json:"data"`
	Created  time.Time       `json:"created"`
	LastUsed time.Time       `json:"last_used,omitzero"` // to the day
	Rev      uint64          `json:"-"`                  // revision of the record that was read; 0: there is none
}

// Proof is what a method found out. It is good for one login, at once.
type Proof struct {
	Subject    string
	Methods    []string  // amr (RFC 8176)
	ACR        string    // acr; empty: none stated
	At         time.Time // when the proof was given (auth_time)
	SubjectRev uint64    // revision of the subject's record, read before the credential was checked (LOGIN-19)
	Roles      []string
}

// Method is one way of proving who somebody is: a package below this one, see Attempt.
type Method interface {
	Name() string // as in amr: "pwd"
	Prove(ctx context.Context, a Attempt) (Proof, error)
}

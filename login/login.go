// Package login says what a way of signing in is: a [Method], which checks what
// somebody presents and answers with a [Proof], or with a [Challenge] to be answered
// first. It has types only. Each method is a package below this one or in another
// module; package flow runs them.
//
// A method keeps nothing. It asks for the account and its credentials, and what it wants
// to remember until the answer comes it puts into the challenge.
package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// Secret is text that nothing prints: not fmt, not slog, not JSON. Reveal is the one
// way out.
type Secret = secret.String

// NewSecret hides text.
func NewSecret(text string) Secret { return secret.New(text) }

// What signing in answers, except outages.
var (
	// ErrRefused stands for every reason not to believe an attempt: unknown,
	// disabled, without a credential, wrong. Callers cannot tell them apart (LOGIN-06).
	ErrRefused = errors.New("identifier or password is wrong")

	// ErrBusy means that more logins are under way than the machine can check.
	ErrBusy = errors.New("too many logins at the moment")

	// ErrOver means that a challenge can no longer be answered: it was answered, its
	// time has passed, or it was another client's. Callers cannot tell which.
	ErrOver = errors.New("the attempt to sign in is over: begin again")

	// ErrUnknownMethod means that there is no method of that name.
	ErrUnknownMethod = errors.New("unknown way of signing in")
)

// Throttled means that the attempt came too soon after others; it was not checked.
type Throttled struct{ RetryAfter time.Duration }

func (t Throttled) Error() string { return "too many attempts: wait " + t.RetryAfter.String() }

// Unchecked reports whether err is [Throttled] or [ErrBusy]: nobody looked at the attempt.
func Unchecked(err error) bool { return errors.As(err, new(Throttled)) || errors.Is(err, ErrBusy) }

// RejectedPassword says why a new password is not accepted. Reason is for the
// person who chose it, in English. Rule names what was broken, for texts in another language: one of
// "text", "short", "long", "name" and "guessed".
type RejectedPassword struct{ Reason, Rule string }

func (r RejectedPassword) Error() string { return "password not accepted: " + r.Reason }

// BadInput says what is wrong with the form of what a client sent. It never quotes it.
type BadInput struct{ Reason string }

func (b BadInput) Error() string { return "bad input: " + b.Reason }

// Method is one way of signing in. Its methods are called by many goroutines.
//
// A method that cannot check at the moment returns an error that wraps
// counterfoil.ErrUnavailable, or ErrBusy: then nothing is held against anybody. Whatever
// it does not believe is ErrRefused.
type Method interface {
	// Name is what clients ask for, and the kind of the method's credentials: 1 to 32
	// lower-case letters, digits and dashes.
	Name() string

	// Begin is given what the client sent to begin with.
	Begin(ctx context.Context, a Attempt) (Step, error)

	// Finish is given the answer to a challenge of this method, and the challenge's
	// State. Each challenge is answered once at most.
	Finish(ctx context.Context, a Attempt) (Step, error)
}

// Second is a Method that can be asked for after another one. It is a second factor.
type Second interface {
	Method

	// After is called when another method has proven who it is. It returns the
	// challenge that the account has to answer too, or nil if nothing more is asked
	// of it. Input and State of a are empty.
	After(ctx context.Context, a Attempt) (*Challenge, error)
}

// Sender is a Method whose Begin has a message sent to the person who is named, and to whom it may be
// a burden: less of its attempts come through from one network.
type Sender interface {
	Method
	Sends()
}

// Attempt is what a method works on.
type Attempt struct {
	// Account returns the account of the name that was given. Of a method that costs a
	// lot, the work should be bounded before it is called: then a flood costs no reads
	// (LOGIN-04).
	Account func(ctx context.Context) (Account, error)

	// Lookup returns the account of a subject, for a method that finds out itself who it
	// is. It must be called before the credential is checked (LOGIN-19). A subject that
	// is no user here has an account without credentials; one that is disabled has an
	// empty one.
	Lookup func(ctx context.Context, subject string) (Account, error)

	Known  bool   // it comes from a device that signed the account in before: what is scarce has a part for those
	StepUp bool   // somebody who is signed in to the account proves it anew: one factor is enough
	Input  Secret // one JSON object, see Read; empty: the client sent none
	State  []byte // in Finish: what the challenge had
}

// Read reads Input into a struct. Members that the struct does not have are refused.
func (a Attempt) Read(into any) error {
	text := a.Input.Reveal()
	if text == "" {
		text = "{}"
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return BadInput{fmt.Sprintf("member %q has the wrong type", wrong.Field)}
		}
		return BadInput{"a member is unknown or has the wrong type"}
	}
	return nil
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

// Prove returns the proof that somebody is a, by the methods of RFC 8176 (amr).
func (a Account) Prove(methods ...string) *Proof {
	return &Proof{Subject: a.Subject, SubjectRev: a.SubjectRev, Roles: a.Roles, Methods: methods}
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

// Step is how far an attempt has come: either Proof or Challenge is set.
type Step struct {
	Proof     *Proof
	Challenge *Challenge

	// Used is the credential that was used, as it is to be kept from now on. If somebody
	// changed it since it was read, the method is called again with what there is now:
	// of two who use something up at once, one finds it used. nil: none was.
	Used *Credential
}

// Challenge is what a client has to answer.
type Challenge struct {
	Public any    // what the client is told: an object in JSON of at most 4 KiB
	State  []byte // what Finish needs, at most 2 KiB; it lies in the store: of a code, keep a hash

	// Within is how long it can be answered; zero: 5 minutes; at most 15. A mail takes its time.
	Within time.Duration
}

// Proof says who somebody is. It is good for one login, at once.
type Proof struct {
	Subject    string
	Methods    []string  // amr (RFC 8176)
	ACR        string    // acr; empty: none stated
	At         time.Time // when the proof was given (auth_time); package flow sets it
	SubjectRev uint64    // revision of the subject's record, read before the credential was checked (LOGIN-19)
	Roles      []string
}

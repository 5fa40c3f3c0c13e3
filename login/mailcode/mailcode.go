// Package mailcode signs people in by a code that is mailed to an address which they have proven to read
// before. Begin with [New]; package flow runs the result.
//
// A code is eight digits, for one attempt of one browser or program, for ten minutes and five tries. It is
// one factor and no more: a user with a second factor is asked for that, and it is none itself (LOGIN-18).
package mailcode

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// Options of New. All but Now are required.
type Options struct {
	// Key has 32 bytes, the same on every node and not in the store: who reads the store cannot try all
	// codes.
	Key []byte

	// Compose makes the message with a code. It is also called for nobody, and costs the same then.
	Compose func(u directory.User, code secret.String, expires time.Time) (store.Record, error)

	// Send commits a message to a user, or what costs the same if user is empty or has had too many; see
	// [directory.Directory.MailCode]. sent says whether it is the message.
	Send func(ctx context.Context, user string, known bool, message store.Record) (sent bool, err error)

	Now func() time.Time // nil: time.Now
}

// Method is the way of signing in. It is safe for concurrent use.
type Method struct{ opts Options }

// New checks o.
func New(o Options) (*Method, error) {
	if len(o.Key) != 32 || o.Compose == nil || o.Send == nil {
		return nil, errors.New("mailcode: Options.Key of 32 bytes, Compose and Send are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Method{o}, nil
}

// Name is what clients ask for.
func (m *Method) Name() string { return directory.KindMail }

// Sends marks a method that has messages sent, see [login.Sender].
func (m *Method) Sends() {}

// state is what lies in the store until the answer comes.
type state struct {
	Salt    []byte    `json:"salt"`
	Hash    []byte    `json:"hash"` // of the code
	To      []byte    `json:"to"`   // hash of the address
	Expires time.Time `json:"expires"`
	Tries   int       `json:"tries,omitempty"`
}

// Question is what a client is told.
type Question struct {
	Digits int  `json:"digits"`
	Tries  int  `json:"tries"`           // that are left
	Wrong  bool `json:"wrong,omitempty"` // the answer before was
}

func (m *Method) mac(salt []byte, what, text string) []byte {
	h := hmac.New(sha256.New, m.opts.Key)
	h.Write(salt)
	h.Write([]byte(what + " " + text))
	return h.Sum(nil)
}

// Begin mails a code, if the account has a proven address. For others it does the same work and answers the
// same (LOGIN-06).
func (m *Method) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	if err := a.Read(&struct{}{}); err != nil {
		return login.Step{}, err
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	to, err := provenAddress(account)
	if err != nil {
		return login.Step{}, err
	}
	user := account.Subject
	if to.Address == "" {
		user, to = "", directory.User{ID: directory.Nobody, Identifier: "nobody@example.com", Address: "nobody@example.com"}
	}
	now := m.opts.Now().UTC()
	code := directory.NewCode()
	s := state{Salt: make([]byte, 16), Expires: now.Add(directory.CodeTTL)}
	rand.Read(s.Salt)
	s.To = m.mac(s.Salt, "address", to.Address)
	message, err := m.opts.Compose(to, code, s.Expires)
	if err != nil {
		return login.Step{}, err
	}
	sent, err := m.opts.Send(ctx, user, a.Known, message)
	if err != nil {
		return login.Step{}, err
	}
	what := "code"
	if !sent { // nobody can type it, and who guesses it is no owner
		what = "no code"
	}
	s.Hash = m.mac(s.Salt, what, code.Reveal())
	return m.ask(s, now, false)
}

func (m *Method) ask(s state, now time.Time, wrong bool) (login.Step, error) {
	kept, err := json.Marshal(s)
	return login.Step{Challenge: &login.Challenge{
		Public: Question{Digits: directory.CodeDigits, Tries: directory.CodeTries - s.Tries, Wrong: wrong}, State: kept, Within: s.Expires.Sub(now),
	}}, err
}

// Finish checks a code. After one that is wrong it asks again, until there were directory.CodeTries.
func (m *Method) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Answer string `json:"answer"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	var s state
	if err := json.Unmarshal(a.State, &s); err != nil {
		return login.Step{}, err
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	to, err := provenAddress(account)
	if err != nil {
		return login.Step{}, err
	}
	now := m.opts.Now().UTC()
	right := subtle.ConstantTimeCompare(m.mac(s.Salt, "code", directory.ReadCode(in.Answer)), s.Hash) &
		subtle.ConstantTimeCompare(m.mac(s.Salt, "address", to.Address), s.To) // it may be another by now
	switch s.Tries++; {
	case !now.Before(s.Expires):
		return login.Step{}, login.ErrRefused
	case right == 1 && account.Subject != "":
		return login.Step{Proof: account.Prove("mail")}, nil
	case s.Tries >= directory.CodeTries:
		return login.Step{}, login.ErrRefused
	}
	return m.ask(s, now, true)
}

// provenAddress returns the user with the address that an account has proven; without one it is empty.
func provenAddress(a login.Account) (u directory.User, err error) {
	if len(a.Credentials) == 0 {
		return u, nil
	}
	if u, err = directory.MailboxOf(a.Credentials[0]); err != nil || u.Verified.IsZero() {
		return directory.User{}, err
	}
	u.ID, u.Identifier, u.Name = a.Subject, a.Identifier, a.Name
	return u, nil
}

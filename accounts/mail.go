package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// Message is what a user is told by mail, without its words.
type Message struct {
	Kind     MessageKind
	To       string // the one address
	Language string // that the user reads; empty: not known
	Subject  string // whom it is about

	Code    login.Secret // eight digits; empty: there is none
	Path    string       // of the page that the link leads to; empty: there is no link
	Token   login.Secret // is the fragment of the link
	Expires time.Time    // the message is worth nothing then; zero: never

	Args []any // of the words: a string, or a time
}

// MessageKind is what a message is about.
type MessageKind string

// The kinds of messages, with what Args has. The first is always what the user signs in with, except where the reader of
// the mail may be anybody: a stranger's name would be a stranger's words in our mail (MailVerify, MailTaken, MailLeft).
const (
	MailReset    MessageKind = "reset"              // somebody asked for another password
	MailInvite   MessageKind = "invitation"         // an administrator lets the user choose a password; until when
	MailVerify   MessageKind = "verify"             // prove the address that it goes to
	MailTaken    MessageKind = "address-taken"      // somebody wants the address that it goes to, which another user has
	MailMoved    MessageKind = "address-changed"    // to the address before: the one of now, and until when the link gives this one back
	MailLeft     MessageKind = "address-left"       // to the address before, if the user had not proven that
	MailRestored MessageKind = "address-restored"   // the address is back; when, from where
	MailPassword MessageKind = "password-changed"   // when, and from where
	MailAdded    MessageKind = "credential-added"   // when, from where
	MailRemoved  MessageKind = "credential-removed" // when, from where
	MailSignIn   MessageKind = "signin"             // a code to sign in with
)

// The pages that links lead to.
const (
	pathChoose  = "/welcome"
	pathConfirm = "/address/confirm"
	pathUndo    = "/address/undo"
)

const unknownSource = "-"

// LinkOf is the link of a message: below the URL of the issuer, never below the host of a request (LOGIN-13).
// The token is the fragment, which a browser sends to nobody. Empty: there is none.
func LinkOf(issuer string, m Message) login.Secret {
	if m.Path == "" {
		return login.Secret{}
	}
	return login.NewSecret(issuer + m.Path + "#" + m.Token.Reveal())
}

// notices says which entries of the audit trail a user is told of by mail, at the address that the user has
// proven (LOGIN-14). It is the one place that does.
var notices = map[audit.Action]MessageKind{
	audit.ChangePassword:   MailPassword,
	audit.SetCredential:    MailAdded,
	audit.DeleteCredential: MailRemoved,
	audit.UndoAddress:      MailRestored,
}

// Post takes messages: package mail.
type Post interface {
	// Record returns a message as a record for the commit that causes it. Its work does not depend on
	// the person it is for.
	Record(Message) (store.Record, error)

	// Wake has what was committed sent now. Without it that is a little later.
	Wake()
}

// Mails reports whether messages can be sent.
func (a *Accounts) Mails() bool { return a.post != nil }

// ErrNoMail means that this server sends no mail.
var ErrNoMail = errors.New("this server sends no mail")

func (a *Accounts) wake(committed bool) {
	if committed && a.post != nil {
		a.post.Wake()
	}
}

// tells returns what tells a user of an entry.
func (a *Accounts) tells(e audit.Entry) directory.Told {
	kind, told := notices[e.Action]
	if !told || a.post == nil {
		return nil
	}
	return func(u directory.User) ([]store.Record, error) {
		if u.Address == "" || u.Verified.IsZero() {
			return nil, nil
		}
		from := unknownSource
		if e.Address.IsValid() {
			from = e.Address.String()
		}
		rec, err := a.post.Record(Message{Kind: kind, To: u.Address, Language: u.Language, Subject: u.ID, Args: []any{u.Identifier, a.now().UTC(), from}})
		return []store.Record{rec}, err
	}
}

// tellsUser is tells, for a commit that does not write the user.
func (a *Accounts) tellsUser(ctx context.Context, id string, e audit.Entry) ([]store.Record, error) {
	tell := a.tells(e)
	if tell == nil {
		return nil, nil
	}
	u, err := a.users.ByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tell(u)
}

func (a *Accounts) composeReset(u directory.User, m directory.Mailed) (store.Record, error) {
	return a.post.Record(Message{
		Kind: MailReset, To: u.Address, Language: u.Language, Subject: u.ID, Code: m.Code, Path: pathChoose, Token: m.Token, Expires: m.LinkEnd, Args: []any{u.Identifier},
	})
}

func (a *Accounts) composeInvitation(u directory.User, m directory.Mailed) (store.Record, error) {
	return a.post.Record(Message{
		Kind: MailInvite, To: u.Address, Language: u.Language, Subject: u.ID, Path: pathChoose, Token: m.Token, Expires: m.LinkEnd, Args: []any{u.Identifier, m.LinkEnd.UTC()},
	})
}

func (a *Accounts) composeVerification(u directory.User, m directory.Mailed) (store.Record, error) {
	return a.post.Record(Message{
		Kind: MailVerify, To: u.Address, Language: u.Language, Subject: u.ID, Code: m.Code, Path: pathConfirm, Token: m.Token, Expires: m.LinkEnd,
	})
}

func (a *Accounts) composeTaken(u directory.User, _ directory.Mailed) (store.Record, error) {
	return a.post.Record(Message{Kind: MailTaken, To: u.Address, Language: u.Language, Subject: u.ID})
}

// ComposeCode makes the message with a code to sign in with.
func (a *Accounts) ComposeCode(u directory.User, code login.Secret, expires time.Time) (store.Record, error) {
	return a.post.Record(Message{
		Kind: MailSignIn, To: u.Address, Language: u.Language, Subject: u.ID, Code: code, Expires: expires, Args: []any{u.Identifier},
	})
}

// SendCode commits that message, or what costs the same; see [directory.Directory.MailCode].
func (a *Accounts) SendCode(ctx context.Context, user string, known bool, message store.Record) (sent bool, err error) {
	sent, err = a.users.MailCode(ctx, user, known, message)
	a.wake(sent && err == nil)
	return sent, err
}

package directory

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// Compose makes the message with what is mailed to the user u, as a record for the commit that keeps
// its hashes. It does no I/O.
type Compose func(u User, m Mailed) (store.Record, error)

// BeginRecovery mails a code and a link to choose another password to the user of a name: an identifier
// or an address that a user has proven. They take the place of earlier ones. It returns the handle
// of the code.
//
// The caller learns nothing of the name (LOGIN-07): a name that nobody has, a user who is disabled or has no address, and a
// name that had too many mails in an hour cost the same reads, and one commit of as many records of the same sizes, with a
// handle whose code nobody knows. After too many, the mail before stays good.
//
// known says whether who asks has signed in with an identifier before: a user has as many mails again for such devices, so a
// stranger who uses up those of all does not keep the owner out (LOGIN-09). sent says whether there is a message: it is for
// what happens after the answer, and for nothing else.
func (d *Directory) BeginRecovery(ctx context.Context, name string, language string, act audit.Act, known func(identifier string) bool, compose Compose) (handle secret.String, sent bool, err error) {
	for {
		m, sent, err := d.beginRecovery(ctx, name, language, act, known, compose)
		if !errors.Is(err, store.ErrConflict) {
			return m.Handle, sent, err
		}
	}
}

func (d *Directory) beginRecovery(ctx context.Context, name, language string, act audit.Act, known func(string) bool, compose Compose) (m Mailed, sent bool, err error) {
	u, counter, ofDevices, err := d.named(ctx, name)
	if err != nil {
		return m, false, err
	}
	able := u.rev != 0 && u.Status == Active && u.Address != ""
	if known(u.Identifier) && able {
		counter = ofDevices
	}
	owner := "/" + counter.ID // of a user who is not mailed nothing is touched
	if able {
		owner = u.ID
	}
	var b store.Batch
	wait, err := d.countMail(&b, counter, maxMails)
	if err != nil {
		return m, false, err
	}
	if wait > 0 { // the counter stays as it is, and so does what was mailed before, or was not
		able, owner = false, "/"+random("").Reveal()
		b.Put = append(b.Put, d.decoy(counter.Value))
	}
	if !able {
		u = User{ID: Nobody, Identifier: "nobody@example.com", Address: "nobody@example.com"}
	}
	if u.Language == "" {
		u.Language = language
	}
	if m, err = d.mail(&b, kindRecovery, recoveryPrefix, owner, proof{User: u.ID, Address: u.Address}); err != nil {
		return m, false, err
	}
	message, err := compose(u, m)
	if err != nil {
		return m, false, err
	}
	b.Require = []store.Require{u.require()} // of Nobody: that it is absent
	note := act.Entry(audit.Recover, u.ID)
	if !able {
		kept, err := json.Marshal(note)
		if err != nil {
			return m, false, err
		}
		message.Key = store.Key{Kind: kindDecoy, ID: message.ID}
		message.Expires = d.now().Add(time.Second)
		stands := d.decoy(kept)
		stands.Owner = u.ID
		b.Put = append(b.Put, stands)
		note.Action = ""
	}
	b.Put = append(b.Put, message)
	_, err = d.audit.Commit(ctx, d.store, b, note)
	return m, able, err
}

// named returns the user whom a name means, or one without a revision, and the records of the counters
// of mails: of those that anybody asks for, and those that known devices do. A proven address means the user who proved it, also if another user has the same text as identifier.
func (d *Directory) named(ctx context.Context, name string) (u User, counter, ofDevices store.Record, err error) {
	canonical, err := Canonical(name)
	if err != nil {
		canonical = "no identifier: " + name // no account can have it
	}
	recs, err := d.store.Get(ctx, identifierKey(canonical), addressKey(canonical))
	if err != nil {
		return u, counter, ofDevices, err
	}
	id, whose := Nobody, "name "+canonical
	for _, rec := range recs { // the address is the last
		var of pointer
		if rec.Rev != 0 && json.Unmarshal(rec.Value, &of) == nil && !of.Former {
			id, whose = of.User, "user "+of.User
		}
	}
	u, more, err := d.read(ctx, id, mailingKey(whose), mailingKey("devices of "+whose))
	if errors.Is(err, store.ErrNotFound) {
		u, err = User{ID: Nobody}, nil
	}
	if err != nil {
		return u, counter, ofDevices, err
	}
	return u, more[0], more[1], nil
}

// AnswerRecovery returns a token with which the caller chooses a password, in return for a code. The
// code is used up in the same commit, with the link that was mailed beside it and what was handed out before. The token is an
// invitation: a stranger who asks for another mail does not take it away from who is choosing a password. It fails with
// login.ErrRefused for a wrong code, and with login.ErrOver.
func (d *Directory) AnswerRecovery(ctx context.Context, handle secret.String, code string) (token secret.String, expires time.Time, err error) {
	p, require, err := d.tryCode(ctx, kindRecovery, handle, code)
	if err != nil {
		return token, expires, err
	}
	link := proof{User: p.User, Address: p.Address, Expires: d.now().Add(LinkTTL)}
	token, rec, err := link.mint(kindInvitation, invitationPrefix, p.User)
	if err != nil {
		return token, expires, err
	}
	_, err = d.store.Commit(ctx, store.Batch{
		Require:     require,
		DeleteOwned: []store.Owned{{Kind: kindRecovery, Owner: p.User}, {Kind: kindInvitation, Owner: p.User}},
		Put:         []store.Record{rec},
	})
	if errors.Is(err, store.ErrConflict) { // another answer was faster
		err = login.ErrOver
	}
	if err != nil {
		return secret.String{}, expires, err
	}
	return token, link.Expires, nil
}

// takeOver adds to b what a user who proves the address for the first time gets: an account of which
// nothing is left that somebody else may have put there before (LOGIN-17). Credentials besides the
// password, API keys that act for the user, and what was mailed go. What b puts stays: the address, and
// the new password.
func takeOver(b *store.Batch, user string) {
	for _, kind := range []store.Kind{kindCredential, kindAPIKey, kindVerification, kindUndo} {
		b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kind, Owner: user})
	}
}

// MailCode commits a message with a code to sign in with. If user is empty, or had too many in an hour,
// records of the same sizes are committed that nobody reads: the caller learns nothing (LOGIN-06). sent
// says whether it is the message, for what happens after the answer. known devices have as many again, see BeginRecovery.
func (d *Directory) MailCode(ctx context.Context, user string, known bool, message store.Record) (sent bool, err error) {
	for {
		whose := "signin " + user
		switch {
		case user == "":
			whose = random("").Reveal()
		case known:
			whose = "signin by devices of " + user
		}
		recs, err := d.store.Get(ctx, mailingKey(whose))
		if err != nil {
			return false, err
		}
		var b store.Batch
		wait, err := d.countMail(&b, recs[0], maxSignIns)
		if err != nil {
			return false, err
		}
		out := message
		if sent = wait == 0 && user != ""; !sent {
			out.Key = store.Key{Kind: kindDecoy, ID: message.ID}
			out.Expires = d.now().Add(time.Second)
		}
		if wait > 0 { // the counter stays as it is
			b.Put = append(b.Put, d.decoy(recs[0].Value))
		}
		b.Put = append(b.Put, out)
		if _, err = d.store.Commit(ctx, b); !errors.Is(err, store.ErrConflict) {
			return sent, err
		}
	}
}

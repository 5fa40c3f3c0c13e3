package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// BeginVerification mails a code and a link to an address that a user claims: the one that the user has, or
// the one that shall take its place. Nothing changes before somebody proves to read the mail. They
// take the place of earlier ones. It fails with ErrBadAddress, and with login.Throttled if it had too many mails.
//
// The caller learns no address of others: if another user has proven this one, or has it as the identifier, or has one that looks like
// it, the answer and its cost are the same, and what nobody is mailed is good for nothing. The message is that of taken, and says so to
// who reads mail there.
//
// still is asked after the user was read, and an error of it ends all: who asks must still be signed in. A change of
// the user after that, such as another password, makes it ask again.
func (d *Directory) BeginVerification(ctx context.Context, id, address, language string, still func(context.Context) error, compose, taken Compose) (Mailed, error) {
	address, err := CanonicalAddress(address)
	if err != nil {
		return Mailed{}, err
	}
	for {
		u, more, err := d.read(ctx, id, mailingKey("address "+untagged(address)))
		if err != nil {
			return Mailed{}, err
		}
		if err := still(ctx); err != nil {
			return Mailed{}, err
		}
		free, err := d.mayHave(ctx, &u, address)
		if err != nil {
			return Mailed{}, err
		}
		b := store.Batch{Require: []store.Require{u.require()}}
		wait, err := d.countMail(&b, more[0], maxMails)
		if err == nil && wait > 0 {
			err = login.Throttled{RetryAfter: wait}
		}
		if err != nil {
			return Mailed{}, err
		}
		m, err := d.mail(&b, kindVerification, verificationPrefix, u.ID, proof{User: u.ID, Address: address})
		if err != nil {
			return Mailed{}, err
		}
		to := u
		if to.Address = address; to.Language == "" {
			to.Language = language
		}
		words := compose
		if !free {
			words, m.Code, m.Token = taken, secret.String{}, secret.String{}
		}
		message, err := words(to, m)
		if err != nil {
			return Mailed{}, err
		}
		b.Put = append(b.Put, message)
		if _, err := d.store.Commit(ctx, b); !errors.Is(err, store.ErrConflict) {
			return m, err
		}
	}
}

// follows reports whether the identifier of u becomes address when its address does: it is the
// address of now.
func (u *User) follows(address string) bool {
	return u.Address != "" && u.Identifier == u.Address && address != u.Address
}

// mayHave says whether u may have an address, and its identifier with it if that follows. It reads the same
// in each case.
func (d *Directory) mayHave(ctx context.Context, u *User, address string) (free bool, err error) {
	err = d.AvailableAddress(ctx, u.ID, address)
	if err != nil && !errors.Is(err, ErrAddressTaken) {
		return false, err
	}
	free = err == nil
	if u.follows(address) {
		renamed := *u
		renamed.Identifier = address
		err = d.rename(ctx, new(store.Batch), &renamed)
		if errors.Is(err, ErrTaken) && !errors.Is(err, ErrConfusable) { // it has not read how others look
			free, err = false, d.renameSkeleton(ctx, new(store.Batch), &renamed)
		}
		if err != nil && !errors.Is(err, ErrTaken) {
			return false, err
		}
		free = free && err == nil
	}
	return free, nil
}

// Verification is what somebody shows who reads mail at an address: a code with its handle, or the token of a link.
type Verification struct {
	Handle secret.String
	Code   string
	Token  secret.String
	User   string // who is signed in; the proof must be theirs
}

// Verified is what Verify has done.
type Verified struct {
	User   User   // as it is now
	Before User   // as it was; the same address: it was verified for the first time, or anew
	Undo   Mailed // a token that gives the address back that the user had proven before; empty: there is none
}

// Changed reports whether the address is another one.
func (v Verified) Changed() bool { return v.User.Address != v.Before.Address }

// Verify makes an address the one of its user, proven now, and the identifier too if that was the address
// before. told makes the message to the address before. If the user had proven that, it has the
// link that gives it back; if not, there are few in an hour. All is one commit, and of two at once one is refused. It fails with
// login.ErrRefused or login.ErrOver, ErrAddressTaken, ErrTaken and ErrConfusable.
func (d *Directory) Verify(ctx context.Context, shown Verification, act audit.Act, told func(v Verified) ([]store.Record, error)) (v Verified, err error) {
	for range 5 { // each conflict is the success of another commit
		if v, err = d.verify(ctx, shown, act, told); !errors.Is(err, store.ErrConflict) {
			return v, err
		}
	}
	return v, login.ErrBusy
}

func (d *Directory) verify(ctx context.Context, shown Verification, act audit.Act, told func(v Verified) ([]store.Record, error)) (v Verified, err error) {
	p, require, err := d.shown(ctx, shown)
	if err != nil {
		return v, err
	}
	u, err := d.ByID(ctx, p.User)
	if errors.Is(err, store.ErrNotFound) {
		err = login.ErrOver
	}
	if err != nil {
		return v, err
	}
	v.Before = u
	if u.follows(p.Address) {
		u.Identifier = p.Address
	}
	now := d.now().UTC().Truncate(time.Second)
	u.Address, u.Verified = p.Address, now
	b, err := d.write(ctx, u, nil)
	if err != nil {
		return v, err
	}
	b.Require = append(b.Require, require...)
	b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kindVerification, Owner: u.ID})
	v.User = u
	if v.Changed() && !v.Before.Verified.IsZero() {
		others, err := d.undos(ctx, u.ID)
		if err != nil {
			return v, err
		}
		nth := 1
		for _, other := range others {
			nth = max(nth, other.nth+1)
		}
		undo := proof{User: u.ID, Address: v.Before.Address, Expires: now.Add(UndoTTL), Former: &former{v.Before.Identifier, v.Before.Address, v.Before.Verified, now, nth}}
		token, rec, err := undo.mint(kindUndo, undoPrefix, u.ID)
		if err != nil {
			return v, err
		}
		v.Undo = Mailed{Token: token, LinkEnd: undo.Expires}
		b.Put = append(b.Put, rec)
	}
	if err := d.tell(ctx, &b, v, told); err != nil {
		return v, err
	}
	if act.By == "" {
		act.By = audit.BySubject(u.ID)
	}
	note := act.Entry(audit.SetAddress, u.ID)
	note.Detail = "verified"
	if v.Changed() {
		note.Detail = "changed"
	}
	_, err = d.audit.Commit(ctx, d.store, b, note)
	return v, err
}

// tell adds the message to the address before to b, if there was one. A stranger's that nobody had proven
// gets no more than maxMails in an hour.
func (d *Directory) tell(ctx context.Context, b *store.Batch, v Verified, told func(v Verified) ([]store.Record, error)) error {
	if !v.Changed() || v.Before.Address == "" {
		return nil
	}
	if v.Before.Verified.IsZero() {
		recs, err := d.store.Get(ctx, mailingKey("moved "+v.Before.Address))
		if err != nil {
			return err
		}
		if wait, err := d.countMail(b, recs[0], maxMails); err != nil || wait > 0 {
			return err
		}
	}
	messages, err := told(v)
	b.Put = append(b.Put, messages...)
	return err
}

// shown returns what a commit must require if the proof counts.
func (d *Directory) shown(ctx context.Context, shown Verification) (p proof, require []store.Require, err error) {
	if shown.Token.Reveal() != "" {
		var at store.Record
		p, at, err = d.linked(ctx, kindVerification, verificationPrefix, shown.Token)
		require = []store.Require{{Key: at.Key, Rev: at.Rev}}
	} else {
		p, require, err = d.tryCode(ctx, kindVerification, shown.Handle, shown.Code)
	}
	if err == nil && shown.User != p.User {
		err = login.ErrOver // who reads the mail need not be who has the account, nor the other way round
	}
	return p, require, err
}

// DropVerifications voids what was mailed to a user to prove an address: who asked for it may be a thief.
func (d *Directory) DropVerifications(ctx context.Context, id string) error {
	_, err := d.store.Commit(ctx, store.Batch{DeleteOwned: []store.Owned{{Kind: kindVerification, Owner: id}}})
	return err
}

// Verifies returns the user and the address that the token of a link is for, or login.ErrRefused. It uses nothing up.
func (d *Directory) Verifies(ctx context.Context, token secret.String) (u User, address string, err error) {
	return d.addressOf(ctx, kindVerification, verificationPrefix, token)
}

// Undoes returns the user whose address the token of an undo gives back, and that address, or
// login.ErrRefused. It uses nothing up.
func (d *Directory) Undoes(ctx context.Context, token secret.String) (u User, address string, err error) {
	return d.addressOf(ctx, kindUndo, undoPrefix, token)
}

func (d *Directory) addressOf(ctx context.Context, kind store.Kind, prefix string, token secret.String) (u User, address string, err error) {
	p, _, err := d.linked(ctx, kind, prefix, token)
	if err != nil {
		return u, "", err
	}
	u, err = d.ByID(ctx, p.User)
	if errors.Is(err, store.ErrNotFound) {
		err = login.ErrRefused
	}
	return u, p.Address, err
}

// Undo is Write for u, who gets the address and the identifier back that an undo has, with a password
// that nobody knows: the person who changed the address may know the one of now. Credentials from after
// the change go. It returns a token to choose a password with. The undos of later changes go with it. Those of
// earlier ones stay: who made this change and reads this undo may be the thief, and theirs is the owner's.
func (d *Directory) Undo(ctx context.Context, token secret.String, u User, due *Due, note audit.Entry, told Told) (recovery secret.String, expires time.Time, err error) {
	p, at, err := d.linked(ctx, kindUndo, undoPrefix, token)
	if err == nil && (p.User != u.ID || p.Former == nil) {
		err = login.ErrRefused
	}
	if err != nil {
		return recovery, expires, err
	}
	u.Identifier, u.Address, u.Verified, u.Password = p.Former.Identifier, p.Former.Address, p.Former.Verified.UTC(), ""
	b, err := d.write(ctx, u, due)
	if err != nil {
		return recovery, expires, err
	}
	others, err := d.Credentials(ctx, u.ID, "")
	if err != nil {
		return recovery, expires, err
	}
	notes := []audit.Entry{note}
	for _, c := range others {
		if c.Kind != KindPassword && c.Kind != KindMail && !c.Created.Before(p.Former.Changed) {
			key := credentialKey(u.ID, c.Kind, c.ID)
			b.Require, b.Delete = append(b.Require, store.Require{Key: key, Rev: c.Rev}), append(b.Delete, key)
			gone := note
			gone.Action, gone.Target = audit.DeleteCredential, c.Kind+"/"+c.ID
			notes = append(notes, gone)
		}
	}
	undos, err := d.undos(ctx, u.ID)
	if err != nil {
		return recovery, expires, err
	}
	for _, other := range undos {
		if other.nth >= p.Former.Nth {
			b.Delete = append(b.Delete, other.key)
		}
	}
	b.Require = append(b.Require, store.Require{Key: at.Key, Rev: at.Rev})
	link := proof{User: u.ID, Address: u.Address, Expires: d.now().Add(LinkTTL)}
	recovery, rec, err := link.mint(kindInvitation, invitationPrefix, u.ID)
	if err != nil {
		return recovery, expires, err
	}
	b.Put = append(b.Put, rec)
	if err := told.add(&b, u); err != nil {
		return recovery, expires, err
	}
	_, err = d.audit.Commit(ctx, d.store, b, notes...)
	return recovery, link.Expires, err
}

// EndUndos voids every undo of a user: who reads mail at an address before the one of now may not be the user any more.
// note is kept if one was good. The commit is made in any case: a store that is not the newest does not say that there is none.
func (d *Directory) EndUndos(ctx context.Context, id string, note audit.Entry) error {
	for {
		u, err := d.ByID(ctx, id)
		if err != nil {
			return err
		}
		undos, err := d.undos(ctx, id)
		if err != nil {
			return err
		}
		said := note
		if !slices.ContainsFunc(undos, func(u undo) bool { return d.now().Before(u.expires) }) {
			said = audit.Entry{}
		}
		b, err := d.write(ctx, u, nil)
		if err != nil {
			return err
		}
		b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kindUndo, Owner: id})
		if _, err = d.audit.Commit(ctx, d.store, b, said); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// undo is where one is kept, which one of its user it is, and until when it is good.
type undo struct {
	key     store.Key
	nth     int
	expires time.Time
}

// undos returns those of a user. Each commit that adds or deletes one also writes the user.
func (d *Directory) undos(ctx context.Context, user string) (all []undo, err error) {
	for rec, err := range d.store.List(ctx, kindUndo, user, "") {
		if err != nil {
			return nil, err
		}
		var p proof
		if err := json.Unmarshal(rec.Value, &p); err != nil {
			return nil, fmt.Errorf("undo of user %s: %w", user, err)
		}
		if p.Former != nil {
			all = append(all, undo{rec.Key, p.Former.Nth, p.Expires})
		}
	}
	return all, nil
}

// CreateVerifying is Create, and mails a link to the address of u in the same commit, if u has one that
// had not too many mails.
func (d *Directory) CreateVerifying(ctx context.Context, act audit.Act, u User, compose Compose) (User, error) {
	u.ID, u.Status, u.Created = "", Active, d.now()
	for {
		b, note, err := d.create(ctx, act, &u)
		if err == nil {
			err = d.welcome(ctx, &b, u, compose)
		}
		if err != nil {
			return User{}, err
		}
		if _, err = d.audit.Commit(ctx, d.store, b, note); !errors.Is(err, store.ErrConflict) {
			return u, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, err
		}
	}
}

// welcome adds the link to b, and the message. There is no code: no page waits for it.
func (d *Directory) welcome(ctx context.Context, b *store.Batch, u User, compose Compose) error {
	if u.Address == "" {
		return nil
	}
	recs, err := d.store.Get(ctx, mailingKey("address "+untagged(u.Address)))
	if err != nil {
		return err
	}
	if wait, err := d.countMail(b, recs[0], maxMails); err != nil || wait > 0 {
		return err
	}
	m, err := d.mail(b, kindVerification, verificationPrefix, u.ID, proof{User: u.ID, Address: u.Address})
	if err != nil {
		return err
	}
	m.Code = secret.String{}
	message, err := compose(u, m)
	b.Put = append(b.Put, message)
	return err
}

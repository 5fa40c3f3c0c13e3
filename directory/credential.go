package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// A credential is a record beside its user: what a way of signing in checks a proof by.
// It ends with the user.
const kindCredential store.Kind = "credential" // ID: see credentialKey; owner: user id

// KindPassword is the kind of the one credential that has a password's hash. A user has
// one at most, so it is read together with the user.
const KindPassword = "password"

// maxCredentials is how many of one kind a user may have.
const maxCredentials = 32

// ErrBadCredential means that a credential cannot be kept as it is.
var ErrBadCredential = errors.New("credential is not acceptable")

func credentialKey(user, kind, id string) store.Key {
	name := user + "/" + kind
	if id != "" {
		name += "/" + id
	}
	return store.Key{Kind: kindCredential, ID: name}
}

func passwordKey(user string) store.Key { return credentialKey(user, KindPassword, "") }

// parseCredential returns the credential of a record of user that may be absent.
func parseCredential(user string, r store.Record) (c login.Credential, err error) {
	if r.Rev == 0 {
		return c, nil
	}
	if err := json.Unmarshal(r.Value, &c); err != nil {
		return c, fmt.Errorf("credential %s: %w", r.ID, err)
	}
	c.Kind, c.ID, _ = strings.Cut(strings.TrimPrefix(r.ID, user+"/"), "/")
	c.Rev = r.Rev
	return c, nil
}

func credentialRecord(user string, c login.Credential) (store.Record, error) {
	value, err := json.Marshal(c)
	return store.Record{Key: credentialKey(user, c.Kind, c.ID), Owner: user, Rev: c.Rev, Value: value}, err
}

// hashed is the data of a password.
type hashed struct {
	Hash string `json:"hash"` // PHC string of argon2id, or a hash from elsewhere
}

// NewPassword returns the credential of a password with that hash.
func NewPassword(hash string, created time.Time) (login.Credential, error) {
	data, err := json.Marshal(hashed{hash})
	return login.Credential{Kind: KindPassword, Data: data, Created: created}, err
}

// HashOf returns the hash of a password's credential; empty if c is none.
func HashOf(c login.Credential) (string, error) {
	if c.Data == nil {
		return "", nil
	}
	var kept hashed
	if err := json.Unmarshal(c.Data, &kept); err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return kept.Hash, nil
}

// setPassword adds to b what makes u.Password the one that is kept. Of a user from before
// there were credentials, the hash is in the user's record: it moves in this commit.
func (d *Directory) setPassword(b *store.Batch, u *User) error {
	if u.Password == u.kept && !u.inside {
		return nil
	}
	if u.Password == "" {
		if u.password.Rev > 0 {
			key := passwordKey(u.ID)
			b.Require = append(b.Require, store.Require{Key: key, Rev: u.password.Rev})
			b.Delete = append(b.Delete, key)
		}
		return nil
	}
	created := d.now()
	if u.Password == u.kept {
		created = u.password.Created
	}
	c, err := NewPassword(u.Password, created)
	if err != nil {
		return err
	}
	c.Rev = u.password.Rev
	rec, err := credentialRecord(u.ID, c)
	b.Put = append(b.Put, rec)
	return err
}

// Account returns a user with the credentials of a kind, for signing in. It is empty if
// the user is disabled, and store.ErrNotFound if there is none: all after the same
// look-ups.
func (d *Directory) Account(ctx context.Context, id, kind string) (login.Account, error) {
	u, _, err := d.read(ctx, id)
	none := errors.Is(err, store.ErrNotFound)
	if err != nil && !none {
		return login.Account{}, err
	}
	a := login.Account{Subject: id, Identifier: u.Identifier, Name: u.Name, Roles: u.Roles}
	if kind != KindPassword {
		if a.Credentials, err = d.Credentials(ctx, id, kind); err != nil {
			return login.Account{}, err
		}
	} else if u.Password != "" {
		a.Credentials = []login.Credential{u.password}
	}
	switch {
	case none:
		return login.Account{}, store.ErrNotFound
	case u.Status != Active:
		return login.Account{}, nil
	}
	return a, nil
}

// Credentials returns those of a kind that a user has; with an empty kind, all.
func (d *Directory) Credentials(ctx context.Context, user, kind string) (all []login.Credential, err error) {
	for rec, err := range d.store.List(ctx, kindCredential, user, "") {
		if err != nil {
			return nil, err
		}
		c, err := parseCredential(user, rec)
		if err != nil {
			return nil, err
		}
		if kind == "" || c.Kind == kind {
			all = append(all, c)
		}
	}
	return all, nil
}

// SaveCredential keeps c in place of the one that was read, or adds it if Rev is 0. If
// somebody else changed it meanwhile, or the user, the error is store.ErrConflict. note is
// what the trail keeps of it; without an action nothing is kept.
func (d *Directory) SaveCredential(ctx context.Context, user string, c login.Credential, note audit.Entry) error {
	if err := checkCredential(c); err != nil {
		return err
	}
	if c.Rev != 0 {
		return d.saveCredential(ctx, user, store.Batch{}, c, note, nil)
	}
	u, err := d.ByID(ctx, user)
	if err != nil {
		return err
	}
	return d.SaveCredentialOf(ctx, u, c, note, nil)
}

// SaveCredentialOf is SaveCredential for a user who was read, and is still the same. told are messages about it.
func (d *Directory) SaveCredentialOf(ctx context.Context, u User, c login.Credential, note audit.Entry, told []store.Record) error {
	if err := checkCredential(c); err != nil {
		return err
	}
	if c.Rev != 0 {
		return d.saveCredential(ctx, u.ID, store.Batch{Require: []store.Require{u.require()}}, c, note, told)
	}
	others, err := d.Credentials(ctx, u.ID, c.Kind)
	if err != nil {
		return err
	}
	if len(others) >= maxCredentials {
		return fmt.Errorf("%w: a user has at most %d of a kind", ErrBadCredential, maxCredentials)
	}
	same, err := u.record() // a user who is deleted meanwhile leaves no credential behind
	if err != nil {
		return err
	}
	b := store.Batch{Put: []store.Record{same}}
	if c.Kind != KindPassword {
		if err := d.setPassword(&b, &u); err != nil {
			return err
		}
	}
	return d.saveCredential(ctx, u.ID, b, c, note, told)
}

func (d *Directory) saveCredential(ctx context.Context, user string, b store.Batch, c login.Credential, note audit.Entry, told []store.Record) error {
	rec, err := credentialRecord(user, c)
	if err != nil {
		return err
	}
	b.Put = append(append(b.Put, rec), told...)
	_, err = d.audit.Commit(ctx, d.store, b, note)
	return err
}

// DeleteCredential removes the credential that was read. If somebody else changed it
// meanwhile, the error is store.ErrConflict.
func (d *Directory) DeleteCredential(ctx context.Context, user string, c login.Credential, note audit.Entry) error {
	return d.DeleteCredentialTold(ctx, user, c, note, nil)
}

// DeleteCredentialTold is DeleteCredential, with messages about it.
func (d *Directory) DeleteCredentialTold(ctx context.Context, user string, c login.Credential, note audit.Entry, told []store.Record) error {
	if c.Kind == KindPassword { // its hash may be in the user's record
		u, err := d.ByID(ctx, user)
		if err == nil && u.password.Rev != c.Rev {
			err = store.ErrConflict
		}
		if err != nil {
			return err
		}
		u.Password = ""
		return d.WriteTold(ctx, u, nil, note, func(User) ([]store.Record, error) { return told, nil })
	}
	key := credentialKey(user, c.Kind, c.ID)
	_, err := d.audit.Commit(ctx, d.store, store.Batch{
		Require: []store.Require{{Key: key, Rev: c.Rev}}, Delete: []store.Key{key}, Put: told,
	}, note)
	return err
}

func checkCredential(c login.Credential) error {
	if !check.Method(c.Kind) {
		return fmt.Errorf("%w: a kind is 1 to 32 lower-case letters, digits and dashes", ErrBadCredential)
	}
	if len(c.ID) > 100 || !check.Printable(c.ID) || strings.Contains(c.ID, "/") {
		return fmt.Errorf("%w: an id is at most 100 printable ASCII characters without spaces and slashes", ErrBadCredential)
	}
	if len(c.Data) > 16<<10 || !json.Valid(c.Data) {
		return fmt.Errorf("%w: its data is JSON of at most 16 KiB", ErrBadCredential)
	}
	return nil
}

package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/mailaddress"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// KindMail is the kind of the one credential that has a user's mail address. It is read together
// with the user. A record of its own, because an earlier version that writes the user keeps it, and
// one that deletes the user deletes it.
const KindMail = "mail"

// kindAddress has the hash of an address as its ID, and says which user proved to read mail there.
// It makes verified addresses unique. Others are not: anybody may claim an address.
const kindAddress store.Kind = "address"

// Errors about addresses.
var (
	ErrBadAddress = fmt.Errorf("%w: a mail address is a name, an @ and a domain, in ASCII, such as ada@example.com", ErrBadUser)

	// ErrAddressTaken means that another user proved to read mail at an address.
	ErrAddressTaken = fmt.Errorf("%w: another user has the address", ErrBadUser)
)

// CanonicalAddress returns the one spelling of a mail address, which is in lower case, or
// ErrBadAddress (LOGIN-11). A domain has a dot, and one in another script is written in its ASCII
// form (xn--).
func CanonicalAddress(address string) (string, error) {
	if len(address) > MaxIdentifier {
		return "", ErrBadAddress
	}
	address = strings.ToLower(strings.TrimSpace(address))
	ascii, err := mailaddress.ASCII(address)
	if _, domain, _ := strings.Cut(address, "@"); err != nil || ascii != address || !strings.Contains(domain, ".") {
		return "", ErrBadAddress
	}
	return address, nil
}

// addressIn returns the address that an identifier is; empty: it is none.
func addressIn(identifier string) string {
	address, err := CanonicalAddress(identifier)
	if err != nil || address != identifier {
		return ""
	}
	return address
}

// mailbox is the data of the credential with the address.
type mailbox struct {
	Address  string    `json:"address"`
	Verified time.Time `json:"verified,omitzero"`
	Language string    `json:"language,omitempty"`
}

func mailKey(user string) store.Key { return credentialKey(user, KindMail, "") }

func addressKey(address string) store.Key { return store.Key{Kind: kindAddress, ID: hashID(address)} }

func (u *User) mailbox() mailbox { return mailbox{u.Address, u.Verified, u.Language} }

// parseMailbox reads the address of u from a record that may be absent. A user whose identifier is an
// address has that one, until there is another.
func (u *User) parseMailbox(rec store.Record) error {
	u.Address = ""
	c, err := parseCredential(u.ID, rec)
	if err != nil {
		return err
	}
	var m mailbox
	if c.Data != nil {
		if err := json.Unmarshal(c.Data, &m); err != nil {
			return fmt.Errorf("address of user %s: %w", u.ID, err)
		}
	}
	u.Address, u.Verified, u.Language = m.Address, m.Verified.UTC(), m.Language
	if u.Address == "" {
		u.Address, u.Verified = addressIn(u.Identifier), time.Time{}
	}
	u.box, u.mailRev, u.mailCreated = u.mailbox(), rec.Rev, c.Created
	return nil
}

// setAddress adds to b what makes the address of u the one that is kept. It fails with
// ErrAddressTaken if another user has proved to read it.
func (d *Directory) setAddress(ctx context.Context, b *store.Batch, u *User) error {
	if u.mailbox() == u.box {
		return nil
	}
	if u.Address != "" {
		canonical, err := CanonicalAddress(u.Address)
		if err != nil || canonical != u.Address {
			return ErrBadAddress
		}
	}
	if u.Address == "" {
		u.Verified = time.Time{}
	}
	if err := d.setAddressIndex(ctx, b, u); err != nil {
		return err
	}
	if u.Address != u.box.Address && u.box.Address != "" { // somebody else may read mail there now (LOGIN-12)
		endMailed(b, u.ID)
	}
	created := u.mailCreated
	if u.Address != u.box.Address || created.IsZero() {
		created = d.now()
	}
	data, err := json.Marshal(u.mailbox())
	if err != nil {
		return err
	}
	rec, err := credentialRecord(u.ID, login.Credential{Kind: KindMail, Data: data, Created: created, Rev: u.mailRev})
	b.Put = append(b.Put, rec)
	return err
}

// setAddressIndex makes the address of u unique if it is verified, and frees the one before.
func (d *Directory) setAddressIndex(ctx context.Context, b *store.Batch, u *User) error {
	before, after := "", ""
	if !u.box.Verified.IsZero() {
		before = u.box.Address
	}
	if !u.Verified.IsZero() {
		after = u.Address
	}
	if before == after {
		return nil
	}
	if after != "" {
		of, at, err := d.ofAddress(ctx, after)
		switch {
		case err != nil:
			return err
		case at.Rev != 0 && of != u.ID:
			return ErrAddressTaken
		}
		value, err := json.Marshal(pointer{User: u.ID})
		if err != nil {
			return err
		}
		b.Put = append(b.Put, store.Record{Key: at.Key, Rev: at.Rev, Value: value})
	}
	return d.freeAddress(ctx, b, u.ID, before)
}

// freeAddress deletes the record of an address, if it is user's.
func (d *Directory) freeAddress(ctx context.Context, b *store.Batch, user, address string) error {
	if address == "" {
		return nil
	}
	of, at, err := d.ofAddress(ctx, address)
	if err != nil || at.Rev == 0 || of != user {
		return err
	}
	b.Require = append(b.Require, store.Require{Key: at.Key, Rev: at.Rev})
	b.Delete = append(b.Delete, at.Key)
	return nil
}

// ofAddress returns the user who proved to read mail at an address, and the record that says so; its
// Rev is zero if there is none. One that cannot be read is nobody's.
func (d *Directory) ofAddress(ctx context.Context, address string) (user string, at store.Record, err error) {
	recs, err := d.store.Get(ctx, addressKey(address))
	if err != nil {
		return "", at, err
	}
	var of pointer
	if recs[0].Rev != 0 {
		_ = json.Unmarshal(recs[0].Value, &of)
	}
	return of.User, recs[0], nil
}

// IDOfAddress returns the id of the user who proved to read mail at an address, or
// store.ErrNotFound.
func (d *Directory) IDOfAddress(ctx context.Context, address string) (string, error) {
	canonical, err := CanonicalAddress(address)
	if err != nil {
		return "", store.ErrNotFound
	}
	id, _, err := d.ofAddress(ctx, canonical)
	if err == nil && id == "" {
		err = store.ErrNotFound
	}
	return id, err
}

// AvailableAddress returns nil if a user with that id, which may be empty, can have a verified address,
// or ErrAddressTaken.
func (d *Directory) AvailableAddress(ctx context.Context, user, address string) error {
	id, err := d.IDOfAddress(ctx, address)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil && id != user:
		return ErrAddressTaken
	}
	return err
}

// MailboxOf returns a user with the address, and nothing else, of a credential of the kind KindMail.
func MailboxOf(c login.Credential) (u User, err error) {
	var m mailbox
	if err := json.Unmarshal(c.Data, &m); err != nil {
		return u, fmt.Errorf("address: %w", err)
	}
	u.Address, u.Verified, u.Language = m.Address, m.Verified, m.Language
	return u, nil
}

package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// What is mailed to somebody has a code, and a link with a token; both prove that its reader reads mail
// at that address. The code is for the page that asked for it: it counts together with the handle
// that this page has, so a code that is read out over the telephone opens nothing elsewhere, and
// who reads the store cannot try all codes. The token counts alone.
//
// One mail is two records of one kind. Of them the code has Code. What uses one up, and what takes their place, deletes
// both. Of a recovery it deletes the link, and the code names the link: a code without it is wrong, like any other, until its tries
// are over. Otherwise who asks for two names learns from the first code whether both are of one account (LOGIN-07).
const (
	kindRecovery     store.Kind = "recovery"     // to choose a password; ID: hash of handle or token; owner: user id
	kindVerification store.Kind = "verification" // to prove an address; likewise
	kindUndo         store.Kind = "undo"         // to get the address before back; ID: hash of the token; owner: user id
	kindMailing      store.Kind = "mailing"      // ID: hash of whom mail goes to; see mailing
	kindDecoy        store.Kind = "decoy"        // stands for a record that is not written; see BeginRecovery
)

// How long what is mailed is good (LOGIN-12), and what a code is, also one to sign in with.
const (
	CodeTTL = 10 * time.Minute
	LinkTTL = 15 * time.Minute
	UndoTTL = 72 * time.Hour

	CodeDigits = 8
	CodeTries  = 5 // in all
)

// What leads from a mail to a page, without a secret.
const (
	recoveryPrefix     = "cfp_"
	verificationPrefix = "cfv_"
	undoPrefix         = "cfu_"
)

// Mailed is what a mail has, and what the page has that asked for it.
type Mailed struct {
	Handle  secret.String // of the page
	Code    secret.String // see NewCode
	Token   secret.String // of the link
	CodeEnd time.Time
	LinkEnd time.Time
}

// proof is a record of what was mailed.
type proof struct {
	User    string    `json:"user"`
	Address string    `json:"address"` // where it was mailed
	Expires time.Time `json:"expires"`
	Used    bool      `json:"used,omitempty"`
	Code    []byte    `json:"code,omitempty"` // hash of the handle and the code; empty: it is a link
	Link    string    `json:"link,omitempty"` // ID of the link beside a code, with which the code goes; empty: the owner is enough
	Tries   int       `json:"tries,omitempty"`

	Former *former `json:"former,omitempty"` // of an undo
}

// former is what an undo gives back.
type former struct {
	Identifier string    `json:"identifier"`
	Address    string    `json:"address"`
	Verified   time.Time `json:"verified"`
	Changed    time.Time `json:"changed"`
	Nth        int       `json:"nth"` // higher than that of each undo of the user that there was then
}

// random returns a secret of 32 bytes.
func random(prefix string) secret.String {
	raw := make([]byte, 32)
	rand.Read(raw)
	return secret.New(prefix + base64.RawURLEncoding.EncodeToString(raw))
}

// NewCode returns CodeDigits digits.
func NewCode() secret.String {
	end := new(big.Int).Exp(big.NewInt(10), big.NewInt(CodeDigits), nil)
	n, err := rand.Int(rand.Reader, end)
	if err != nil {
		panic("directory: " + err.Error()) // rand.Reader never fails
	}
	return secret.New(fmt.Sprintf("%0*d", CodeDigits, n))
}

// ReadCode returns the digits of a code as people type it: with blanks or dashes between them.
func ReadCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return r
	}, typed)
}

func codeHash(handle, code string) []byte {
	sum := sha256.Sum256([]byte(handle + " " + code))
	return sum[:]
}

// mail makes what is mailed, and its records, of which owner has no other afterwards.
func (d *Directory) mail(b *store.Batch, kind store.Kind, prefix, owner string, p proof) (Mailed, error) {
	now := d.now()
	m := Mailed{Handle: random(""), Code: NewCode(), Token: random(prefix), CodeEnd: now.Add(CodeTTL), LinkEnd: now.Add(LinkTTL)}
	code, link := p, p
	code.Code, code.Expires, link.Expires = codeHash(m.Handle.Reveal(), m.Code.Reveal()), m.CodeEnd, m.LinkEnd
	b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kind, Owner: owner})
	linked, err := link.record(store.Key{Kind: kind, ID: hashID(m.Token.Reveal())}, owner, 0)
	if err != nil {
		return Mailed{}, err
	}
	if kind == kindRecovery {
		code.Link, owner = linked.ID, ""
	}
	coded, err := code.record(store.Key{Kind: kind, ID: hashID(m.Handle.Reveal())}, owner, 0)
	b.Put = append(b.Put, coded, linked)
	return m, err
}

// decoy is a record that nobody reads. It stands for one that is not written, so that the commit costs the same.
func (d *Directory) decoy(value []byte) store.Record {
	return store.Record{Key: store.Key{Kind: kindDecoy, ID: hashID(random("").Reveal())}, Expires: d.now().Add(time.Second), Value: value}
}

// endMailed adds to b that nothing counts any more that was mailed to a user or handed out: to choose a
// password, or to prove an address.
func endMailed(b *store.Batch, user string) {
	for _, kind := range []store.Kind{kindInvitation, kindRecovery, kindVerification} {
		b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kind, Owner: user})
	}
}

// mint makes the token of a link, and the record of p for it.
func (p proof) mint(kind store.Kind, prefix, owner string) (secret.String, store.Record, error) {
	token := random(prefix)
	rec, err := p.record(store.Key{Kind: kind, ID: hashID(token.Reveal())}, owner, 0)
	return token, rec, err
}

func (p proof) record(key store.Key, owner string, rev uint64) (store.Record, error) {
	value, err := json.Marshal(p)
	return store.Record{Key: key, Owner: owner, Rev: rev, Expires: p.Expires.Add(time.Second), Value: value}, err
}

// proven returns the record of a handle or a token, or login.ErrOver.
func (d *Directory) proven(ctx context.Context, kind store.Kind, text string) (p proof, at store.Record, err error) {
	if len(text) < 43 || len(text) > 64 {
		return p, at, login.ErrOver
	}
	at, err = store.One(ctx, d.store, store.Key{Kind: kind, ID: hashID(text)})
	if errors.Is(err, store.ErrNotFound) {
		return p, at, login.ErrOver
	}
	if err != nil {
		return p, at, err
	}
	if err := json.Unmarshal(at.Value, &p); err != nil {
		return p, at, fmt.Errorf("%s: %w", kind, err)
	}
	if !d.now().Before(p.Expires) {
		return p, at, login.ErrOver
	}
	return p, at, nil
}

// linked returns the record of the token of a link, or login.ErrRefused.
func (d *Directory) linked(ctx context.Context, kind store.Kind, prefix string, token secret.String) (p proof, at store.Record, err error) {
	if !strings.HasPrefix(token.Reveal(), prefix) {
		return p, at, login.ErrRefused
	}
	p, at, err = d.proven(ctx, kind, token.Reveal())
	if errors.Is(err, login.ErrOver) {
		err = login.ErrRefused
	}
	return p, at, err
}

// tryCode returns what a commit must require, if the code is the one that was mailed. Otherwise the try is
// counted before anybody is told: login.ErrRefused, and login.ErrOver once there were CodeTries, or
// if the handle is of nothing that can be answered. Of tries at the same time, each counts.
func (d *Directory) tryCode(ctx context.Context, kind store.Kind, handle secret.String, code string) (p proof, require []store.Require, err error) {
	hash := codeHash(handle.Reveal(), ReadCode(code))
	for {
		var at store.Record
		p, at, err = d.proven(ctx, kind, handle.Reveal())
		if err == nil && (p.Code == nil || p.Tries >= CodeTries) {
			err = login.ErrOver
		}
		if err != nil {
			return p, nil, err
		}
		if subtle.ConstantTimeCompare(hash, p.Code) == 1 {
			require = []store.Require{{Key: at.Key, Rev: at.Rev}}
			if p.Link == "" {
				return p, require, nil
			}
			link, err := store.One(ctx, d.store, store.Key{Kind: kind, ID: p.Link})
			var beside proof
			if err == nil {
				err = json.Unmarshal(link.Value, &beside)
			}
			switch {
			case err == nil && !beside.Used:
				return p, append(require, store.Require{Key: link.Key, Rev: link.Rev}), nil
			case err != nil && !errors.Is(err, store.ErrNotFound):
				return p, nil, err
			}
		}
		p.Tries++
		rec, err := p.record(at.Key, at.Owner, at.Rev)
		if err != nil {
			return p, nil, err
		}
		_, err = d.store.Commit(ctx, store.Batch{Put: []store.Record{rec}})
		if err == nil {
			return p, nil, login.ErrRefused
		}
		if !errors.Is(err, store.ErrConflict) {
			return p, nil, err
		}
	}
}

// mailing counts what was mailed to somebody.
type mailing struct {
	Sent []time.Time `json:"sent"`
}

// Not more than so many mails go to anybody in any mailWindow: a stranger can have mail sent to whom they like.
const (
	maxMails   = 3 // to reset a password, or to prove an address
	maxSignIns = 6 // to sign in
	mailWindow = time.Hour
)

func mailingKey(whose string) store.Key {
	return store.Key{Kind: kindMailing, ID: hashID(whose)}
}

// untagged is an address without the part of its name after a plus sign: mail to all of them goes to one person.
func untagged(address string) string {
	name, host, _ := strings.Cut(address, "@")
	name, _, _ = strings.Cut(name, "+")
	return name + "@" + host
}

// countMail adds to b one more mail, of at most so many. at is the record of the counter, which may be absent. If there
// were too many, wait is when there is room again.
func (d *Directory) countMail(b *store.Batch, at store.Record, most int) (wait time.Duration, err error) {
	now := d.now().UTC()
	var was, is mailing
	if at.Rev != 0 {
		if err := json.Unmarshal(at.Value, &was); err != nil {
			return 0, fmt.Errorf("mailing: %w", err)
		}
	}
	for _, sent := range was.Sent {
		if age := now.Sub(sent); age < mailWindow && age > -mailWindow {
			is.Sent = append(is.Sent, sent)
		}
	}
	if len(is.Sent) >= most {
		return max(time.Second, is.Sent[len(is.Sent)-most].Add(mailWindow).Sub(now)), nil
	}
	is.Sent = append(is.Sent, now)
	value, err := json.Marshal(is)
	b.Put = append(b.Put, store.Record{Key: at.Key, Rev: at.Rev, Expires: now.Add(mailWindow + time.Second), Value: value})
	return 0, err
}

package issuer

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// codeTTL is how long a code of [Issuer.HandOver] is good: a browser carries it over at once.
const codeTTL = time.Minute

// codeKept is how long a code is remembered after that, so that a second use of it is noticed.
const codeKept = 10 * time.Minute

// ErrCode means that a code is not known, is over, was used before, or belongs to another
// client, origin or browser. Nobody is told which.
var ErrCode = fmt.Errorf("the code is not good: %w", counterfoil.ErrInvalidToken)

// ErrNotOrigin means that a client does not list an origin, so that no session of it is used there.
var ErrNotOrigin = fmt.Errorf("%w: the client does not list the origin", ErrBadRequest)

// Handover says for which browser, and for which host, a session is.
type Handover struct {
	Client    string // the session's own
	Origin    string // one that the client lists
	Challenge string // S256 (RFC 7636) of the Verifier of the Redemption
	Act       audit.Act
}

// Redemption is what shows that a code came back to the browser that it was made for.
type Redemption struct {
	Client   string // empty: clients.Default
	Origin   string
	Code     secret.String
	Verifier secret.String
	Replaces secret.String // the cookie that the browser has at Origin, which the new one overwrites; empty: none
	Act      audit.Act
}

// kindCode has what a code is good for. ID: codeID; owner: subject.
const kindCode store.Kind = "code"

// code is the value of such a record.
type code struct {
	Session   string    `json:"session"`
	Client    string    `json:"client"`
	Origin    string    `json:"origin"`
	Challenge string    `json:"challenge"`
	Expires   time.Time `json:"expires"`
	Host      string    `json:"host,omitempty"` // that was made with it: it is used up
}

func codeKey(text string) store.Key {
	sum := sha256.Sum256([]byte("counterfoil code v1\x00" + text))
	return store.Key{Kind: kindCode, ID: "cod_" + base32Lower.EncodeToString(sum[:20])}
}

// HandOver makes a code with which the browser that has session, as [Issuer.Account] says, gets a
// cookie of it at a host of the session's client: see [Issuer.Redeem]. It is good for a minute,
// once. It fails with ErrNotOrigin, with ErrBadRequest for a session of another client, and with
// login.Throttled for one that asks too often.
func (i *Issuer) HandOver(ctx context.Context, session *counterfoil.Session, h Handover) (secret.String, error) {
	if len(h.Challenge) != token.ChallengeSize || check.Text("challenge", h.Challenge, token.ChallengeSize) != nil {
		return secret.String{}, fmt.Errorf("%w: a challenge is the base64url of a SHA-256", ErrBadRequest)
	}
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return secret.String{}, err
	}
	row, err := i.row(ctx, session.ID)
	if err != nil {
		return secret.String{}, err
	}
	held, err := i.living(ctx, row, now)
	switch {
	case err != nil:
		return secret.String{}, err
	case row.Client != h.Client || session.Origin != "":
		return secret.String{}, fmt.Errorf("%w: the session is of another client or host", ErrBadRequest)
	case !slices.Contains(held.client.Origins, h.Origin):
		return secret.String{}, ErrNotOrigin
	}
	if ok, wait := i.handed.Allow(row.ID, now); !ok { // each may put an entry into the memory of every verifier
		return secret.String{}, login.Throttled{RetryAfter: wait}
	}
	var random [32]byte
	rand.Read(random[:])
	text := base64.RawURLEncoding.EncodeToString(random[:])
	made := code{Session: row.ID, Client: row.Client, Origin: h.Origin, Challenge: h.Challenge, Expires: now.Add(codeTTL)}
	rec, err := made.record(store.Record{Key: codeKey(text), Owner: row.Subject})
	if err != nil {
		return secret.String{}, err
	}
	if _, err := i.store.Commit(ctx, store.Batch{Put: []store.Record{rec}}); err != nil {
		return secret.String{}, unavailable(err)
	}
	return secret.New(text), nil
}

func (c *code) record(rec store.Record) (store.Record, error) {
	var err error
	rec.Expires = c.Expires.Add(codeKept).UTC().Truncate(time.Second)
	rec.Value, err = json.Marshal(c)
	return rec, err
}

// Redeem makes a cookie of the session that a code was made for, for its origin alone: Access of
// what it returns. It takes the place of one that the session has there, and of the one that r says it
// overwrites, see [Issuer.replaceHost]. The code is used up in the same commit. It fails with ErrCode,
// and with ErrInvalidToken if the session has ended.
//
// A code that comes a second time with its Verifier was copied, and the secret of the browser with
// it: what was made with it ends (RFC 6749 section 4.1.2).
// One that comes with another Verifier is used up as well. A page that asks for a code with a secret
// of its own makes it turn up in the browser of its victim, and from there perhaps in a log.
func (i *Issuer) Redeem(ctx context.Context, r Redemption) (*Issued, error) {
	r.Client = cmp.Or(r.Client, clients.Default)
	for {
		issued, err := i.tryRedeem(ctx, r)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
		// It was used meanwhile, or something that the session rests on has changed.
	}
}

func (i *Issuer) tryRedeem(ctx context.Context, r Redemption) (*Issued, error) {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := store.One(ctx, i.store, codeKey(r.Code.Reveal()))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrCode
	}
	if err != nil {
		return nil, unavailable(err)
	}
	var c code
	if err := json.Unmarshal(rec.Value, &c); err != nil || c.Client != r.Client || c.Origin != r.Origin {
		return nil, ErrCode
	}
	if !hmac.Equal([]byte(token.Challenge(r.Verifier.Reveal())), []byte(c.Challenge)) {
		return nil, i.void(ctx, &c, rec)
	}
	if c.Host != "" {
		return nil, i.copied(ctx, &c, rec, r)
	}
	if !now.Before(c.Expires) {
		return nil, ErrCode
	}
	row, err := i.row(ctx, c.Session)
	if err != nil {
		return nil, err
	}
	h, err := i.hosted(ctx, row, &Host{Origin: c.Origin}, now)
	if err != nil {
		return nil, err
	}
	b := store.Batch{Require: h.require()}
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	if h.host, issued.Access, err = row.settle(c.Origin, now, &b); err != nil {
		return nil, err
	}
	replaced, err := i.replaceHost(ctx, &b, r.Replaces.Reveal(), row, c.Origin)
	if err != nil {
		return nil, err
	}
	row.use(now, i.idle(h.client))
	c.Host = h.host.ID
	if rec, err = c.record(rec); err == nil {
		b.Put = append(b.Put, rec)
		err = put(&b, row)
	}
	if err != nil {
		return nil, err
	}
	note := handoverEntry(r, row, h.host, audit.AddHost)
	note.Detail = strings.TrimSpace(replaced.String())
	head, err := i.log.Commit(ctx, b, note)
	if err != nil {
		return nil, unavailable(err)
	}
	return i.finish(ctx, issued, h, head, now)
}

// void takes a code away that came by another browser than it was made for. It returns ErrCode
// when that is done. What was made with it stays: who made it had the secret.
func (i *Issuer) void(ctx context.Context, c *code, rec store.Record) error {
	if c.Host != "" {
		return ErrCode
	}
	b := store.Batch{Require: []store.Require{{Key: rec.Key, Rev: rec.Rev}}, Delete: []store.Key{rec.Key}}
	if _, err := i.store.Commit(ctx, b); err != nil {
		return unavailable(err)
	}
	return ErrCode
}

// copied ends what was made with a code that comes a second time. It returns ErrCode when that
// is done.
func (i *Issuer) copied(ctx context.Context, c *code, rec store.Record, r Redemption) error {
	row, err := i.row(ctx, c.Session)
	if isInvalid(err) || err == nil && row.at(c.Host) == nil {
		return ErrCode // it has ended, or another took its place
	}
	if err != nil {
		return err
	}
	b := store.Batch{Require: []store.Require{{Key: rec.Key, Rev: rec.Rev}}}
	host := *row.at(c.Host)
	row.unsettle(host.ID, "code was used twice", &b)
	if err := put(&b, row); err != nil {
		return err
	}
	if _, err := i.log.Commit(ctx, b, handoverEntry(r, row, &host, audit.ReuseCode)); err != nil {
		return unavailable(err)
	}
	return ErrCode
}

func handoverEntry(r Redemption, row *SessionRow, h *Host, action audit.Action) audit.Entry {
	if r.Act.By == "" {
		r.Act.By = row.holder()
	}
	e := r.Act.Entry(action, row.Subject)
	e.Client, e.Session, e.Target = row.Client, row.ID, h.ID+" "+h.Origin
	return e
}

package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Request is what a login asks for, beside the proof.
type Request struct {
	Client     string              // empty: DefaultClient
	Carrier    counterfoil.Carrier // zero: the client's first
	UserAgent  string
	Act        audit.Act         // who asks, and from where; no By: the subject itself
	Scopes     []string          // empty: all that the client has
	Attributes map[string]string // at most 16, and 1 KiB in all

	// Replaces is the id of the session that the same browser had until now. It ends in
	// the commit that makes the new one; empty, or one that has ended: nothing does.
	Replaces string
}

// Issued is what a login or a refresh hands out.
type Issued struct {
	Session        *counterfoil.Session
	Access         secret.String // an opaque id, a JWT or a JWE
	Refresh        secret.String // empty for an opaque session, whose id is renewed by use
	ExpiresIn      time.Duration // of Access; for an opaque id that of the session
	SessionExpires time.Time
	SameSite       string // of the cookies: "lax" or "strict"
}

// Login makes a session for whoever p proves to be. It fails with ErrProveAgain
// if the subject was disabled, revoked or changed since before the proof, and with
// ErrUnknownClient, ErrClientDisabled, ErrCarrier, ErrScope or ErrTooLarge.
func (i *Issuer) Login(ctx context.Context, p login.Proof, r Request) (*Issued, error) {
	return i.login(ctx, p, r, false)
}

// StartOver ends every session of the subject and makes a new one, in one commit:
// what a change of credentials asks for. Whoever made the change goes on under a
// new id (SES-04), everybody else is out (SES-14).
func (i *Issuer) StartOver(ctx context.Context, p login.Proof, r Request) (*Issued, error) {
	return i.login(ctx, p, r, true)
}

func (i *Issuer) login(ctx context.Context, p login.Proof, r Request, over bool) (*Issued, error) {
	if r.Client == "" {
		r.Client = DefaultClient
	}
	if err := checkRequest(p, r); err != nil {
		return nil, err
	}
	for {
		issued, err := i.tryLogin(ctx, p, r, over)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
		// Somebody changed the subject or the client: reading again tells which.
	}
}

// tryLogin makes the session if nothing that it rests on changes meanwhile; otherwise
// the answer is store.ErrConflict, and nothing was done.
func (i *Issuer) tryLogin(ctx context.Context, p login.Proof, r Request, over bool) (*Issued, error) {
	now := i.opts.Now()
	on, err := i.admitted(ctx, p.Subject, &r)
	if err != nil {
		return nil, err
	}
	if on.subject.rev != p.SubjectRev || on.subject.Disabled {
		return nil, ErrProveAgain
	}
	row := &SessionRow{
		Subject: p.Subject, Client: r.Client, Carrier: r.Carrier,
		Created: now, AuthTime: p.At, AbsoluteExpires: now.Add(i.opts.Absolute).Truncate(time.Second),
		Methods: p.Methods, ACR: p.ACR, Roles: p.Roles, Scopes: r.Scopes, Attributes: r.Attributes,
		Device: clip(r.UserAgent, 256), FirstAddress: r.Act.Address, LastAddress: r.Act.Address,
		ClientGen: on.client.Generation, AllGen: on.all,
	}
	on.subject.copyTo(row)
	row.use(now, i.opts.Idle)
	if err := i.checkSize(row, on.client, now); err != nil {
		return nil, err
	}
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	b := store.Batch{Require: on.require()}
	if over {
		if err := endAll(&b, on.subject, now); err != nil {
			return nil, err
		}
		row.SubjectRev++
	}
	if err := i.replace(ctx, &b, r.Replaces, now); err != nil {
		return nil, err
	}
	if err := i.name(row, issued, &b); err != nil {
		return nil, err
	}
	head, err := i.commitNoted(ctx, b, loginEntry(r, row, over))
	if err != nil {
		return nil, unavailable(err)
	}
	return i.finish(ctx, issued, row, on.client, head, now)
}

// replace adds to b the end of the session sid, if there is one.
func (i *Issuer) replace(ctx context.Context, b *store.Batch, sid string, now time.Time) error {
	if sid == "" {
		return nil
	}
	row, err := i.row(ctx, sid)
	if isInvalid(err) {
		return nil
	}
	if err != nil {
		return err
	}
	b.Delete = append(b.Delete, deleteRow(row).Delete...)
	b.Revoke = append(b.Revoke, newEntry(source.ScopeSession, sid, "signed in anew", now))
	return nil
}

// name gives row a new id (SES-04), makes the secret that goes with it, and adds what is
// to be stored to b.
func (i *Issuer) name(row *SessionRow, issued *Issued, b *store.Batch) error {
	if row.Carrier.Format == counterfoil.Opaque {
		opaque := token.NewOpaque()
		raw, err := token.ParseOpaque(opaque)
		if err != nil {
			return err
		}
		row.ID, issued.Access = sessionID(raw[:]), secret.New(opaque)
	} else {
		g := newGrant(row)
		row.ID, row.Grant = g.Session, g.ID
		rec, err := g.record()
		if err != nil {
			return err
		}
		b.Put = append(b.Put, rec)
		issued.Refresh = i.refreshToken(g)
	}
	rec, err := row.record()
	if err != nil {
		return err
	}
	b.Put = append(b.Put, rec)
	return nil
}

// Admits says whether r names a client that may have such a session now. A login asks
// the same again: this spares the work before it.
func (i *Issuer) Admits(ctx context.Context, r Request) error {
	if r.Client == "" {
		r.Client = DefaultClient
	}
	client, err := i.Client(ctx, r.Client)
	if err != nil {
		return err
	}
	return client.admit(&r)
}

// admit makes r what it may be: the carrier and the scopes that the client has.
func (c *Client) admit(r *Request) (err error) {
	if c.Disabled {
		return ErrClientDisabled
	}
	if r.Carrier, err = c.carrier(r.Carrier); err != nil {
		return err
	}
	r.Scopes, err = narrow(r.Scopes, c.Scopes)
	return err
}

func loginEntry(r Request, row *SessionRow, over bool) audit.Entry {
	if r.Act.By == "" {
		r.Act.By = audit.BySubject(row.Subject)
	}
	action := audit.Login
	if over {
		action = audit.StartOver
	}
	e := r.Act.Entry(action, row.Subject)
	e.Client, e.Session = row.Client, row.ID
	e.Detail = "carrier=" + row.Carrier.String() + " amr=" + strings.Join(row.Methods, ",")
	if r.Replaces != "" {
		e.Detail += " replaces=" + r.Replaces
	}
	return e
}

// finish makes the copy. The head was read by the commit that wrote the row, or
// before the row was checked: a revocation the check did not see is after it (4.6).
func (i *Issuer) finish(ctx context.Context, issued *Issued, row *SessionRow, client *Client, head counterfoil.Cursor, now time.Time) (*Issued, error) {
	issued.Session, issued.SameSite = i.copyOf(row, client, head, now), client.SameSite
	if issued.SameSite == "" {
		issued.SameSite = SameSiteLax
	}
	if row.Carrier.Format == counterfoil.Opaque {
		issued.ExpiresIn = row.AbsoluteExpires.Sub(now)
		return issued, nil
	}
	if err := i.abreast(ctx, head); err != nil {
		return nil, err
	}
	access, err := i.sign(issued.Session, client)
	if err != nil {
		return nil, fmt.Errorf("sign session %s: %w", row.ID, err)
	}
	issued.Access = secret.New(access)
	issued.ExpiresIn = issued.Session.Expires.Sub(now)
	return issued, nil
}

func checkRequest(p login.Proof, r Request) error {
	if p.Subject == "" || p.At.IsZero() {
		return fmt.Errorf("%w: a proof needs a subject and a time", ErrBadRequest)
	}
	if _, err := source.ParseCarrier(r.Carrier.String()); err != nil && r.Carrier != (counterfoil.Carrier{}) {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	size := 0
	for k, v := range r.Attributes {
		size += len(k) + len(v)
	}
	if len(r.Attributes) > 16 || size > 1024 || len(p.Roles) > 32 || len(r.Scopes) > 32 {
		return fmt.Errorf("%w: at most 16 attributes of 1 KiB in all, 32 roles and 32 scopes", ErrBadRequest)
	}
	err := errors.Join(checkSubject(p.Subject), checkText("client", r.Client, 64))
	for _, s := range append(append([]string{}, p.Roles...), r.Scopes...) {
		err = errors.Join(err, checkText("role or scope", s, 64))
	}
	return err
}

// randomID returns a public id of 128 random bits.
func randomID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

func clip(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), limit)]
}

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
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Request is what a login asks for, besides the proof.
type Request struct {
	Client     string              // empty: clients.Default
	Carrier    counterfoil.Carrier // zero: the client's first
	UserAgent  string
	Act        audit.Act         // who asks, and from where; no By: the subject itself
	Scopes     []string          // empty: all that the client has
	Audience   []string          // for Exchange alone: whom the token is for; empty: whomever those of the client are for
	Attributes map[string]string // at most 16, and 1 KiB in all

	// RefreshCookie says that a refresh token goes into a cookie, although the access token does not.
	RefreshCookie bool

	// Replaces are the sessions that the browser of the caller has in its cookies, as [Issuer.Held]
	// and [Issuer.HeldByRefresh] say. If what is made goes into a cookie, they end in the commit that
	// makes it, see [Issuer.replace].
	Replaces []*counterfoil.Session

	by *Impersonator // nil: the subject itself; see [Issuer.Impersonate]

	// UserVersion is for StartOver: the Subject.Version with the credentials that changed.
	// Zero: none is known here.
	UserVersion uint64
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

// Login makes a session for the subject that p proves. It fails with ErrProveAgain if the
// subject was disabled, revoked or changed since before the proof, and with
// clients.ErrUnknown, clients.ErrDisabled, clients.ErrCarrier, clients.ErrScope or
// ErrTooLarge.
func (i *Issuer) Login(ctx context.Context, p login.Proof, r Request) (*Issued, error) {
	return i.login(ctx, p, r, false)
}

// StartOver ends every session of the subject and makes a new one, in one commit: what a
// change of credentials asks for. The client that made the change goes on under a new id
// (SES-04), all others are signed out (SES-14).
func (i *Issuer) StartOver(ctx context.Context, p login.Proof, r Request) (*Issued, error) {
	return i.login(ctx, p, r, true)
}

func (i *Issuer) login(ctx context.Context, p login.Proof, r Request, over bool) (*Issued, error) {
	if r.Client == "" {
		r.Client = clients.Default
	}
	if err := checkProof(p); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	for {
		issued, err := i.tryLogin(ctx, p, r, over)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
		// Another caller changed the subject or the client: reading again tells which.
	}
}

// tryLogin makes the session if nothing that it rests on changes meanwhile; otherwise
// the answer is store.ErrConflict, and nothing was done.
func (i *Issuer) tryLogin(ctx context.Context, p login.Proof, r Request, over bool) (*Issued, error) {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return nil, err
	}
	on, err := i.admitted(ctx, p.Subject, &r)
	if err != nil {
		return nil, err
	}
	if on.subject.rev != p.SubjectRev || on.subject.Disabled {
		return nil, ErrProveAgain
	}
	row := &SessionRow{
		Subject: p.Subject, Client: r.Client, Carrier: r.Carrier,
		Created: now, AuthTime: p.At, AbsoluteExpires: i.absoluteEnd(on.client, now),
		Methods: p.Methods, ACR: p.ACR, Roles: p.Roles, Scopes: r.Scopes, Attributes: r.Attributes,
		Device: clip(r.UserAgent, 256), FirstAddress: r.Act.Address, LastAddress: r.Act.Address,
		ClientGen: on.client.Generation, AllGen: on.all,
	}
	on.subject.copyTo(row)
	b := store.Batch{Require: on.require()}
	if row.By = r.by; row.By != nil {
		if err := i.begins(ctx, row, &b, now); err != nil {
			return nil, err
		}
	}
	row.use(now, i.idle(on.client))
	h := &holding{row: row, grant: row.own(), dependencies: on}
	if err := i.checkSize(h, now); err != nil {
		return nil, err
	}
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	if over {
		on.subject.Version, on.subject.Ended = max(on.subject.Version, r.UserVersion), max(on.subject.Ended, r.UserVersion)
		on.subject.endAll(&b, "credentials changed")
		if err := put(&b, on.subject); err != nil {
			return nil, err
		}
		row.SubjectRev++
	}
	var ended replaced
	if r.Carrier.Transport == counterfoil.Cookie || r.RefreshCookie {
		spared := "" // no subject
		if over {
			spared = row.Subject
		}
		if ended, err = i.replace(ctx, &b, row.Subject, r.Act, r.Replaces, func(old *SessionRow) bool { return old.Subject != spared }); err != nil {
			return nil, err
		}
	}
	if !over && row.By == nil { // an impersonation signs nobody out
		if err := i.makeRoom(ctx, &b, row, ended.ids, on); err != nil {
			return nil, err
		}
	}
	if err := i.name(row, issued, &b); err != nil {
		return nil, err
	}
	if row.By != nil {
		if err := row.tells(&b, r.Act.Reason); err != nil {
			return nil, err
		}
	}
	head, err := i.log.Commit(ctx, b, append(ended.notes, loginEntry(r, row, over, ended))...)
	if err != nil {
		return nil, unavailable(err)
	}
	return i.finish(ctx, issued, h, head, now)
}

// name gives row a new id (SES-04), makes the secret that goes with it, and adds what is
// to be stored to b.
func (i *Issuer) name(row *SessionRow, issued *Issued, b *store.Batch) error {
	if row.Carrier.Format == counterfoil.Opaque {
		if err := row.newSecret(issued); err != nil {
			return err
		}
	} else {
		// The session's id follows from the family's, so that a refresh finds both at once.
		f := newFamily(row, row.Client, row.Created)
		f.Session = sessionOf(f.ID)
		row.ID, row.Grant = f.Session, f.ID
		if err := put(b, f); err != nil {
			return err
		}
		issued.Refresh = i.refreshToken(f)
	}
	return put(b, row)
}

// Admits returns r as its client may have it now: with the carrier and the scopes that
// it gets. It fails like Login, which asks the same again: this spares the work before it.
func (i *Issuer) Admits(ctx context.Context, r Request) (Request, error) {
	if r.Client == "" {
		r.Client = clients.Default
	}
	if _, err := i.opts.Time.Date(ctx); err != nil {
		return Request{}, err
	}
	client, err := i.clients.Client(ctx, r.Client)
	if err != nil {
		return Request{}, err
	}
	err = admit(client, &r)
	return r, err
}

// admit makes r what it may be: the carrier and the scopes that the client has.
func admit(c *clients.Client, r *Request) (err error) {
	if c.Disabled {
		return clients.ErrDisabled
	}
	if r.Carrier, err = c.Carrier(r.Carrier); err != nil {
		return err
	}
	r.Scopes, err = clients.Narrow(r.Scopes, c.Scopes)
	return err
}

func loginEntry(r Request, row *SessionRow, over bool, ended replaced) audit.Entry {
	if r.Act.By == "" {
		r.Act.By = row.holder()
	}
	action := audit.Login
	if over {
		action = audit.StartOver
	}
	if row.By != nil {
		action = audit.Impersonate
	}
	e := r.Act.Entry(action, row.Subject)
	e.Client, e.Session = row.Client, row.ID
	e.Detail = "carrier=" + row.Carrier.String() + " amr=" + strings.Join(row.Methods, ",")
	e.Detail += ended.String()
	return e
}

// finish makes the copy. The head was read by the commit that wrote the row, or
// before the row was checked: a revocation the check did not see is after it (4.6).
func (i *Issuer) finish(ctx context.Context, issued *Issued, h *holding, head counterfoil.Cursor, now time.Time) (*Issued, error) {
	issued.Session, issued.SameSite = i.copyOf(h, head, now), h.client.SameSite
	if issued.SameSite == "" {
		issued.SameSite = clients.SameSiteLax
	}
	if h.grant.Carrier.Format == counterfoil.Opaque {
		issued.ExpiresIn = h.row.AbsoluteExpires.Sub(now)
		return issued, nil
	}
	if err := i.log.CatchUpTo(ctx, head); err != nil {
		return nil, err
	}
	access, err := i.sign(issued.Session, h.client)
	if err != nil {
		return nil, fmt.Errorf("sign session %s: %w", h.row.ID, err)
	}
	issued.Access = secret.New(access)
	issued.ExpiresIn = max(issued.Session.Expires.Sub(now), 0)
	return issued, nil
}

func checkProof(p login.Proof) error {
	if p.Subject == "" || p.At.IsZero() {
		return fmt.Errorf("%w: a proof needs a subject and a time", ErrBadRequest)
	}
	if len(p.Roles) > 32 {
		return fmt.Errorf("%w: at most 32 roles", ErrBadRequest)
	}
	return errors.Join(checkSubject(p.Subject), check.Time("time of the proof", p.At), checkTexts("role", p.Roles))
}

func (r Request) check() error {
	if _, err := source.ParseCarrier(r.Carrier.String()); err != nil && r.Carrier != (counterfoil.Carrier{}) {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	size := 0
	for k, v := range r.Attributes {
		size += len(k) + len(v)
	}
	if len(r.Attributes) > 16 || size > 1024 || len(r.Scopes) > 32 {
		return fmt.Errorf("%w: at most 16 attributes of 1 KiB in all, and 32 scopes", ErrBadRequest)
	}
	return errors.Join(check.Text("client", r.Client, 64), checkTexts("scope", r.Scopes))
}

func checkTexts(what string, all []string) (err error) {
	for _, s := range all {
		err = errors.Join(err, check.Text(what, s, 64))
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

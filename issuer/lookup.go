package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/store"
)

// Lookup resolves any credential from the store itself: what starts after a
// revoke returned refuses what it revoked, without a bound (REVOCATION.md 4.2).
// It serves introspection, the issuer's own endpoints, and verifiers that meet
// an opaque id for the first time.
func (i *Issuer) Lookup(ctx context.Context, credential string) (*counterfoil.Session, error) {
	if len(credential) > token.MaxSize {
		return nil, counterfoil.ErrInvalidToken
	}
	if token.ShapeOf(credential) == token.ShapeOpaque {
		return i.lookupOpaque(ctx, credential)
	}
	return i.lookupSigned(ctx, credential)
}

func (i *Issuer) lookupOpaque(ctx context.Context, credential string) (*counterfoil.Session, error) {
	secret, err := token.ParseOpaque(credential)
	if err != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	now := i.opts.Now()
	head, err := i.head(ctx) // before the checks: what they do not see is after it
	if err != nil {
		return nil, err
	}
	row, err := i.row(ctx, sessionID(secret))
	if err != nil {
		return nil, err
	}
	on, err := i.state(ctx, row, now)
	if err != nil {
		return nil, err
	}
	if now.Sub(row.LastSeen) >= touchEvery {
		row.use(now, i.opts.Idle)
		i.touch(ctx, row)
	}
	return i.copyOf(row, on.client, head, now), nil
}

// Held returns the session that a genuine credential of ours names, whether or not it
// is over: who it is, and nothing that one could act on. Whoever holds a credential may
// give it up, and an old copy of it too, or signing out with one would leave the login
// alive (SES-13). A credential that is not ours is ErrInvalidToken.
func (i *Issuer) Held(ctx context.Context, credential string) (*counterfoil.Session, error) {
	kind := token.ShapeOf(credential)
	if kind == token.ShapeOpaque {
		secret, err := token.ParseOpaque(credential)
		if err != nil {
			return nil, counterfoil.ErrInvalidToken
		}
		row, err := i.row(ctx, sessionID(secret))
		if err != nil {
			return nil, err
		}
		return &counterfoil.Session{ID: row.ID, Issuer: i.opts.URL, Subject: row.Subject, Client: row.Client, Carrier: row.Carrier}, nil
	}
	s, err := i.openSigned(credential)
	if err != nil {
		return nil, err
	}
	return &counterfoil.Session{ID: s.ID, Issuer: s.Issuer, Subject: s.Subject, Client: s.Client, Carrier: s.Carrier}, nil
}

// touch writes the use of a session. It replaces the very revision that was
// read, so it never brings back a session that has ended (SES-22). It is best
// effort: losing it shortens the idle time by a minute.
func (i *Issuer) touch(ctx context.Context, row *SessionRow) {
	if rec, err := row.record(); err == nil {
		_, _ = i.store.Commit(ctx, store.Batch{Put: []store.Record{rec}})
	}
}

// openSigned returns what a copy that this issuer signed says. Whether that still holds
// is another question.
func (i *Issuer) openSigned(credential string) (*counterfoil.Session, error) {
	carrier := counterfoil.CarrierBearer
	if token.ShapeOf(credential) == token.ShapeJWE {
		inner, err := token.DecryptJWE(credential, "at+jwt", i.keys.Opener)
		if err != nil {
			return nil, counterfoil.ErrInvalidToken
		}
		carrier, credential = counterfoil.CarrierJWE, inner
	}
	payload, kid, err := token.VerifyJWS(credential, "at+jwt", i.keys.Find)
	if err != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	c, err := token.ParseClaims(payload)
	if err != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	born, err := counterfoil.ParseCursor(c.RV)
	if err != nil || c.Issuer != i.opts.URL {
		return nil, counterfoil.ErrInvalidToken
	}
	return &counterfoil.Session{
		ID: c.SID, Issuer: c.Issuer, Subject: c.Subject, Client: c.Client, Audience: c.Audience,
		Roles: c.Roles, Scopes: c.Scopes, Methods: c.Methods, ACR: c.ACR,
		AuthTime: time.Unix(c.AuthTime, 0), ClaimsVersion: c.ClaimsVersion, Attributes: c.Attributes,
		Carrier: carrier, TokenID: c.ID, KeyID: kid,
		IssuedAt: time.Unix(c.IssuedAt, 0), Expires: time.Unix(c.Expires, 0), Born: born,
	}, nil
}

func (i *Issuer) lookupSigned(ctx context.Context, credential string) (*counterfoil.Session, error) {
	s, err := i.openSigned(credential)
	if err != nil {
		return nil, err
	}
	now := i.opts.Now()
	if s.Expires.Unix() <= now.Unix() {
		return nil, counterfoil.ErrExpired
	}
	if err := i.covered(ctx, s); err != nil {
		return nil, err
	}
	row, err := i.row(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	if row.Subject != s.Subject || row.Carrier.Format != s.Carrier.Format {
		return nil, counterfoil.ErrInvalidToken
	}
	s.Carrier = row.Carrier // what it was made for: whoever puts it elsewhere changes nothing of that
	on, err := i.state(ctx, row, now)
	if err != nil {
		return nil, err
	}
	if row.Client != s.Client || !slices.Equal(s.Audience, i.audience(on.client)) {
		return nil, counterfoil.ErrInvalidToken // the client's audience is another by now
	}
	return s, nil
}

// covered asks the log, read up to its head now.
func (i *Issuer) covered(ctx context.Context, s *counterfoil.Session) error {
	i.logMu.Lock()
	defer i.logMu.Unlock()
	head, err := i.catchUp(ctx)
	if err != nil {
		return err
	}
	if s.Born.Epoch != head.Epoch {
		return counterfoil.ErrInvalidToken // a log that began after it was born cannot vouch for it (4.6)
	}
	if r, ok := i.revoked.Covers(s); ok {
		if r.Scope == counterfoil.ScopeClaims {
			return counterfoil.ErrStaleClaims
		}
		return counterfoil.ErrRevoked
	}
	return nil
}

// head reads the head of the log from the store.
func (i *Issuer) head(ctx context.Context) (counterfoil.Cursor, error) {
	i.logMu.Lock()
	defer i.logMu.Unlock()
	return i.catchUp(ctx)
}

// catchUp applies what the log holds beyond applied. The caller holds logMu.
func (i *Issuer) catchUp(ctx context.Context) (counterfoil.Cursor, error) {
	for {
		entries, head, err := i.store.Log(ctx, i.applied, pageSize)
		if err != nil {
			return counterfoil.Cursor{}, unavailable(err)
		}
		if head.Epoch != i.applied.Epoch {
			i.revoked.Reset()
			i.known.begin(head.Epoch)
			i.applied = counterfoil.Cursor{Epoch: head.Epoch}
		}
		i.revoked.Apply(entries)
		if len(entries) < pageSize {
			i.applied = head
			return head, nil
		}
		i.applied = entries[len(entries)-1].At
	}
}

func (i *Issuer) row(ctx context.Context, sid string) (*SessionRow, error) {
	if sid == "" || checkText("session id", sid, 200) != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	rec, err := i.store.Get(ctx, store.Key{Kind: kindSession, ID: sid})
	if errors.Is(err, store.ErrNotFound) {
		return nil, counterfoil.ErrRevoked
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return parseRow(rec)
}

// state refuses a row whose session has ended in any way that leaves the row in
// place, and brings its roles and scopes up to date.
func (i *Issuer) state(ctx context.Context, row *SessionRow, now time.Time) (on standing, err error) {
	if row.ended(now) {
		return on, counterfoil.ErrExpired
	}
	on.client, err = i.Client(ctx, row.Client)
	if errors.Is(err, ErrUnknownClient) {
		return on, counterfoil.ErrRevoked
	}
	if err != nil {
		return on, err
	}
	if on.all, err = i.cutoff(ctx); err != nil {
		return on, err
	}
	if on.client.Disabled || on.client.Generation != row.ClientGen || on.all != row.AllGen {
		return on, counterfoil.ErrRevoked
	}
	if _, err := on.client.carrier(row.Carrier); err != nil {
		return on, fmt.Errorf("%w: the carrier is no longer one of the client's", counterfoil.ErrInvalidToken)
	}
	if on.subject, err = i.subject(ctx, row.Subject); err != nil {
		return on, err
	}
	if on.subject.Disabled {
		return on, counterfoil.ErrRevoked
	}
	on.subject.copyTo(row)
	row.Scopes = slices.DeleteFunc(row.Scopes, func(s string) bool { return !slices.Contains(on.client.Scopes, s) })
	return on, nil
}

func isInvalid(err error) bool { return errors.Is(err, counterfoil.ErrInvalidToken) }

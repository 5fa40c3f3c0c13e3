package issuer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Lookup resolves any credential from the store itself: what starts after a
// revoke returned refuses what it revoked, without a bound (docs/revocation.md 4.2).
// It serves introspection, and verifiers that meet an opaque id for the first time. They may
// keep the answer for as long as it says, so it is dated as any copy is: while the clocks do
// not agree, an opaque id is not answered for.
func (i *Issuer) Lookup(ctx context.Context, credential string) (*counterfoil.Session, error) {
	s, _, err := i.lookup(ctx, credential, i.opts.Time.Date)
	return s, err
}

// LookupBounded is Lookup for a service that keeps the answer until it expires, and hears of no
// revocation meanwhile. The answer expires [Options.MaxBound] after the look-up began at the latest.
// It is in whole seconds, rounded down, so a service whose clock is right accepts nothing that was
// revoked for longer than a verifier may.
func (i *Issuer) LookupBounded(ctx context.Context, credential string) (*counterfoil.Session, error) {
	bound := i.opts.Now().Add(i.opts.MaxBound).Truncate(time.Second) // before the checks: what they do not see is after it
	s, err := i.Lookup(ctx, credential)
	if err == nil && bound.Before(s.Expires) {
		s.Expires = bound
	}
	return s, err
}

// Current is Lookup for a caller that acts on the session now, and keeps nothing: it goes on
// while the clocks do not agree, so that a session can be ended then.
func (i *Issuer) Current(ctx context.Context, credential string) (*counterfoil.Session, error) {
	s, _, err := i.lookup(ctx, credential, i.present)
	return s, err
}

func (i *Issuer) present(context.Context) (time.Time, error) { return i.opts.Time.Now(), nil }

// lookup resolves a credential at the time that date returns. What would have expired by a
// time that may be wrong has not: that is an outage.
func (i *Issuer) lookup(ctx context.Context, credential string, date func(context.Context) (time.Time, error)) (s *counterfoil.Session, h *holding, err error) {
	switch {
	case len(credential) > token.MaxSize:
		err = counterfoil.ErrInvalidToken
	case token.ShapeOf(credential) == token.ShapeOpaque:
		s, h, err = i.lookupOpaque(ctx, credential, date)
	default:
		s, h, err = i.lookupSigned(ctx, credential)
	}
	if errors.Is(err, counterfoil.ErrExpired) && i.opts.Time.Err() != nil {
		err = i.opts.Time.Err()
	}
	return s, h, err
}

func (i *Issuer) lookupOpaque(ctx context.Context, credential string, date func(context.Context) (time.Time, error)) (*counterfoil.Session, *holding, error) {
	secret, err := token.ParseOpaque(credential)
	if err != nil {
		return nil, nil, counterfoil.ErrInvalidToken
	}
	now, err := date(ctx)
	if err != nil {
		return nil, nil, err
	}
	head, err := i.log.Head(ctx) // before the checks: what they do not see is after it
	if err != nil {
		return nil, nil, err
	}
	row, host, err := i.opaqueRow(ctx, secret[:])
	if err != nil {
		return nil, nil, err
	}
	var h *holding
	if host == nil {
		h, err = i.state(ctx, row, row.own(), now)
	} else {
		h, err = i.hosted(ctx, row, host, now)
	}
	if err != nil {
		return nil, nil, err
	}
	used := row.touch(now, i.idle(h.client))
	if host != nil && host.touch(now) || used {
		i.touch(ctx, row)
	}
	return i.copyOf(h, head, now), h, nil
}

// Held returns the session that a genuine credential of ours names, whether or not it is
// over: its names, and nothing that a caller could act on. The holder of a credential may
// give it up, also with an old copy: otherwise signing out with one would leave the login
// alive (SES-13). A credential that is not ours is ErrInvalidToken.
func (i *Issuer) Held(ctx context.Context, credential string) (*counterfoil.Session, error) {
	kind := token.ShapeOf(credential)
	if kind == token.ShapeOpaque {
		secret, err := token.ParseOpaque(credential)
		if err != nil {
			return nil, counterfoil.ErrInvalidToken
		}
		return i.heldOpaque(ctx, secret[:])
	}
	s, err := i.openSigned(ctx, credential)
	if err != nil {
		return nil, err
	}
	return &counterfoil.Session{ID: s.ID, Issuer: s.Issuer, Subject: s.Subject, Client: s.Client, Carrier: s.Carrier, TokenID: s.TokenID, Actor: s.Actor, ActorSession: s.ActorSession, ActorClient: s.ActorClient}, nil
}

// heldOpaque is Held for the secret of a session, or of a host of one.
func (i *Issuer) heldOpaque(ctx context.Context, secret []byte) (*counterfoil.Session, error) {
	row, host, err := i.opaqueRow(ctx, secret)
	if errors.Is(err, errDamaged) { // it can be given up all the same
		rec, err := i.sessionRecord(ctx, sessionID(secret))
		if err == nil && rec.Rev == 0 {
			err = counterfoil.ErrRevoked // a host of a damaged session, which can be ended by its id
		}
		return &counterfoil.Session{ID: rec.ID, Issuer: i.opts.URL, Subject: rec.Owner, Carrier: counterfoil.CarrierCookie}, err
	}
	if err != nil {
		return nil, err
	}
	s := row.held(i.opts.URL)
	if host != nil {
		s.TokenID, s.Origin, s.Carrier = host.ID, host.Origin, counterfoil.CarrierCookie
	}
	return s, nil
}

// held is r as [Issuer.Held] says.
func (r *SessionRow) held(issuer string) *counterfoil.Session {
	s := &counterfoil.Session{ID: r.ID, Issuer: issuer, Subject: r.Subject, Client: r.Client, Carrier: r.Carrier}
	if r.By != nil {
		s.Actor, s.ActorSession, s.ActorClient = r.By.Subject, r.By.Session, r.By.Client
	}
	return s
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
func (i *Issuer) openSigned(ctx context.Context, credential string) (*counterfoil.Session, error) {
	payload, kid, carrier, err := i.verify(credential)
	if errors.Is(err, errUnknownKey) { // another node may sign with a key that it has just made
		if err := i.reloadSoon(ctx); err != nil {
			return nil, err // an outage: the key may be there, and the token good
		}
		payload, kid, carrier, err = i.verify(credential)
	}
	if err != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	c, err := token.ParseClaims(payload)
	if err != nil {
		return nil, counterfoil.ErrInvalidToken
	}
	born, err := source.ParseCursor(c.RV)
	if err != nil || c.Issuer != i.opts.URL {
		return nil, counterfoil.ErrInvalidToken
	}
	return &counterfoil.Session{
		ID: c.SID, Issuer: c.Issuer, Subject: c.Subject, Client: c.Client, Audience: c.Audience,
		Roles: c.Roles, Scopes: c.Scopes, Methods: c.Methods, ACR: c.ACR,
		AuthTime: time.Unix(c.AuthTime, 0), ClaimsVersion: c.ClaimsVersion, Attributes: c.Attributes, Actor: c.Actor, ActorSession: c.ActorSession, ActorClient: c.ActorClient,
		Carrier: carrier, TokenID: c.ID, KeyID: kid,
		IssuedAt: time.Unix(c.IssuedAt, 0), Expires: time.Unix(c.Expires, 0), Born: born,
	}, nil
}

var errUnknownKey = errors.New("unknown key")

// verify takes a copy out of its envelopes, with the keys that are known. It fails with
// errUnknownKey if that is all that it lacks, as far as one can see.
func (i *Issuer) verify(credential string) (payload, kid string, carrier counterfoil.Carrier, err error) {
	unknown := false
	defer func() {
		if unknown {
			err = errUnknownKey
		}
	}()
	carrier = counterfoil.CarrierBearer
	if token.ShapeOf(credential) == token.ShapeJWE {
		carrier = counterfoil.CarrierJWE
		jwe, err := token.ParseJWE(credential, token.AccessType)
		if err != nil {
			return "", "", carrier, err
		}
		inner, err := jwe.Reopen(i.keys.Derive) // to a client's key, whichever it has by now
		if err != nil {
			o, ok := i.keys.Opener(jwe.KeyID())
			unknown = !ok
			inner, err = jwe.Open(o)
		}
		if err != nil {
			return "", "", carrier, err
		}
		credential = inner
	}
	payload, kid, err = token.VerifyJWS(credential, token.AccessType, func(id string) (token.Key, bool) {
		k, ok := i.keys.Find(id)
		unknown = !ok
		return k, ok
	})
	return payload, kid, carrier, err
}

func (i *Issuer) lookupSigned(ctx context.Context, credential string) (*counterfoil.Session, *holding, error) {
	s, err := i.openSigned(ctx, credential)
	if err != nil {
		return nil, nil, err
	}
	now := i.opts.Now()
	if s.Expires.Unix() <= now.Unix() {
		return nil, nil, counterfoil.ErrExpired
	}
	if err := i.log.Covered(ctx, s, i.oursAlone(s.KeyID)); err != nil {
		return nil, nil, err
	}
	row, err := i.row(ctx, s.ID)
	if err != nil {
		return nil, nil, err
	}
	g, err := row.grantOf(s.Client)
	if err != nil {
		return nil, nil, err
	}
	if row.Subject != s.Subject || g.Carrier.Format != s.Carrier.Format {
		return nil, nil, counterfoil.ErrInvalidToken
	}
	h, err := i.state(ctx, row, g, now)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Equal(s.Audience, i.audience(h.client)) {
		return nil, nil, counterfoil.ErrInvalidToken // the client's audience is another by now
	}
	return i.asStored(s, h, now), h, nil
}

// asStored is the copy that says s, with everything that the issuer stores from there: who
// shares the secret of HS256 can sign any roles, and any time of the login. Of the scopes
// it has those that it says, for a copy may have fewer than its grant.
func (i *Issuer) asStored(s *counterfoil.Session, h *holding, now time.Time) *counterfoil.Session {
	stored := i.copyOf(h, s.Born, now)
	stored.AuthTime = stored.AuthTime.Truncate(time.Second) // as in a token
	stored.Scopes = slices.DeleteFunc(slices.Clone(s.Scopes), func(scope string) bool { return !slices.Contains(h.grant.Scopes, scope) })
	stored.TokenID, stored.KeyID, stored.IssuedAt, stored.Expires = s.TokenID, s.KeyID, s.IssuedAt, s.Expires
	return stored
}

func (i *Issuer) row(ctx context.Context, sid string) (*SessionRow, error) {
	rec, err := i.sessionRecord(ctx, sid)
	if err != nil {
		return nil, err
	}
	return parseRow(rec)
}

// sessionRecord returns the record of a session, which may be absent.
func (i *Issuer) sessionRecord(ctx context.Context, sid string) (store.Record, error) {
	if sid == "" || check.Text("session id", sid, 200) != nil {
		return store.Record{}, counterfoil.ErrInvalidToken
	}
	recs, err := i.store.Get(ctx, sessionKey(sid))
	if err != nil {
		return store.Record{}, unavailable(err)
	}
	return recs[0], nil
}

// oursAlone reports whether nobody but this issuer can sign with a key: with HS256, a service that
// verifies can sign as well.
func (i *Issuer) oursAlone(kid string) bool {
	k, ok := i.keys.Find(kid)
	return ok && !k.Alg.Symmetric()
}

func isInvalid(err error) bool { return errors.Is(err, counterfoil.ErrInvalidToken) }

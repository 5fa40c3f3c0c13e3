package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

func (d *demand) accepts(f Format) bool { return d.formats == nil || slices.Contains(d.formats, f) }

// format tells a credential's format by its shape, and refuses one that is not
// wanted here before any work is done on it.
func (v *Verifier) format(c credential, d *demand) (Format, error) {
	var f Format
	switch token.ShapeOf(c.value) {
	case token.ShapeOpaque:
		if _, err := token.ParseOpaque(c.value); err == nil { // one spelling, or the issuer is not asked
			f = Opaque
		}
	case token.ShapeJWT:
		f = JWT
	case token.ShapeJWE:
		if token.CheckJWE(c.value, token.AccessType) == nil {
			f = JWE
		}
	}
	if f == 0 || !d.accepts(f) || (v.opts.Formats != nil && !slices.Contains(v.opts.Formats, f)) {
		return 0, ErrInvalidToken
	}
	return f, nil
}

// resolve finds out what a credential is: by its signature, or by asking. known is for
// one that was found good before.
func (v *Verifier) resolve(ctx context.Context, c credential, d *demand, known bool) (*entry, error) {
	format, err := v.format(c, d)
	if err != nil {
		return nil, err
	}
	at := v.clock.Read()
	over := v.overdue(v.known.Load(), format == JWT, &at)
	if over > 0 && !d.policy.resolves(format, over) {
		return nil, ErrStale // before any work: an answer could not be given anyway
	}
	e := &entry{credential: c}
	switch {
	case format == JWT:
		e.session, err = v.open(ctx, c.value)
		e.signed = true
		if over > 0 && errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrStale, err) // the issuer may have an answer, if not its keys
		}
	case format == JWE:
		var inner string
		if inner, e.signed, err = v.decrypt(c.value); err == nil && e.signed {
			e.session, err = v.open(ctx, inner)
		}
	}
	if err == nil && !e.signed {
		e.session, err = v.lookups.do(ctx, c, known)
	}
	if err == nil {
		err = v.complete(e, format)
	}
	if err != nil {
		return nil, err
	}
	if v.known.Load().applied.Before(e.session.Born) {
		v.sync() // REV-11: it was born after what we know; the bound still holds
	}
	if e.signed { // the others are kept by keep
		v.seen.put(e)
	}
	return e, nil
}

// complete fills e from its session, which must be this issuer's and meant for us.
func (v *Verifier) complete(e *entry, f Format) error {
	s := e.session
	if !v.meant(s) {
		return ErrInvalidToken
	}
	s.Carrier = Carrier{f, e.credential.transport}
	e.credential.value = strings.Clone(e.credential.value) // not what stood around it in a header
	e.deadline = v.deadline(s, e.signed)
	if e.forget = e.deadline; f == Opaque {
		e.forget += int64(afterlife)
	}
	return nil
}

// afterlife is how long the ended copy of an opaque session shows that its client was
// here: it is looked up before strangers are.
const afterlife = 10 * time.Minute

// meant reports whether s is of our issuer, and for us (TOK-20, TOK-21).
func (v *Verifier) meant(s *Session) bool {
	return s.Issuer == v.opts.Issuer && slices.Contains(s.Audience, v.opts.Audience)
}

// deadline is when a copy ends here, in nanoseconds since 1970.
func (v *Verifier) deadline(s *Session, signed bool) int64 {
	if signed { // another clock wrote it; a looked-up copy ends when its issuer said
		return s.Expires.Add(v.opts.Leeway).UnixNano()
	}
	return s.Expires.UnixNano()
}

// keep remembers what a look-up found, and forgets what one refused.
func (v *Verifier) keep(c credential, s *Session, err error) {
	if errors.Is(err, ErrInvalidToken) {
		v.seen.forget(c)
	}
	if err != nil {
		return
	}
	copied := *s
	e, f := &entry{credential: c, session: &copied}, Opaque
	if token.ShapeOf(c.value) == token.ShapeJWE {
		f = JWE
	}
	if v.complete(e, f) == nil {
		v.seen.put(e)
	}
}

// decrypt opens a JWE with our keys. ours is false for one that another key opens.
func (v *Verifier) decrypt(text string) (inner string, ours bool, err error) {
	if len(v.openers) == 0 {
		return "", false, nil
	}
	known := false
	inner, err = token.DecryptJWE(text, token.AccessType, func(kid string) (*token.Opener, bool) {
		o := v.openers[kid]
		known = o != nil
		return o, known
	})
	if !known {
		return "", false, nil
	}
	if err != nil {
		return "", true, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	return inner, true, nil
}

// open checks signature and claims of a JWT.
func (v *Verifier) open(ctx context.Context, text string) (*Session, error) {
	var missing error
	payload, kid, err := token.VerifyJWS(text, token.AccessType, func(kid string) (token.Key, bool) {
		k, err := v.keys.find(ctx, kid)
		missing = err
		return k, err == nil
	})
	if missing != nil {
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	c, err := token.ParseClaims(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	born, err := revocation.ParseCursor(c.RV)
	if err != nil || c.SID == "" || c.ID == "" || c.Client == "" { // RFC 9068 2.2; an entry could not name it otherwise
		return nil, fmt.Errorf("%w: rv, sid, jti or client_id", ErrInvalidToken)
	}
	if err := v.checkTimes(c); err != nil {
		return nil, err
	}
	return &Session{
		ID: c.SID, Issuer: c.Issuer, Subject: c.Subject, Client: c.Client, Audience: c.Audience,
		Roles: c.Roles, Scopes: c.Scopes, Methods: c.Methods, ACR: c.ACR,
		AuthTime: time.Unix(c.AuthTime, 0), ClaimsVersion: c.ClaimsVersion, Attributes: c.Attributes,
		TokenID: c.ID, KeyID: kid, IssuedAt: time.Unix(c.IssuedAt, 0), Expires: time.Unix(c.Expires, 0), Born: born,
	}, nil
}

var errLifetime = errors.New("made for too long")

// checkTimes applies the leeway once on each side; exp itself is expired (TOK-23,
// TOK-24).
func (v *Verifier) checkTimes(c *token.Claims) error {
	now, expires, issued := v.clock.Now(), time.Unix(c.Expires, 0), time.Unix(c.IssuedAt, 0)
	switch {
	case !now.Before(expires.Add(v.opts.Leeway)):
		return ErrExpired
	case c.IssuedAt == 0 || now.Before(issued.Add(-v.opts.Leeway)):
		return fmt.Errorf("%w: iat", ErrInvalidToken)
	case c.NotBefore != 0 && now.Before(time.Unix(c.NotBefore, 0).Add(-v.opts.Leeway)):
		return fmt.Errorf("%w: nbf", ErrInvalidToken)
	case expires.Sub(issued) > v.opts.MaxLifetime:
		return fmt.Errorf("%w: %w", ErrInvalidToken, errLifetime)
	}
	return nil
}

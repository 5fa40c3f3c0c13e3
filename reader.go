package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

// reader reads signed copies: JWTs, and JWEs to a key of ours. What it returns is genuine
// and not expired; whether it was revoked, the log says.
type reader struct {
	opts    *Options
	time    func() (earliest, latest time.Time) // of the issuer
	keys    *keyCache
	openers map[string]*token.Opener // by key id
}

// form is what a credential is, by its shape alone.
type form struct {
	format Format
	jwe    *token.JWE // of a JWE, else nil
}

// formOf refuses a credential that has no form, or one that this verifier does not take,
// before any work is done on it.
func (r *reader) formOf(text string) (form, error) {
	f := form{}
	switch token.ShapeOf(text) {
	case token.ShapeOpaque:
		if _, err := token.ParseOpaque(text); err == nil { // one spelling, or the issuer is not asked
			f.format = Opaque
		}
	case token.ShapeJWT:
		f.format = JWT
	case token.ShapeJWE:
		if jwe, err := token.ParseJWE(text, token.AccessType); err == nil {
			f.format, f.jwe = JWE, jwe
		}
	}
	switch {
	case f.format == 0:
		return form{}, ErrInvalidToken
	case r.opts.Formats != nil && !slices.Contains(r.opts.Formats, f.format):
		return form{}, errNotHere
	}
	return f, nil
}

// read returns the session of a copy that is proven by a signature. signed is false for a
// copy that is not, or whose proof only the issuer can see: it must be looked up.
func (r *reader) read(ctx context.Context, text string, f form) (s *Session, signed bool, err error) {
	switch f.format {
	case JWT:
		s, err = r.readJWT(ctx, text)
		return s, true, err
	case JWE:
		key := r.openers[f.jwe.KeyID()]
		if key == nil {
			return nil, false, nil
		}
		inner, err := f.jwe.Open(key)
		if err != nil {
			return nil, true, fmt.Errorf("%w: %w", ErrInvalidToken, err)
		}
		s, err = r.readJWT(ctx, inner)
		return s, true, err
	}
	return nil, false, nil
}

// readJWT checks signature and claims of a JWT.
func (r *reader) readJWT(ctx context.Context, text string) (*Session, error) {
	var missing error
	payload, kid, err := token.VerifyJWS(text, token.AccessType, func(kid string) (token.Key, bool) {
		k, err := r.keys.find(ctx, kid)
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
	if err := r.checkTimes(c); err != nil {
		return nil, err
	}
	return &Session{
		ID: c.SID, Issuer: c.Issuer, Subject: c.Subject, Client: c.Client, Audience: c.Audience,
		Roles: c.Roles, Scopes: c.Scopes, Methods: c.Methods, ACR: c.ACR,
		AuthTime: time.Unix(c.AuthTime, 0), ClaimsVersion: c.ClaimsVersion, Attributes: c.Attributes, Actor: c.Actor, ActorSession: c.ActorSession, ActorClient: c.ActorClient,
		TokenID: c.ID, KeyID: kid, IssuedAt: time.Unix(c.IssuedAt, 0), Expires: time.Unix(c.Expires, 0), Born: born,
	}, nil
}

var errLifetime = errors.New("made for too long")

// checkTimes applies the leeway once on each side; exp itself is expired (TOK-23,
// TOK-24). The issuer signed the times. So one that has not come yet shows that clocks
// contradict each other, and says nothing against the token.
func (r *reader) checkTimes(c *token.Claims) error {
	expires, issued := time.Unix(c.Expires, 0), time.Unix(c.IssuedAt, 0)
	deadline := expires.Add(r.opts.Leeway)
	earliest, latest := r.time()
	switch {
	case c.IssuedAt == 0 || c.IssuedAt > c.Expires || c.NotBefore > c.Expires:
		return fmt.Errorf("%w: iat, nbf and exp are in no order", ErrInvalidToken)
	case expires.Sub(issued) > r.opts.MaxLifetime:
		return fmt.Errorf("%w: %w", errNotHere, errLifetime)
	case !earliest.Before(deadline):
		return ErrExpired
	case !latest.Before(deadline):
		return errDoubt
	case latest.Before(issued.Add(-r.opts.Leeway)):
		return fmt.Errorf("%w: iat", errDoubt)
	case c.NotBefore != 0 && latest.Before(time.Unix(c.NotBefore, 0).Add(-r.opts.Leeway)):
		return fmt.Errorf("%w: nbf", errDoubt)
	}
	return nil
}

// newCopy returns the copy that a genuine credential is. Its session must be of our issuer
// and meant for us (TOK-20, TOK-21).
func (r *reader) newCopy(c credential, f Format, s *Session, signed bool, era uint32) (newCopy, error) {
	if !r.meant(s) {
		return newCopy{}, errNotHere
	}
	s.Carrier = Carrier{f, c.transport}
	return newCopy{credential: c, session: s, deadline: r.deadline(s, signed), signed: signed, era: era}, nil
}

// afterlife is how long the ended copy of an opaque session shows that its client was
// here: it is looked up before strangers are.
const afterlife = 10 * time.Minute

// meant reports whether s is of our issuer, and for us (TOK-20, TOK-21).
func (r *reader) meant(s *Session) bool {
	return s.Issuer == r.opts.Issuer && slices.Contains(s.Audience, r.opts.Audience)
}

// deadline is when a copy ends here, in nanoseconds since 1970.
func (r *reader) deadline(s *Session, signed bool) int64 {
	if signed { // another clock wrote it; a looked-up copy ends when its issuer said
		return s.Expires.Add(r.opts.Leeway).UnixNano()
	}
	return s.Expires.UnixNano()
}

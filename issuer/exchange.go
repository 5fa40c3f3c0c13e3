package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// ErrOwnClient means that a credential was to be exchanged for a token of its own client.
var ErrOwnClient = fmt.Errorf("the session's own client needs no exchange: %w", ErrBadRequest)

// ErrTarget means that a token was to be for other audiences than those of its client, or for fewer.
var ErrTarget = fmt.Errorf("the token would be for another audience: %w", ErrBadRequest)

// Exchange gives a program that sits between browsers and a service a token for that service
// (RFC 8693): credential is what the browser's cookie holds, and the answer is the access token of a
// grant of r.Client on the same session. There is no refresh token: who holds the cookie asks again.
// So the token ends with the session. It has the audience and all scopes of its client. If r names
// an audience or scopes, they must be exactly those: a program is never given a token that is good for
// more than it asked for (RFC 8693 section 2.2.2, RFC 8707 section 2).
//
// The first exchange adds the grant, and others use it: several programs may exchange the same
// cookie, and none of them ends what another has. A grant that ended is added anew, as long as the
// session lives.
//
// Only the cookie of the session's own client is exchanged: a service that was given a token must not
// be able to turn it into one for another service. Exchange fails with ErrInvalidToken if credential
// is not good, with ErrOwnClient, ErrTarget or clients.ErrScope, and otherwise as [Issuer.AddGrant] does.
func (i *Issuer) Exchange(ctx context.Context, credential string, r Request) (*Issued, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	for {
		issued, err := i.tryExchange(ctx, credential, r)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
	}
}

func (i *Issuer) tryExchange(ctx context.Context, credential string, r Request) (*Issued, error) {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return nil, err
	}
	head, err := i.log.Head(ctx) // before the checks: what they do not see is after it
	if err != nil {
		return nil, err
	}
	s, own, err := i.lookup(ctx, credential, i.opts.Time.Date)
	if err != nil {
		return nil, err
	}
	row := own.row
	switch {
	case s.Client != row.Client || s.Carrier.Transport != counterfoil.Cookie:
		return nil, fmt.Errorf("only the cookie of a session is exchanged: %w", counterfoil.ErrInvalidToken)
	case r.Client == row.Client:
		return nil, ErrOwnClient
	}
	h, err := i.exchanged(ctx, row, r.Client, now)
	if isInvalid(err) {
		return i.grant(ctx, own, r, now, false)
	}
	if err == nil {
		err = i.wanted(h.client, r)
	}
	if err != nil {
		return nil, err
	}
	return i.finish(ctx, &Issued{SessionExpires: row.AbsoluteExpires}, h, head, now)
}

// wanted fails if a token of c is not what r asks for.
func (i *Issuer) wanted(c *clients.Client, r Request) error {
	switch {
	case len(r.Audience) > 0 && !sameTexts(r.Audience, i.audience(c)):
		return ErrTarget
	case len(r.Scopes) > 0 && !sameTexts(r.Scopes, c.Scopes):
		return fmt.Errorf("the token has all scopes of its client: %w", clients.ErrScope)
	}
	return nil
}

// sameTexts reports whether two lists have the same elements, in any order.
func sameTexts(one, other []string) bool {
	sorted := func(all []string) []string { return slices.Compact(slices.Sorted(slices.Values(all))) }
	return slices.Equal(sorted(one), sorted(other))
}

// exchanged returns the grant that an earlier exchange made for client. It is ErrInvalidToken if
// there is none, if it has ended, or if the client may have more scopes by now.
func (i *Issuer) exchanged(ctx context.Context, row *SessionRow, client string, now time.Time) (*holding, error) {
	g, err := row.grantOf(client)
	if err != nil {
		return nil, err
	}
	if g.Family != "" {
		return nil, fmt.Errorf("client %s holds refresh tokens: %w", client, counterfoil.ErrInvalidToken)
	}
	h, err := i.state(ctx, row, g, now)
	if err == nil && !slices.Equal(g.Scopes, h.client.Scopes) {
		err = counterfoil.ErrInvalidToken
	}
	return h, err
}

// grant adds a grant of r.Client to the living session of own, with refresh tokens or without.
func (i *Issuer) grant(ctx context.Context, own *holding, r Request, now time.Time, refresh bool) (*Issued, error) {
	row := own.row
	h := &holding{row: row}
	var err error
	if h.dependencies, err = i.dependencies(ctx, row.Subject, r.Client); err != nil {
		return nil, err
	}
	if !refresh {
		if err := i.wanted(h.client, r); err != nil {
			return nil, err
		}
		r.Scopes = nil // all, in the order of the client: with another, each exchange would make the grant anew
	}
	if r.Carrier, err = tokenCarrier(h.client, r.Carrier); err != nil {
		return nil, err
	}
	if err := admit(h.client, &r); err != nil {
		return nil, err
	}
	b := store.Batch{Require: append(h.require(), own.client.Require())}
	if row.drop(r.Client, &b) {
		b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeGrant, token.GrantID(row.ID, r.Client), "granted anew"))
	}
	if len(row.Further) >= maxGrants {
		return nil, fmt.Errorf("%w: a session has grants of at most %d other clients", ErrBadRequest, maxGrants)
	}
	h.grant = Grant{
		Client: r.Client, Carrier: r.Carrier, Scopes: r.Scopes, Attributes: r.Attributes,
		Granted: now.UTC().Truncate(time.Second), ClientGen: h.client.Generation,
	}
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	if refresh {
		f := newFamily(row, r.Client, now)
		if end := i.absoluteEnd(h.client, now); end.Before(f.Expires) {
			f.Expires = end
		}
		h.ends, issued.SessionExpires = f.Expires, f.Expires
		h.grant.Family, issued.Refresh = f.ID, i.refreshToken(f)
		if err := put(&b, f); err != nil {
			return nil, err
		}
	}
	if err := h.judge(now); err != nil {
		return nil, err
	}
	if err := i.checkSize(h, now); err != nil {
		return nil, err
	}
	row.Further = append(row.Further, h.grant)
	row.use(now, i.idle(own.client))
	if err := put(&b, row); err != nil {
		return nil, err
	}
	head, err := i.log.Commit(ctx, b, grantEntry(r, h))
	if err != nil {
		return nil, unavailable(err)
	}
	return i.finish(ctx, issued, h, head, now)
}

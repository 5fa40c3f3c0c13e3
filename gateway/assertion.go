package gateway

import (
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
)

// An assertion is a JWT that tells one service who asks. The service need not trust the network
// between the gateway and itself (GW-14). Its typ is its own, so that neither is an assertion
// accepted as an access token, nor an access token as an assertion (TOK-19).
const (
	AssertionHeader = "Counterfoil-Assertion"
	AssertionType   = "counterfoil-assertion+jwt" // typ

	longestAssertion = time.Minute

	// shortestAssertion is for an assertion that is made just before what it rests on ends: the
	// request is let through, so the service must have the time to read it.
	shortestAssertion = 2 * time.Second

	// mostIdentities are kept, of all audiences together. One is about 2 KiB with its assertion.
	mostIdentities = 1 << 16
)

// AssertionIssuer returns the iss of the assertions about sessions of an auth server. It is the
// same at all gateways of the server, and is not the server's own.
func AssertionIssuer(issuer string) string { return issuer + "/gateway" }

// assert returns the value of [AssertionHeader] for s: empty if the gateway has no key.
func (g *Gateway) assert(s *counterfoil.Session, audience string, now time.Time, life time.Duration) (string, error) {
	if g.opts.AssertionKeys == nil {
		return "", nil
	}
	keys := g.opts.AssertionKeys()
	if keys == nil {
		return "", nil
	}
	return keys.sign(s, audience, now, life)
}

// life is how long an assertion of what was decided may be believed. It ends with the session's
// copy, and when the knowledge by which the session was judged is beyond the bound: so no
// assertion about a revoked session outlives the bound by more than shortestAssertion. lasts is
// false for a session that was made for this one answer, because knowledge is stale.
func (v *verdict) life(now time.Time, bound time.Duration) (life time.Duration, lasts bool) {
	left := bound - v.staleness
	switch lasts = left > 0 && !v.session.Stale; {
	case lasts:
	case v.session.Stale:
		left += v.route.Stale.Beyond()
	default: // the issuer was asked just now
		left = bound
	}
	return max(shortestAssertion, min(longestAssertion, left, v.session.Expires.Sub(now))), lasts
}

func (k *AssertionKeys) sign(s *counterfoil.Session, audience string, now time.Time, life time.Duration) (string, error) {
	claims := token.Claims{
		Issuer: AssertionIssuer(s.Issuer), Subject: s.Subject, Audience: []string{audience}, SID: s.ID, Client: s.Client,
		Roles: s.Roles, Scopes: s.Scopes, ACR: s.ACR, IssuedAt: now.Unix(), Expires: now.Add(life).Unix(),
	}
	if !s.AuthTime.IsZero() {
		claims.AuthTime = s.AuthTime.Unix()
	}
	payload, err := claims.Marshal()
	if err != nil {
		return "", err
	}
	return k.signer.Sign(AssertionType, payload)
}

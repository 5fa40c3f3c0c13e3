package counterfoil

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

type contextKey struct{}

// FromContext returns the session that Require put there.
func FromContext(ctx context.Context) (*Session, bool) {
	s, ok := ctx.Value(contextKey{}).(*Session)
	return s, ok
}

// Rule is a condition beyond being signed in. It sees the time as the verifier
// knows it, and returns nil, ErrForbidden or ErrStepUp.
type Rule func(s *Session, now time.Time) error

// Role demands a role.
func Role(role string) Rule {
	return func(s *Session, _ time.Time) error {
		if !s.HasRole(role) {
			return fmt.Errorf("%w: role %s", ErrForbidden, role)
		}
		return nil
	}
}

// RequireScope demands a scope.
func RequireScope(scope string) Rule {
	return func(s *Session, _ time.Time) error {
		if !s.HasScope(scope) {
			return fmt.Errorf("%w: scope %s", ErrForbidden, scope)
		}
		return nil
	}
}

// Fresh demands a login no older than maxAge (SES-24, RFC 9470).
func Fresh(maxAge time.Duration) Rule {
	return func(s *Session, now time.Time) error {
		if now.Sub(s.AuthTime) > maxAge {
			return ErrStepUp
		}
		return nil
	}
}

// VerifyRequest returns the session of a request. One that a cookie
// authenticates must also pass CheckOrigin.
func (v *Verifier) VerifyRequest(r *http.Request) (*Session, error) {
	s, _, err := v.verifyRequest(r)
	return s, err
}

func (v *Verifier) verifyRequest(r *http.Request) (*Session, Transport, error) {
	c, err := FindCredential(r, v.cookie)
	if err != nil {
		return nil, Header, err
	}
	if c.Transport == Cookie {
		if err := CheckOrigin(r, v.origins); err != nil {
			return nil, Cookie, err
		}
	}
	s, err := v.verify(r.Context(), c)
	return s, c.Transport, err
}

// Require lets only requests through that carry a good session and meet all
// rules. Others get a Problem; next finds the session with FromContext.
func (v *Verifier) Require(next http.Handler, rules ...Rule) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, transport, err := v.verifyRequest(r)
		for _, rule := range rules {
			if err == nil {
				err = rule(s, v.now())
			}
		}
		if err != nil {
			ProblemFor(err, transport).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, s)))
	})
}

package counterfoil

import (
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Rule is a condition beyond being signed in. It sees the issuer's time, and returns nil,
// [ErrForbidden] or [ErrStepUp], alone or wrapped. While clocks contradict each other it is
// asked twice, with the earliest and the latest time that it may be.
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
			return &refusal.StepUpError{MaxAge: &maxAge}
		}
		return nil
	}
}

// ACR demands a login of one of the authentication context classes, the preferred
// one first (RFC 9470).
func ACR(values ...string) Rule {
	return func(s *Session, _ time.Time) error {
		if s.ACR == "" || !slices.Contains(values, s.ACR) {
			return &refusal.StepUpError{ACR: values}
		}
		return nil
	}
}

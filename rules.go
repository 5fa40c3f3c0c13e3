package counterfoil

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule is a condition beyond being signed in. It sees the time as the verifier
// knows it, and returns nil, ErrForbidden or ErrStepUp, alone or wrapped.
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
			return &StepUpError{MaxAge: &maxAge}
		}
		return nil
	}
}

// ACR demands a login of one of the authentication context classes, the preferred
// one first (RFC 9470).
func ACR(values ...string) Rule {
	return func(s *Session, _ time.Time) error {
		if s.ACR == "" || !slices.Contains(values, s.ACR) {
			return &StepUpError{ACR: values}
		}
		return nil
	}
}

// StepUpError is an ErrStepUp that says what kind of login would do (RFC 9470).
type StepUpError struct {
	MaxAge *time.Duration // how old it may be; nil: any age
	ACR    []string       // its authentication context class; nil: any
}

// Error returns what is needed.
func (e *StepUpError) Error() string {
	text := ErrStepUp.Error()
	if e.MaxAge != nil {
		text += fmt.Sprintf(": at most %v old", *e.MaxAge)
	}
	if e.ACR != nil {
		text += ": acr " + strings.Join(e.ACR, " or ")
	}
	return text
}

// Is says that e is an ErrStepUp.
func (e *StepUpError) Is(target error) bool { return target == ErrStepUp }

// challenge is the WWW-Authenticate value (RFC 9470 section 3).
func (e *StepUpError) challenge() string {
	text := `Bearer error="insufficient_user_authentication"`
	if e.MaxAge != nil {
		text += fmt.Sprintf(`, max_age="%d"`, int64(*e.MaxAge/time.Second))
	}
	if e.ACR != nil {
		text += fmt.Sprintf(`, acr_values=%q`, strings.Join(e.ACR, " "))
	}
	return text
}

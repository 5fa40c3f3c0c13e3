package refusal

import (
	"fmt"
	"strings"
	"time"
)

// StepUpError is an [ErrStepUp] that says what kind of login would do (RFC 9470).
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

// Is says that e is an [ErrStepUp].
func (e *StepUpError) Is(target error) bool { return target == ErrStepUp }

// challenge is the WWW-Authenticate value (RFC 9470 section 3), with the descriptions of the examples there.
func (e *StepUpError) challenge() string {
	description := "More recent authentication is required"
	if e.ACR != nil {
		description = "A different authentication level is required"
	}
	text := `Bearer error="insufficient_user_authentication", error_description="` + description + `"`
	if e.ACR != nil {
		text += fmt.Sprintf(`, acr_values=%q`, strings.Join(e.ACR, " "))
	}
	if e.MaxAge != nil {
		text += fmt.Sprintf(`, max_age="%d"`, int64(*e.MaxAge/time.Second))
	}
	return text
}

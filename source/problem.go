package source

import (
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Problem is an HTTP answer that is not what was asked for (RFC 9457), and an error. It
// joins the text for the caller (Status, Type, Title, Detail, RetryAfter, Challenge,
// StepUp) and the Cause, which only logs see. ServeHTTP writes it.
type Problem = refusal.Problem

// StepUpError is a counterfoil.ErrStepUp that says what kind of login would do (RFC 9470):
// MaxAge is how old it may be, ACR its authentication context class.
type StepUpError = refusal.StepUpError

// ProblemFor returns the answer for err, for a credential that came by t. An
// outage or stale knowledge is 503, never 401: the client keeps its credential.
func ProblemFor(err error, t counterfoil.Transport) *Problem {
	return refusal.For(err, t == counterfoil.Cookie)
}

package refusal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an answer that is not what was asked for, as RFC 9457 writes it. It
// joins the text for the caller and the cause, which only logs see.
type Problem struct {
	Status     int
	Type       string // slug: the type member is urn:counterfoil:problem:<slug>
	Title      string
	Detail     string        // for people; never says which check failed
	Field      string        // the member of the body that is wrong, or its path; empty: it is none, or not known which
	RetryAfter time.Duration // see [Problem.Wait]; 0: no header
	Challenge  string        // WWW-Authenticate; empty: no header
	StepUp     *StepUpError  // what login would do; nil: not the matter
	Cause      error         // never sent
}

// Error returns title and cause.
func (p *Problem) Error() string {
	if p.Cause != nil {
		return p.Title + ": " + p.Cause.Error()
	}
	return p.Title
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// At returns p with a challenge that tells a client where the metadata of the resource is (RFC 9728
// section 5.1). A problem without a challenge stays as it is.
func (p *Problem) At(metadata string) *Problem {
	if p.Challenge == "" || metadata == "" {
		return p
	}
	named, separator := *p, ", "
	if !strings.Contains(p.Challenge, " ") {
		separator = " " // the scheme alone
	}
	named.Challenge += separator + `resource_metadata="` + metadata + `"`
	return &named
}

// ServeHTTP writes the problem.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	p.SetHeader(w.Header())
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.body())
}

// Wire returns the problem as an answer of HTTP/1.1, after which the connection is closed. It is for
// requests that no handler sees.
func (p *Problem) Wire() []byte {
	h := http.Header{"Content-Type": {"application/problem+json"}}
	p.SetHeader(h)
	body, _ := json.Marshal(p.body())
	var wire bytes.Buffer
	answer := http.Response{StatusCode: p.Status, ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Close: true}
	_ = answer.Write(&wire)
	return wire.Bytes()
}

// SetHeader sets the fields of the problem that do not describe the body.
func (p *Problem) SetHeader(h http.Header) {
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.Wait().Seconds())))
	}
	if p.Challenge != "" {
		h.Set("WWW-Authenticate", p.Challenge)
	}
}

// Wait is RetryAfter in whole seconds, the only unit that a caller is told. It is rounded up: who
// comes earlier is refused again.
func (p *Problem) Wait() time.Duration {
	return (p.RetryAfter + time.Second - 1).Truncate(time.Second)
}

type problemBody struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Field  string `json:"field,omitempty"`

	// Named as in the challenge of RFC 9470, which a cookie's client does not get.
	MaxAge *int64 `json:"max_age,omitempty"`
	ACR    string `json:"acr_values,omitempty"`
}

func (p *Problem) body() problemBody {
	b := problemBody{Type: "urn:counterfoil:problem:" + p.Type, Title: p.Title, Status: p.Status, Detail: p.Detail, Field: p.Field}
	if p.StepUp != nil {
		b.ACR = strings.Join(p.StepUp.ACR, " ")
		if p.StepUp.MaxAge != nil {
			seconds := int64(*p.StepUp.MaxAge / time.Second)
			b.MaxAge = &seconds
		}
	}
	return b
}

// For returns the answer for err. byCookie is true for a credential that came in a cookie,
// or should have come in one. An outage or stale knowledge is 503, never 401: the client
// keeps its credential.
func For(err error, byCookie bool) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	stepUp := &StepUpError{}
	_ = errors.As(err, &stepUp)
	challenge := func(s string) string {
		if byCookie {
			return "" // a browser would put up a dialogue, and the cookie is not its to ask for
		}
		return s
	}
	for _, rule := range []struct {
		is error
		Problem
	}{
		{ErrStale, Problem{Status: 503, Type: "verifier-stale", Title: "Cannot check credentials at the moment", RetryAfter: time.Second}},
		{ErrUnavailable, Problem{Status: 503, Type: "unavailable", Title: "Temporarily unavailable", RetryAfter: time.Second}},
		{ErrNoCredential, Problem{Status: 401, Type: "no-credential", Title: "Sign in first", Challenge: challenge("Bearer")}},
		{ErrMultipleCredentials, Problem{Status: 400, Type: "multiple-credentials", Title: "More than one credential"}},
		{ErrCrossOrigin, Problem{Status: 403, Type: "cross-origin", Title: "Request from another origin", Detail: "Origin or Sec-Fetch-Site must say that it comes from a page that may do this. A page with Referrer-Policy no-referrer sends its forms without an origin"}},
		{ErrStepUp, Problem{Status: 401, Type: "step-up", Title: "A fresher or stronger login is needed", Challenge: challenge(stepUp.challenge()), StepUp: stepUp}},
		{ErrForbidden, Problem{Status: 403, Type: "forbidden", Title: "Not allowed"}},
		{ErrStaleClaims, Problem{Status: 401, Type: "stale-claims", Title: "The credential's claims have changed: refresh it", Challenge: challenge(`Bearer error="invalid_token"`)}},
		{ErrInvalidToken, Problem{Status: 401, Type: "invalid-token", Title: "The credential is not valid", Challenge: challenge(`Bearer error="invalid_token"`)}},
	} {
		if errors.Is(err, rule.is) {
			rule.Problem.Cause = err
			return &rule.Problem
		}
	}
	return &Problem{Status: 500, Type: "internal", Title: "Internal error", Cause: err}
}

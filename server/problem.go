package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// refusal is an error whose text the caller may read.
type refusal struct {
	status        int
	kind          string // slug of the problem type
	title, detail string
	retry         time.Duration
	cause         error // for the log only
}

func (e *refusal) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.title, e.cause)
	}
	return e.title
}

func (e *refusal) Unwrap() error { return e.cause }

func badRequest(format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > 200 { // it may quote what was sent
		detail = strings.ToValidUTF8(detail[:200], "") + "…"
	}
	return &refusal{status: http.StatusBadRequest, kind: "bad-request", title: "Bad request", detail: detail}
}

var (
	errForbidden = &refusal{status: http.StatusForbidden, kind: "forbidden", title: "Not allowed"}
	errNotFound  = &refusal{status: http.StatusNotFound, kind: "not-found", title: "Not found"}
)

// explain finds the one public answer to err. Everything that it does not know is
// a 500 that tells the caller nothing.
func explain(err error, by counterfoil.Transport) *source.Problem {
	var own *refusal
	var throttled login.Throttled
	var rejected login.RejectedPassword
	var input login.BadInput
	switch {
	case errors.As(err, &own):
	case errors.Is(err, login.ErrRefused), errors.Is(err, issuer.ErrProveAgain):
		// One text for an unknown user, a wrong password and a disabled account:
		// the difference is what an enumerator is after.
		own = &refusal{status: http.StatusUnauthorized, kind: "login-refused", title: "Login refused", detail: "The identifier or the password is wrong."}
	case errors.Is(err, login.ErrOver):
		own = &refusal{status: http.StatusUnauthorized, kind: "login-over", title: "Login is over", detail: "The challenge was answered, its time has passed, or it is another client's. Begin again."}
	case errors.Is(err, login.ErrUnknownMethod):
		own = &refusal{status: http.StatusBadRequest, kind: "unknown-method", title: "Unknown way of signing in"}
	case errors.As(err, &input):
		own = &refusal{status: http.StatusBadRequest, kind: "bad-request", title: "Bad request", detail: input.Reason}
	case errors.As(err, &throttled):
		own = &refusal{status: http.StatusTooManyRequests, kind: "too-many-attempts", title: "Too many attempts", retry: throttled.RetryAfter}
	case errors.Is(err, login.ErrBusy):
		own = &refusal{status: http.StatusServiceUnavailable, kind: "busy", title: "Busy", retry: time.Second}
	case errors.As(err, &rejected):
		own = &refusal{status: http.StatusUnprocessableEntity, kind: "password-rejected", title: "Password rejected", detail: rejected.Reason}
	case errors.Is(err, directory.ErrTaken):
		own = &refusal{status: http.StatusConflict, kind: "identifier-taken", title: "Identifier is taken"}
	case errors.Is(err, clients.ErrUnknown):
		own = &refusal{status: http.StatusBadRequest, kind: "unknown-client", title: "Unknown client"}
	case errors.Is(err, clients.ErrDisabled):
		own = &refusal{status: http.StatusForbidden, kind: "client-disabled", title: "Client is disabled"}
	case errors.Is(err, clients.ErrCarrier):
		own = &refusal{status: http.StatusBadRequest, kind: "carrier-not-allowed", title: "Carrier is not one of the client's"}
	case errors.Is(err, clients.ErrScope):
		own = &refusal{status: http.StatusBadRequest, kind: "invalid-scope", title: "Scope is wider than what was granted"}
	case errors.Is(err, issuer.ErrTooLarge):
		// Nothing that the caller did: whoever runs the server gave out too many roles.
		own = &refusal{status: http.StatusInternalServerError, kind: "credential-too-large", title: "Claims are too large for the carrier"}
	case errors.Is(err, directory.ErrBadIdentifier), errors.Is(err, directory.ErrBadUser), errors.Is(err, directory.ErrBadKey):
		own = &refusal{status: http.StatusUnprocessableEntity, kind: "not-acceptable", title: "Not acceptable", detail: err.Error()}
	case errors.Is(err, issuer.ErrBadRequest):
		own = &refusal{status: http.StatusBadRequest, kind: "bad-request", title: "Bad request", detail: err.Error()}
	case errors.Is(err, store.ErrNotFound):
		own = errNotFound
	case errors.Is(err, accounts.ErrAdminRole):
		own = errForbidden
	case known(err), errors.As(err, new(*source.Problem)):
		return source.ProblemFor(err, by)
	default:
		own = &refusal{status: http.StatusInternalServerError, kind: "internal", title: "Internal error"}
	}
	return &source.Problem{Status: own.status, Type: own.kind, Title: own.title, Detail: own.detail, RetryAfter: own.retry, Cause: err}
}

// known reports whether err is one of the root package's words.
func known(err error) bool {
	for _, e := range []error{
		counterfoil.ErrInvalidToken, counterfoil.ErrNoCredential, source.ErrMultipleCredentials,
		source.ErrCrossOrigin, counterfoil.ErrStepUp, counterfoil.ErrForbidden,
		counterfoil.ErrStale, counterfoil.ErrUnavailable,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// answer writes the problem for err, and logs what the caller is not told.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, err error) {
	if name, _ := s.cookieNames(); len(r.CookiesNamed(name)) > 1 {
		s.setCookie(w, name, "", "Lax", 0) // one of them was planted: neither stays (SES-08)
	}
	p := s.explainLogged(w, r, err)
	p.ServeHTTP(w, r)
}

func (s *Server) explainLogged(w http.ResponseWriter, r *http.Request, err error) *source.Problem {
	if ended := r.Context().Err(); ended != nil && errors.Is(err, ended) {
		// Most often nobody is there any more, and there is nothing to log. But whoever
		// ended the request may still read the answer: one that is not written is a 200.
		return source.ProblemFor(fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err), transportOf(r))
	}
	id := w.Header().Get(requestHeader)
	p := explain(err, transportOf(r))
	if p.Status >= 500 {
		s.log.LogAttrs(r.Context(), levelFor(p.Status), "request failed", attrs(r, id, p.Status, err)...)
	}
	if p.Status == http.StatusInternalServerError {
		p.Detail = "request " + id // what support needs to find the log line
	}
	return p
}

// transportOf says what the caller used, for the WWW-Authenticate header.
func transportOf(r *http.Request) counterfoil.Transport {
	if r.Header.Get("Authorization") == "" && r.Header.Get("Cookie") != "" {
		return counterfoil.Cookie
	}
	return counterfoil.Header
}

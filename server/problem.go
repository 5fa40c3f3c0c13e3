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
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// badRequest tells the caller what is wrong with the request.
func badRequest(format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > 200 { // it may quote what was sent
		detail = strings.ToValidUTF8(detail[:200], "") + "…"
	}
	return &source.Problem{Status: http.StatusBadRequest, Type: "bad-request", Title: "Bad request", Detail: detail}
}

// inField is an error about one member of the body. One in an object of the body has its path: filter.client,
// users[2].name.
type inField struct {
	error
	field string
}

func (e inField) Unwrap() error { return e.error }

// about says which member of the body err is about, if it is about one, see fieldOf. So a program marks the field, as
// our pages do.
func about(err error, shown, chosen string) error {
	if field := fieldOf(err, shown, chosen); field != "" {
		return inField{err, field}
	}
	return err
}

// inside says that err is about an object in the body, which is its member outer.
func inside(outer string, err error) error {
	if named, is := errors.AsType[inField](err); is {
		outer += "." + named.field
	}
	return inField{err, outer}
}

// badMember is a badRequest about a member of the body.
func badMember(name, format string, args ...any) error {
	return inField{badRequest(format, args...), name}
}

var (
	errForbidden = &source.Problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Not allowed"}
	errNotFound  = &source.Problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found"}
	errDamaged   = &source.Problem{Status: http.StatusInternalServerError, Type: "damaged", Title: "The stored record is damaged", Detail: "It cannot be shown. It can be ended or deleted."}
)

// explain finds the one public answer to err. Everything that it does not know is
// a 500 that tells the caller nothing.
func explain(err error, by counterfoil.Transport) *source.Problem {
	own := ofLogin(err)
	if own == nil {
		own = ofRecords(err)
	}
	if own == nil {
		return source.ProblemFor(err, by)
	}
	p := *own // a copy: errNotFound and errForbidden are shared
	p.Cause = err
	if named, is := errors.AsType[inField](err); is {
		p.Field = named.field
	}
	return &p
}

// ofLogin answers a handler that has said all itself, and what is wrong with a login, a refresh or
// what is typed for one. Nil: it is something else.
func ofLogin(err error) *source.Problem {
	var own *source.Problem
	var throttled login.Throttled
	var often issuer.TooOften
	var rejected login.RejectedPassword
	var input login.BadInput
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, directory.ErrUsed):
		return &source.Problem{Status: http.StatusGone, Type: "invitation-used", Title: "This invitation was used", Detail: "Sign in with the password that was chosen with it, or ask for another."}
	case errors.Is(err, login.ErrRefused), errors.Is(err, issuer.ErrProveAgain):
		// One text for an unknown user, a wrong password and a disabled account:
		// the difference is what an enumerator is after.
		return &source.Problem{Status: http.StatusUnauthorized, Type: "login-refused", Title: "Login refused", Detail: "The identifier or the password is wrong."}
	case errors.Is(err, login.ErrOver):
		return &source.Problem{Status: http.StatusUnauthorized, Type: "login-over", Title: "Login is over", Detail: "The challenge was answered, its time has passed, or it is another client's. Begin again."}
	case errors.Is(err, login.ErrUnknownMethod):
		return &source.Problem{Status: http.StatusBadRequest, Type: "unknown-method", Title: "Unknown way of signing in"}
	case errors.As(err, &input):
		return &source.Problem{Status: http.StatusBadRequest, Type: "bad-request", Title: "Bad request", Detail: input.Reason}
	case errors.As(err, &throttled):
		return &source.Problem{Status: http.StatusTooManyRequests, Type: "too-many-attempts", Title: "Too many attempts", Detail: "What was sent was not checked. Send it again after the seconds that Retry-After names.", RetryAfter: throttled.RetryAfter}
	case errors.As(err, &often):
		return &source.Problem{Status: http.StatusTooManyRequests, Type: "too-many-refreshes", Title: "Refreshed too often", Detail: "The session goes on, and the newest refresh token is good.", RetryAfter: often.RetryAfter}
	case errors.Is(err, login.ErrBusy):
		return &source.Problem{Status: http.StatusServiceUnavailable, Type: "busy", Title: "Busy", RetryAfter: time.Second}
	case errors.As(err, &rejected):
		return &source.Problem{Status: http.StatusUnprocessableEntity, Type: "password-rejected", Title: "Password rejected", Detail: rejected.Reason}
	case errors.Is(err, directory.ErrConfusable):
		return &source.Problem{Status: http.StatusConflict, Type: "identifier-taken", Title: "Identifier is taken", Detail: "It looks like the identifier of another user."}
	case errors.Is(err, directory.ErrTaken):
		return &source.Problem{Status: http.StatusConflict, Type: "identifier-taken", Title: "Identifier is taken"}
	}
	return nil
}

// ofRecords answers what is wrong with a client, a user or a key. Nil: it is something else.
func ofRecords(err error) *source.Problem {
	var target *urls.Error
	var grown issuer.Grown
	var forbidden rights.Forbidden
	switch {
	case errors.Is(err, clients.ErrReturnTo) && errors.As(err, &target):
		return &source.Problem{Status: http.StatusBadRequest, Type: "bad-request", Title: "A sign-in may not lead where this link says", Detail: "its return_to " + target.Problem + ": " + target.Hint}
	case errors.Is(err, issuer.ErrNoPlan):
		return &source.Problem{Status: http.StatusConflict, Type: "no-dry-run", Title: "There is no dry run that fits", Detail: "The token is of another filter or caller, or its time has passed. Send the filter with dry_run, look, and send its token."}
	case errors.As(err, &grown) && grown.AtMost > 0:
		return &source.Problem{Status: http.StatusConflict, Type: "more-than-planned", Title: "There are more sessions than may be revoked", Detail: grown.Error() + ". Nothing was revoked. Allow more, or search for fewer."}
	case errors.As(err, &grown):
		return &source.Problem{Status: http.StatusConflict, Type: "more-than-planned", Title: "There are more sessions than may be revoked", Detail: grown.Error() + ". Nothing was revoked. Make another dry run."}
	case errors.Is(err, clients.ErrUnknown):
		return &source.Problem{Status: http.StatusBadRequest, Type: "unknown-client", Title: "Unknown client"}
	case errors.Is(err, clients.ErrDisabled):
		return &source.Problem{Status: http.StatusForbidden, Type: "client-disabled", Title: "Client is disabled"}
	case errors.Is(err, clients.ErrCarrier):
		return &source.Problem{Status: http.StatusBadRequest, Type: "carrier-not-allowed", Title: "Carrier is not one of the client's"}
	case errors.Is(err, clients.ErrScope):
		return &source.Problem{Status: http.StatusBadRequest, Type: "invalid-scope", Title: "Scope is wider than what was granted"}
	case errors.Is(err, issuer.ErrTooLarge):
		// Nothing that the caller did: an administrator gave out too many roles.
		return &source.Problem{Status: http.StatusInternalServerError, Type: "credential-too-large", Title: "Claims are too large for the carrier"}
	case errors.Is(err, accounts.ErrNoMail):
		return errNoMail
	case errors.Is(err, directory.ErrBadIdentifier):
		return &source.Problem{Status: http.StatusUnprocessableEntity, Type: "not-acceptable", Title: "Identifier is not acceptable", Detail: rule(err), Field: "identifier"}
	case errors.Is(err, directory.ErrBadAddress):
		return &source.Problem{Status: http.StatusUnprocessableEntity, Type: "not-acceptable", Title: "Address is not acceptable", Detail: rule(err), Field: "address"}
	case errors.Is(err, directory.ErrBadUser):
		return &source.Problem{Status: http.StatusUnprocessableEntity, Type: "not-acceptable", Title: "User is not acceptable", Detail: rule(err)}
	case errors.Is(err, directory.ErrBadKey):
		return &source.Problem{Status: http.StatusUnprocessableEntity, Type: "not-acceptable", Title: "API key is not acceptable", Detail: rule(err)}
	case errors.Is(err, issuer.ErrBadRequest), errors.Is(err, directory.ErrBadFilter):
		return &source.Problem{Status: http.StatusBadRequest, Type: "bad-request", Title: "Bad request", Detail: rule(err)}
	case errors.Is(err, outbox.ErrExpired):
		return &source.Problem{Status: http.StatusConflict, Type: "letter-expired", Title: "It is out of date", Detail: "What it says is of no use any more. It can be dropped."}
	case errors.Is(err, store.ErrNotFound):
		return errNotFound
	case errors.Is(err, accounts.ErrLastAdministrator):
		return &source.Problem{Status: http.StatusConflict, Type: "last-administrator", Title: "This is the last administrator", Detail: "Make somebody else an administrator first."}
	case errors.As(err, &forbidden):
		return &source.Problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Not allowed", Detail: forbidden.Why}
	case errors.Is(err, accounts.ErrAdminRole), errors.Is(err, accounts.ErrOtherClient):
		return errForbidden
	}
	return nil
}

// rule is the rule that was broken: the text of err without the kinds of error, which the title
// of the answer says.
func rule(err error) string {
	text := err.Error()
	for _, kind := range []error{directory.ErrBadIdentifier, directory.ErrBadUser, directory.ErrBadKey, directory.ErrBadFilter, issuer.ErrBadRequest} {
		text = strings.TrimSuffix(strings.ReplaceAll(text, kind.Error()+": ", ""), ": "+kind.Error())
	}
	return text
}

// answer writes the problem for err, and logs what the caller is not told.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, err error) {
	name, _ := s.cookieNames()
	if _, n, err := request.Cookies(r, name); n > 1 && err == nil {
		setCookie(w, name, "", "Lax", 0) // one of them was planted: neither stays (SES-08)
	}
	p := s.explainLogged(w, r, err)
	p.ServeHTTP(w, r)
}

func (s *Server) explainLogged(w http.ResponseWriter, r *http.Request, err error) *source.Problem {
	if ended := r.Context().Err(); ended != nil && errors.Is(err, ended) {
		// Most often the client is gone, and there is nothing to log. But a client that
		// ended the request may still read the answer: one that is not written is a 200.
		return source.ProblemFor(fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err), transportOf(r))
	}
	s.tellDenied(w, r, err)
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

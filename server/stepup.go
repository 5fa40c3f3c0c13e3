package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// stepUp has the caller prove anew who it is, and answers as a login does: what a route
// needs that refused with "step-up" (RFC 9470). The session goes on with new credentials,
// and those that asked are dead (SES-04).
func (s *Server) stepUp(w http.ResponseWriter, r *http.Request) error {
	var b api.StepUp[api.Hidden]
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	a := act(w, r, audit.BySubject(session.Subject), "")
	identifier, proof, err := s.proveAgain(r, session, b.Password)
	if err != nil {
		s.tellStepUp(a, session, err)
		return err
	}
	issued, err := s.issuer.StepUp(r.Context(), session.ID, proof, a)
	if err != nil {
		s.tellStepUp(a, session, err)
		return err
	}
	s.knowDevice(w, r, issued.Session.Carrier, identifier)
	return s.hand(w, http.StatusOK, issued)
}

// proveAgain checks the password of session's subject. Guessing here counts as guessing at
// a login. A subject that is no user here has none.
func (s *Server) proveAgain(r *http.Request, session *counterfoil.Session, password api.Hidden) (identifier string, p login.Proof, err error) {
	user, err := s.users.ByID(r.Context(), session.Subject)
	if errors.Is(err, store.ErrNotFound) {
		return "", p, login.ErrRefused
	}
	if err != nil {
		return "", p, err
	}
	p, err = s.passwords.Prove(r.Context(), login.Attempt{Identifier: user.Identifier, Password: password.String, Address: address(r), Device: s.device(r)})
	return user.Identifier, p, err
}

// tellStepUp tells the audit trail of a step-up that was not. An outage says nothing about
// the attempt: it is in the log.
func (s *Server) tellStepUp(a audit.Act, session *counterfoil.Session, err error) {
	if errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return
	}
	e := a.Entry(audit.StepUp, session.Subject)
	e.Outcome, e.Client, e.Session, e.Reason = audit.Refused, session.Client, session.ID, err.Error()
	var throttled login.Throttled
	if errors.As(err, &throttled) || errors.Is(err, login.ErrBusy) {
		e.Action = audit.Limit
	}
	s.issuer.Audit().Tell(e)
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/store"
)

// stepUp has the caller prove anew who it is, and answers as a login does: what a route
// needs that refused with "step-up" (RFC 9470). The session goes on with new credentials,
// and those that asked are dead (SES-04).
func (s *Server) stepUp(w http.ResponseWriter, r *http.Request) error {
	var b api.StepUp[api.Hidden]
	if err := readJSON(r, &b); err != nil {
		return err
	}
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	begin, err := byMethod(b.Method, b.Password, b.Input)
	if err != nil {
		return err
	}
	done, err := s.proveAgain(w, r, session, begin)
	if err != nil {
		return err
	}
	return s.handOver(w, r, http.StatusOK, done)
}

// proveAgain steps session up if begin proves who it is, unless there is a challenge first.
func (s *Server) proveAgain(w http.ResponseWriter, r *http.Request, session *counterfoil.Session, begin flow.Request) (done progress, err error) {
	begin.Session, begin.Keep = session.ID, json.RawMessage("{}") // the session has what a login keeps
	// Guessing here counts as guessing at a login. A subject that is no user here has no
	// name, and no credential that the server keeps.
	user, err := s.users.ByID(r.Context(), session.Subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return progress{}, err
	}
	begin.Identifier, begin.Device, begin.Address, begin.StepUp = user.Identifier, s.device(r), address(r), true
	begin.Apart = session.Carrier.Transport == counterfoil.Cookie
	got, err := s.flow.Begin(r.Context(), begin)
	if err != nil {
		s.tellStepUp(act(w, r, audit.BySubject(session.Subject), ""), session, err)
		if begin.Method == directory.KindPassword {
			err = wrongPassword("The password is wrong", err)
		}
		return progress{}, err
	}
	return s.raise(w, r, got, session)
}

// raise steps session up, if got proves who it is.
func (s *Server) raise(w http.ResponseWriter, r *http.Request, got flow.Result, session *counterfoil.Session) (progress, error) {
	if got.Proof == nil {
		return progress{challenge: &got}, nil
	}
	var replaces []*counterfoil.Session
	if session.Carrier.Transport == counterfoil.Cookie || wantsRefreshCookie(r) {
		var err error
		if replaces, err = s.inCookies(r); err != nil {
			return progress{}, err
		}
	}
	a := act(w, r, audit.BySubject(session.Subject), "")
	issued, err := s.issuer.StepUp(r.Context(), session.ID, *got.Proof, a, replaces...)
	if err != nil {
		s.tellStepUp(a, session, err)
		return progress{}, err
	}
	return progress{issued: issued, device: s.knowDevice(w, r, issued.Session.Carrier, got.Account)}, nil
}

// tellStepUp tells the audit trail of a step-up that was not. An outage says nothing about
// the attempt: it is in the log.
func (s *Server) tellStepUp(a audit.Act, session *counterfoil.Session, err error) {
	if errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return
	}
	e := a.Entry(audit.StepUp, session.Subject)
	e.Outcome, e.Client, e.Session, e.Reason = audit.Refused, session.Client, session.ID, err.Error()
	if login.Unchecked(err) {
		e.Action = audit.Limit
	}
	s.issuer.Audit().Tell(e)
}

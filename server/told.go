package server

import (
	"errors"
	"net/http"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// denied is a refusal of a caller who has proven who it is.
type denied struct {
	error
	by string // as audit.Act.By
}

func (d denied) Unwrap() error { return d.error }

// tellDenied tells the audit trail of a request that its caller may not make, and of one that
// another site made. Sign-ins are told of by tellRefused.
func (s *Server) tellDenied(w http.ResponseWriter, r *http.Request, err error) {
	a := act(w, r, audit.ByUnknown, "")
	action := audit.Deny
	refused, role := errors.AsType[denied](err)
	forbidden, client := errors.AsType[*issuer.Forbidden](err)
	switch {
	case role:
		a.By = refused.by
	case client:
		a.By = audit.BySubject(forbidden.Subject)
	case errors.Is(err, source.ErrCrossOrigin):
		action = audit.CrossSite
	default:
		return
	}
	e := a.Entry(action, "")
	e.Outcome, e.Target, e.Reason = audit.Refused, r.Pattern, err.Error()
	s.issuer.Audit().Tell(e)
}

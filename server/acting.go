package server

import (
	"net/http"
	"time"
)

// acting is what a page says at its top while the session of the visitor is an impersonation.
type acting struct {
	Name  string    // of who acts
	User  string    // as whom
	Until time.Time // at the latest
}

// acting finds out whether the visitor acts as somebody else. nil: no, or it cannot be found out. Nothing is
// decided by it.
func (s *Server) acting(r *http.Request) *acting {
	session, err := s.visiting(r)
	if err != nil || session.Actor == "" {
		return nil
	}
	row, err := s.issuer.Session(r.Context(), session.ID)
	if err != nil || row.By == nil {
		return nil
	}
	name, _, err := s.nameOf(r, session)
	if err != nil {
		return nil
	}
	return &acting{Name: row.By.Name, User: name, Until: row.AbsoluteExpires}
}

package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
)

// viewActivity tells the owner of an account of an entry. Who did it is said by kind: an account of
// an administrator, or the reason in their words, is not for the user.
func viewActivity(e audit.Entry) api.Activity {
	by := "unknown"
	switch kind, _, _ := strings.Cut(e.By, ":"); {
	case e.By == audit.BySubject(e.Subject):
		by = "self"
	case kind == "subject", kind == audit.ByLocal:
		by = "administrator"
	case kind == "key":
		by = "program"
	case kind == audit.ByIssuer:
		by = "server"
	}
	return api.Activity{Time: e.Time.UTC(), Action: e.Action, Outcome: e.Outcome, By: by, Client: e.Client, Session: e.Session, Address: e.Address}
}

// activityOf returns a page of what was done to the account of session.
func (s *Server) activityOf(r *http.Request, session *counterfoil.Session, page pageOf) (answer api.ActivityPage, err error) {
	entries, next, err := s.issuer.OwnActivity(r.Context(), session, page.after, page.limit)
	answer.Activity, answer.Next = []api.Activity{}, s.next(r.URL.Path, page, next)
	for _, e := range entries {
		answer.Activity = append(answer.Activity, viewActivity(e))
	}
	return answer, err
}

func (s *Server) activity(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	asked, err := s.readPage(r)
	if err != nil {
		return err
	}
	page, err := s.activityOf(r, session, asked)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, page)
}

// activityPage is what was done to the account of the visitor.
type activityPage struct {
	ownFrame
	Entries []activityLine
	Next    string // cursor of the next page; empty: this is the last
	First   bool   // this is the first page
}

// activityLine is an entry in words.
type activityLine struct {
	What    said
	Time    time.Time
	More    []said
	Refused bool
}

func activityInWords(a api.Activity, called func(client string) string) activityLine {
	l := activityLine{What: say("activity." + string(a.Action)), Time: a.Time, Refused: a.Outcome == audit.Refused}
	if a.By != "self" {
		l.More = append(l.More, say("activity.by."+a.By))
	}
	if a.Client != "" && a.Client != clients.Default {
		l.More = append(l.More, say("activity.for", called(a.Client)))
	}
	if a.Address.IsValid() {
		l.More = append(l.More, say("activity.from", a.Address.String()))
	}
	return l
}

func (s *Server) pageActivity(w http.ResponseWriter, r *http.Request) error {
	return s.ownPage(w, r, func(session *counterfoil.Session, f ownFrame) error {
		f.Title = say("activity.title")
		asked, err := s.turned(r, defaultPage)
		if err != nil {
			return err
		}
		page := activityPage{First: asked.after == ""}
		got, err := s.activityOf(r, session, asked)
		if f.StepUp = errors.Is(err, counterfoil.ErrStepUp); err != nil && !f.StepUp {
			return err
		}
		page.ownFrame, page.Next = f, got.Next
		called := s.clientNames(r.Context())
		for _, a := range got.Activity {
			page.Entries = append(page.Entries, activityInWords(a, called))
		}
		return s.render(w, r, http.StatusOK, "activity.html", &page)
	})
}

package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
)

// appsPage is what other applications hold of the visitor's sessions.
type appsPage struct {
	ownFrame
	Apps  []appLine
	Next  string // cursor of the next page; empty: this is the last
	First bool   // this is the first page
}

// appLine is what one client holds of one session.
type appLine struct {
	Client, Session string
	Device          said
	Since, Seen     time.Time
}

// pageApps lists the grants of other clients than the one that a session is of.
func (s *Server) pageApps(w http.ResponseWriter, r *http.Request) error {
	return s.ownPage(w, r, func(session *counterfoil.Session, f ownFrame) error {
		f.Title, f.Done = say("apps.title"), s.done(w, r)
		asked, err := s.turned(r, maxPage)
		if err != nil {
			return err
		}
		page := appsPage{First: asked.after == ""}
		rows, next, err := s.issuer.OwnSessions(r.Context(), session, asked.after, asked.limit)
		if f.StepUp = errors.Is(err, counterfoil.ErrStepUp); err != nil && !f.StepUp {
			return err
		}
		for _, row := range rows {
			for _, g := range line(row, session.ID).Grants {
				page.Apps = append(page.Apps, appLine{g.Client, row.ID, deviceSaid(row.Device), g.Since, g.Seen})
			}
		}
		page.ownFrame, page.Next = f, s.next(r.URL.Path, asked, next)
		return s.render(w, r, http.StatusOK, "apps.html", page)
	})
}

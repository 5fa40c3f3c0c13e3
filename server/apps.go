package server

import (
	"cmp"
	"context"
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
	Client, Name, Session string // Client and Session are ids
	Device                said
	Since, Seen           time.Time
}

// clientNames returns a function that names a client to people: by the name in its settings, which it reads
// once, or else by its id. An outage is found out by what the page is about.
func (s *Server) clientNames(ctx context.Context) func(id string) string {
	known := map[string]string{}
	return func(id string) string {
		name, ok := known[id]
		if !ok {
			if name = id; id != "" {
				if c, err := s.issuer.Clients().Client(ctx, id); err == nil {
					name = cmp.Or(c.Name, id)
				}
			}
			known[id] = name
		}
		return name
	}
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
		called := s.clientNames(r.Context())
		for _, row := range rows {
			for _, g := range row.Grants {
				if g.Client != row.Client {
					page.Apps = append(page.Apps, appLine{g.Client, called(g.Client), row.ID, deviceSaid(row.Device), g.Granted, g.LastUsed})
				}
			}
		}
		page.ownFrame, page.Next = f, s.next(r.URL.Path, asked, next)
		return s.render(w, r, http.StatusOK, "apps.html", &page)
	})
}

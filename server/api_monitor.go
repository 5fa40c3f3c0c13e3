package server

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/kept"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// errNoWatch is for routes of a monitor where there is none.
var errNoWatch = &source.Problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found", Detail: "this server watches nothing: the setting monitor names no file"}

// watched adapts a route of the monitor.
func (s *Server) watched(do func(w http.ResponseWriter, r *http.Request, who caller, m *watching) error) adminAction {
	return func(w http.ResponseWriter, r *http.Request, who caller) error {
		if s.watching == nil {
			return errNoWatch
		}
		return do(w, r, who, s.watching)
	}
}

// adminMonitor answers a page of checks, in the order of the file, and the channels. The states are those of
// the store, which are the same at each node.
func (s *Server) adminMonitor(w http.ResponseWriter, r *http.Request, _ caller, m *watching) error {
	page, err := s.readPage(r)
	if err != nil {
		return err
	}
	shown, next := checksAfter(m.Shown(), page.after, page.limit)
	board, err := m.fill(r.Context(), shown)
	if err != nil {
		return err
	}
	all := api.Checks{
		Checks: []api.Check{}, Channels: []api.Channel{}, Leads: m.keeper.Leading(), At: board.At.UTC(), Next: s.next(r.URL.Path, page, next),
	}
	for _, c := range shown {
		all.Checks = append(all.Checks, viewCheck(c, board.Checks[c.Check.Name]))
	}
	for _, c := range m.File().Channels {
		one := api.Channel{Name: c.Name, Kind: string(c.Kind)}
		for _, kind := range c.Only {
			one.Only = append(one.Only, string(kind))
		}
		all.Channels = append(all.Channels, one)
	}
	return writeJSON(w, http.StatusOK, all)
}

// checksAfter returns the first limit checks after a position, and the position after which the next page goes on;
// empty: there is none. A position is the number of a check in the file, and its name, because another file may
// take its place between two pages: then the next page begins after the check with that name, or, if there is none any more,
// with the check that has its number now.
func checksAfter(all []monitor.Shown, after string, limit int) (page []monitor.Shown, next string) {
	first := 0
	if number, name, found := strings.Cut(after, " "); found {
		first, _ = strconv.Atoi(number) // the cursor is ours
		if n := slices.IndexFunc(all, func(c monitor.Shown) bool { return c.Check.Name == name }); n >= 0 {
			first = n + 1
		}
	}
	rest := all[min(first, len(all)):]
	if len(rest) <= limit {
		return rest, ""
	}
	last := len(all) - len(rest) + limit - 1
	return rest[:limit], strconv.Itoa(last) + " " + all[last].Check.Name
}

// adminCheck answers a check.
func (s *Server) adminCheck(w http.ResponseWriter, r *http.Request, _ caller, m *watching) error {
	name, err := pathID(r, "name")
	if err != nil {
		return err
	}
	all := m.Shown()
	n := slices.IndexFunc(all, func(c monitor.Shown) bool { return c.Check.Name == name })
	if n < 0 {
		return ofMonitor(monitor.ErrUnknown)
	}
	board, err := m.fill(r.Context(), all[n:n+1])
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewCheck(all[n], board.Checks[name]))
}

func viewCheck(c monitor.Shown, line kept.Line) api.Check {
	state, last := c.State, c.State.Last
	v := api.Check{
		Name: c.Check.Name, Title: c.Check.Title, Group: c.Check.Group, Kind: string(c.Check.Kind), Target: c.Check.Target,
		EverySec: int64(c.Check.Every / time.Second), Public: c.Check.Public, Status: string(state.Status), Since: state.Since.UTC(), Flapping: state.Flapping,
		LastRun: last.At.UTC(), TookMS: last.Took.Milliseconds(), Reason: string(last.Reason), Failure: last.Failure, Expires: last.Expires.UTC(),
		Maintenance: c.Maintenance,
	}
	if v.Status == "" {
		v.Status = string(unknown)
	}
	if share, known := line.Uptime(); known {
		v.Uptime = &share
	}
	if c.Mute != nil {
		v.Mute = &api.Mute{Until: c.Mute.Until.UTC(), Why: c.Mute.Why, By: c.Mute.By}
	}
	return v
}

// adminResults is the history of a check.
func (s *Server) adminResults(w http.ResponseWriter, r *http.Request, _ caller, m *watching) error {
	name, err := pathID(r, "name")
	if err != nil {
		return err
	}
	page, err := s.readPage(r, "step", "from", "to")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(m.File().Checks, func(c *monitor.Check) bool { return c.Name == name }) {
		return ofMonitor(monitor.ErrUnknown)
	}
	asked := kept.Window{Step: kept.Step(cmp.Or(page.filter.Get("step"), string(kept.Parts)))}
	if asked.From, err = instant(page, "from"); err != nil {
		return err
	}
	if asked.To, err = instant(page, "to"); err != nil {
		return err
	}
	if page.sized {
		asked.Most = page.limit
	}
	if page.after != "" {
		if asked.From, err = time.Parse(time.RFC3339, page.after); err != nil {
			return badRequest("cursor is not one that this listing gave")
		}
	}
	points, next, err := m.keeper.Points(r.Context(), name, asked)
	if err != nil {
		return err
	}
	answer := api.Results{Check: name, Step: string(asked.Step), Points: []api.Point{}}
	for _, p := range points {
		answer.Points = append(answer.Points, viewPoint(p, asked.Step))
	}
	if !next.IsZero() {
		answer.Next = s.next(r.URL.Path, page, next.UTC().Format(time.RFC3339))
	}
	return writeJSON(w, http.StatusOK, answer)
}

func viewPoint(p kept.Point, step kept.Step) api.Point {
	v := api.Point{
		At: p.At.UTC(), Runs: p.Runs, TookMS: p.Took.Milliseconds(), LongestMS: p.Longest.Milliseconds(),
		Failed: p.Failed, Maintenance: p.Maintenance, Reason: string(p.Reason),
	}
	if step != kept.Raw {
		up, down, muted := int64(p.Up/time.Second), int64(p.Down/time.Second), int64(p.Muted/time.Second)
		v.UpSec, v.DownSec, v.MutedSec = &up, &down, &muted
	}
	return v
}

// adminMute has people told nothing of a check for a while.
func (s *Server) adminMute(w http.ResponseWriter, r *http.Request, who caller, m *watching) error {
	var b api.NewMute
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if longest := int64(monitor.LongestMute / time.Second); b.Seconds < 1 || b.Seconds > longest {
		return badRequest("seconds is a number from 1 to %d", longest)
	}
	return s.mute(w, r, who, m, time.Duration(b.Seconds)*time.Second, b.Why)
}

// adminUnmute ends a mute.
func (s *Server) adminUnmute(w http.ResponseWriter, r *http.Request, who caller, m *watching) error {
	return s.mute(w, r, who, m, 0, "ended")
}

func (s *Server) mute(w http.ResponseWriter, r *http.Request, who caller, m *watching, d time.Duration, why string) error {
	name, err := pathID(r, "name")
	if err != nil {
		return err
	}
	if _, err := m.Mute(r.Context(), who.actor, name, d, why, who.by); err != nil {
		return ofMonitor(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// adminTestChannel sends a test to a channel.
func (s *Server) adminTestChannel(w http.ResponseWriter, r *http.Request, who caller, m *watching) error {
	failed, err := m.test(r.Context(), who.actor, r.PathValue("name"), act(w, r, who.by, ""))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.Tested{Sent: failed == "", Failure: failed})
}

// adminIncidents lists incidents, newest first.
func (s *Server) adminIncidents(w http.ResponseWriter, r *http.Request, _ caller, m *watching) error {
	page, err := s.readPage(r)
	if err != nil {
		return err
	}
	all, more, err := m.keeper.Incidents(r.Context(), page.after, page.limit)
	if err != nil {
		return err
	}
	answer := api.Incidents{Incidents: []api.Incident{}}
	var authors []string
	for _, i := range all {
		answer.Incidents, authors = append(answer.Incidents, viewIncident(i)), append(authors, authorsOf(i)...)
	}
	if answer.Named, err = s.called(r.Context(), authors...); err != nil {
		return err
	}
	if more {
		answer.Next = s.next(r.URL.Path, page, all[len(all)-1].ID)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// adminIncident shows an incident.
func (s *Server) adminIncident(w http.ResponseWriter, r *http.Request, _ caller, m *watching) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	i, err := m.keeper.Incident(r.Context(), id)
	if err != nil {
		return ofMonitor(err)
	}
	answer := api.OneIncident{Incident: viewIncident(i)}
	if answer.Named, err = s.called(r.Context(), authorsOf(i)...); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// authorsOf returns which users wrote the notes of an incident.
func authorsOf(i kept.Incident) (authors []string) {
	for _, n := range i.Notes {
		if id, person := audit.SubjectOf(n.By); person {
			authors = append(authors, id)
		}
	}
	return authors
}

func viewIncident(i kept.Incident) api.Incident {
	v := api.Incident{ID: i.ID, Check: i.Check, Title: i.Title, Began: i.Began, Ended: i.Ended, Reason: string(i.Reason), Notes: []api.IncidentNote{}}
	for _, n := range i.Notes {
		v.Notes = append(v.Notes, api.IncidentNote{At: n.At, By: n.By, Text: n.Text})
	}
	return v
}

// adminAnnounce makes an incident that no check has found.
func (s *Server) adminAnnounce(w http.ResponseWriter, r *http.Request, who caller, m *watching) error {
	var b api.NewIncident
	if err := readJSON(r, &b); err != nil {
		return err
	}
	i, err := m.keeper.Announce(r.Context(), who.actor, b.Title, b.Text, act(w, r, who.by, ""))
	if err != nil {
		return ofMonitor(err)
	}
	return writeJSON(w, http.StatusCreated, viewIncident(i))
}

// adminNote adds a note to an incident.
func (s *Server) adminNote(w http.ResponseWriter, r *http.Request, who caller, m *watching) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	var b api.NewNote
	if err := readJSON(r, &b); err != nil {
		return err
	}
	i, err := m.keeper.Say(r.Context(), who.actor, id, b.Text, b.Ended, act(w, r, who.by, ""))
	if err != nil {
		return ofMonitor(err)
	}
	return writeJSON(w, http.StatusOK, viewIncident(i))
}

// ofMonitor is the problem of an error of the monitor.
func ofMonitor(err error) error {
	switch {
	case errors.Is(err, monitor.ErrUnknown), errors.Is(err, store.ErrNotFound):
		return &source.Problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found", Cause: err}
	case errors.Is(err, kept.ErrBadText):
		return badRequest("a title has up to %d characters and a text up to %d, which can be shown", kept.MaxTitle, kept.MaxNote)
	case errors.Is(err, kept.ErrManyNotes):
		return &source.Problem{Status: http.StatusUnprocessableEntity, Type: "not-acceptable", Title: "The incident takes no more notes", Detail: err.Error()}
	}
	return err
}

// push takes a call for a push check. Nothing of the answer says whether an id is nearly right.
func (s *Server) push(w http.ResponseWriter, r *http.Request) error {
	if s.watching == nil {
		return errNotFound
	}
	query := r.URL.Query()
	if err := s.watching.Push(r.Context(), r.PathValue("id"), query.Get("status"), query.Get("message")); err != nil {
		return ofMonitor(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

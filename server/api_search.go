package server

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/rows"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
)

// adminUsers answers a page of users: all by id, or those that a filter is for. With format it answers
// all of them.
func (s *Server) adminUsers(w http.ResponseWriter, r *http.Request, who caller) error {
	page, err := s.readPage(r, "q", "role", "disabled", "created", "created_before", "count", "format")
	if err != nil {
		return err
	}
	f, err := userFilter(page)
	if err != nil {
		return err
	}
	if page.filter.Has("format") {
		after := ""
		return s.export(w, r, who, page, "users", api.UserColumns, func(ctx context.Context, out *rows.Writer) (bool, error) {
			found, err := s.findUsers(ctx, f, after, directory.MaxPage)
			for _, u := range viewUsers(found.Users) {
				if err == nil {
					err = out.Row(u, api.UserCells(u)...)
				}
			}
			after = found.Next
			return after != "", err
		})
	}
	found, err := s.findUsers(r.Context(), f, page.after, page.limit)
	if err != nil {
		return err
	}
	answer := api.Users{Users: viewUsers(found.Users), Looked: found.Looked, Next: s.next(r.URL.Path, page, found.Next)}
	answer.Counted, err = counted(page, func() (int, bool, error) { return s.users.Count(r.Context(), f) })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// findUsers returns a page of those whom f is for. Without a filter they are all, by id.
func (s *Server) findUsers(ctx context.Context, f directory.Filter, after string, limit int) (found directory.Found, err error) {
	if f != (directory.Filter{}) {
		return s.users.Search(ctx, f, after, limit)
	}
	more := false
	if found.Users, more, err = s.users.List(ctx, after, limit); more {
		found.Next = found.Users[len(found.Users)-1].ID
	}
	return found, store.Outage(err)
}

// called says what the users of an answer are called, for people who read it.
func (s *Server) called(ctx context.Context, ids ...string) (n api.Named, err error) {
	called, err := s.users.Called(ctx, ids...)
	if err != nil || len(called) == 0 {
		return n, err
	}
	n.Users = map[string]api.Person{}
	for id, c := range called {
		n.Users[id] = api.Person{Identifier: c.Identifier, Name: c.Name}
	}
	return n, nil
}

// subjects are the ids of those whose sessions rows are.
func subjects(rows []api.SessionRow) (ids []string) {
	for _, row := range rows {
		ids = append(ids, row.Subject)
	}
	return ids
}

func viewUsers(users []directory.User) []api.User {
	views := []api.User{}
	for _, u := range users {
		views = append(views, viewUser(u))
	}
	return views
}

func userFilter(page pageOf) (f directory.Filter, err error) {
	f = directory.Filter{Text: page.filter.Get("q"), Role: page.filter.Get("role")}
	if page.filter.Has("disabled") {
		is, err := flag(page, "disabled")
		if err != nil {
			return f, err
		}
		f.Disabled = &is
	}
	if f.Since, err = instant(page, "created"); err != nil {
		return f, err
	}
	f.Before, err = instant(page, "created_before")
	return f, err
}

// adminSessions answers a page of the sessions of all users that a filter is for. With format it answers
// all of them.
func (s *Server) adminSessions(w http.ResponseWriter, r *http.Request, who caller) error {
	page, err := s.readPage(r, "user", "client", "carrier", "address", "device", "acr", "since", "count", "format")
	if err != nil {
		return err
	}
	f, err := sessionFilter(page)
	if err != nil {
		return err
	}
	if page.filter.Has("format") {
		after := ""
		return s.export(w, r, who, page, "sessions", api.SessionColumns, func(ctx context.Context, out *rows.Writer) (bool, error) {
			found, err := s.issuer.Search(ctx, f, after, issuer.MaxPage)
			for _, row := range found.Sessions {
				if err == nil {
					err = writeSession(out, row)
				}
			}
			after = found.Next
			return after != "", err
		})
	}
	found, err := s.issuer.Search(r.Context(), f, page.after, page.limit)
	if err != nil {
		return err
	}
	answer := api.FoundSessions{Order: "newest", Looked: found.Looked}
	switch {
	case f.Subject != "":
		answer.Order = "id"
	case !s.issuer.Indexed():
		answer.Order = "stored"
	}
	answer.Sessions.Sessions, answer.Damaged = viewRows(found.Sessions)
	answer.Next = s.next(r.URL.Path, page, found.Next)
	if answer.Named, err = s.called(r.Context(), subjects(answer.Sessions.Sessions)...); err != nil {
		return err
	}
	answer.Counted, err = counted(page, func() (int, bool, error) { return s.issuer.Count(r.Context(), f) })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// writeSession writes a session, or which one it is that cannot be shown.
func writeSession(out *rows.Writer, row issuer.SessionRow) error {
	if row.Damaged {
		damaged := api.DamagedSession{ID: row.ID, Subject: row.Subject, Damaged: true}
		return out.Row(damaged, damaged.Cells()...)
	}
	view := viewRow(row)
	return out.Row(view, api.SessionCells(view)...)
}

func sessionFilter(page pageOf) (f issuer.Filter, err error) {
	get := page.filter.Get
	f = issuer.Filter{Subject: get("user"), Client: get("client"), Device: get("device"), ACR: get("acr")}
	if text := get("carrier"); text != "" {
		if err := f.Carrier.UnmarshalText([]byte(text)); err != nil {
			return f, badRequest("carrier is cookie, bearer, jwt-cookie, jwe or jwe-cookie")
		}
	}
	if text := get("address"); text != "" {
		if f.Address, err = netip.ParseAddr(text); err != nil {
			return f, badRequest("address is one address, such as 203.0.113.7 or 2001:db8::7")
		}
		f.Address = f.Address.Unmap()
	}
	f.Since, err = instant(page, "since")
	return f, err
}

// instant reads a filter that is a time. Zero: it is absent.
func instant(page pageOf, name string) (at time.Time, err error) {
	if text := page.filter.Get(name); text != "" {
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return at, badRequest("%s is a time such as 2026-11-30T12:00:00Z", name)
		}
	}
	return at, nil
}

// flag reads a filter that is true or false.
func flag(page pageOf, name string) (bool, error) {
	switch page.filter.Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, badRequest("%s is true or false", name)
}

// counted counts if the page asks for it.
func counted(page pageOf, count func() (int, bool, error)) (c api.Counted, err error) {
	if !page.filter.Has("count") {
		return c, nil
	}
	if ask, err := flag(page, "count"); err != nil || !ask {
		return c, err
	}
	n, more, err := count()
	if err != nil {
		return c, err
	}
	return api.Counted{Count: &n, MoreThan: more}, nil
}

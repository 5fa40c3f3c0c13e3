package server

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
)

// adminUsers answers a page of users: all by id, or those that a filter is for.
func (s *Server) adminUsers(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r, "q", "role", "disabled", "created", "created_before", "count")
	if err != nil {
		return err
	}
	f, err := userFilter(page)
	if err != nil {
		return err
	}
	answer := api.Users{Users: []api.User{}}
	if f == (directory.Filter{}) {
		users, more, err := s.users.List(r.Context(), page.after, page.limit)
		if err != nil {
			return store.Outage(err)
		}
		if answer.Users = viewUsers(users); more {
			answer.Next = s.next(r.URL.Path, page, users[len(users)-1].ID)
		}
	} else {
		found, err := s.users.Search(r.Context(), f, page.after, page.limit)
		if err != nil {
			return err
		}
		answer.Users, answer.Looked, answer.Next = viewUsers(found.Users), found.Looked, s.next(r.URL.Path, page, found.Next)
	}
	answer.Counted, err = counted(page, func() (int, bool, error) { return s.users.Count(r.Context(), f) })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
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

// adminSessions answers a page of the sessions of all users that a filter is for.
func (s *Server) adminSessions(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r, "user", "client", "carrier", "address", "device", "acr", "since", "count")
	if err != nil {
		return err
	}
	f, err := sessionFilter(page)
	if err != nil {
		return err
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
	answer.Counted, err = counted(page, func() (int, bool, error) { return s.issuer.Count(r.Context(), f) })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
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

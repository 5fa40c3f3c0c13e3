package server

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/source"
)

// destination is where a sign-in leads. The zero one is the account page. Each step of a
// sign-in has it in its form, and checks it again.
type destination struct {
	Client   string // whose session it will be; empty: the default one's
	ReturnTo clients.ReturnTo
}

// destination reads the parameters client and return_to. It comes before a credential is
// looked at: a link with a wrong return_to signs nobody in.
func (s *Server) destination(r *http.Request, values url.Values) (destination, error) {
	to := destination{Client: values.Get("client")}
	for _, name := range []string{"client", "return_to", "max_age"} {
		if len(values[name]) > 1 {
			return to, badRequest("parameter %q is given twice", name)
		}
	}
	var err error
	to.ReturnTo, err = s.issuer.Clients().ReturnTo(r.Context(), to.Client, values.Get("return_to"), s.origins[0])
	return to, err
}

// of reports whether a session of that client is what the sign-in is for.
func (to destination) of(client string) bool {
	return client == to.Client || to.Client == "" && client == clients.Default
}

// Link is path with the parameters that lead to the same destination.
func (to destination) Link(path string) string {
	values := url.Values{}
	if to.Client != "" {
		values.Set("client", to.Client)
	}
	if page := to.ReturnTo.String(); page != "" {
		values.Set("return_to", page)
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// back is the destination of a page of this server, by its path without that of the issuer.
func (s *Server) back(r *http.Request, path string) destination {
	page, err := s.issuer.Clients().ReturnTo(r.Context(), "", s.base+path, s.origins[0])
	if err != nil {
		return destination{} // no browser asks for such a path
	}
	return destination{ReturnTo: page}
}

// whence is the destination of a visitor whose session ended before they sent a form.
func (s *Server) whence(r *http.Request) destination {
	to, err := s.destination(r, r.PostForm)
	if err != nil || to.ReturnTo.String() == "" {
		to = s.back(r, "/")
	}
	return to
}

// leave sends the visitor to the destination.
func (s *Server) leave(w http.ResponseWriter, to destination) {
	page := to.ReturnTo.String()
	if page == "" {
		page = s.base + "/"
	}
	// Not by http.Redirect, which would spell it in another way than was checked.
	w.Header().Set("Location", page)
	w.WriteHeader(http.StatusSeeOther)
}

// provePage has somebody who is signed in prove it again.
type provePage struct {
	frame
	Name string
}

const proveTitle = "Enter your password again"

// pageLogin shows the form, unless a program has sent somebody here who is signed in
// already: then the login must only be fresh enough.
func (s *Server) pageLogin(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	to, err := s.destination(r, query)
	if err != nil {
		return err
	}
	maxAge, fresh, err := maxAgeIn(query)
	if err != nil {
		return err
	}
	form := s.signInPage(to)
	if to.ReturnTo.String() == "" && !fresh {
		return s.render(w, http.StatusOK, "login.html", form)
	}
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		return s.render(w, http.StatusOK, "login.html", form)
	case err != nil:
		return err
	case !to.of(session.Client):
		return s.render(w, http.StatusOK, "login.html", form)
	}
	if fresh {
		err = s.issuer.Fresh(session.AuthTime, maxAge-onTheWay)
	}
	switch {
	case err == nil:
		s.leave(w, to)
		return nil
	case !errors.Is(err, counterfoil.ErrStepUp):
		return err
	}
	return s.prove(w, r, http.StatusOK, session, frame{To: to})
}

// onTheWay is how soon a login may be too old that is called fresh: the page that sent the
// visitor here must not find it too old when the visitor comes back, and send them again.
const onTheWay = 5 * time.Second

// maxAgeIn reads max_age: how many seconds old the login may be.
func maxAgeIn(query url.Values) (maxAge time.Duration, given bool, err error) {
	text := query.Get("max_age")
	if text == "" {
		return 0, false, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, false, badRequest("max_age is a number of seconds")
	}
	return time.Duration(seconds) * time.Second, true, nil
}

// prove asks for the password of session under what f says. Who has none here signs in.
func (s *Server) prove(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame) error {
	name, password, err := s.nameOf(r, session)
	if err != nil {
		return err
	}
	if !password {
		page := s.signInPage(f.To)
		page.Problem = f.Problem
		return s.render(w, status, "login.html", page)
	}
	f.Title = proveTitle
	return s.render(w, status, "prove.html", provePage{f, name})
}

// signedOut reports whether err means that nobody is signed in.
func signedOut(err error) bool {
	return errors.Is(err, counterfoil.ErrInvalidToken) || errors.Is(err, source.ErrMultipleCredentials) || errors.Is(err, counterfoil.ErrNoCredential)
}

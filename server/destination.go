package server

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/source"
)

// destination is where a sign-in leads. The zero one is the account page. Each step of a
// sign-in has it in its form, and checks it again.
type destination struct {
	Client   string // whose session it will be; empty: the default one's
	ReturnTo clients.ReturnTo
	Origin   string // where that ends, if it is not here
	Kept     string // what was typed into the form that ReturnTo is, see keep
}

// destination reads the parameters client and return_to, and of a form also kept. It comes before a credential is
// looked at: a link with a wrong return_to signs nobody in.
func (s *Server) destination(r *http.Request, values url.Values) (destination, error) {
	to := destination{Client: values.Get("client")}
	if r.Method == http.MethodPost { // of one of our own pages
		to.Kept = values.Get("kept")
	}
	for _, name := range []string{"client", "return_to", "max_age"} {
		if len(values[name]) > 1 {
			return to, badRequest("parameter %q is given twice", name)
		}
	}
	var err error
	to.ReturnTo, err = s.issuer.Clients().ReturnTo(r.Context(), to.Client, values.Get("return_to"), s.origins[0])
	if err != nil {
		return to, err
	}
	to.Origin = to.ReturnTo.Origin()
	h, err := s.handoverIn(r, to.ReturnTo)
	if err != nil {
		return destination{}, err
	}
	if h != nil {
		to.Origin = h.callback.Origin()
	}
	return to, nil
}

// of reports whether a session of that client is what the sign-in is for.
func (to destination) of(client string) bool {
	return client == to.Client || to.Client == "" && client == clients.Default
}

// Link is path with the parameters that lead to the same destination, without what was kept.
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

// signedOut reports whether err means that nobody is signed in.
func signedOut(err error) bool {
	return errors.Is(err, counterfoil.ErrInvalidToken) || errors.Is(err, source.ErrMultipleCredentials) || errors.Is(err, counterfoil.ErrNoCredential)
}

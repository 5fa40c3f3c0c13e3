package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// setCookies gives the browser its copy. The strings are written out because they
// are the contract (SES-06): the prefix makes a browser refuse such a cookie from
// a subdomain, from plain http or from a script. Both live as long as the login
// may; the copy inside dies earlier and is refreshed.
func (s *Server) setCookies(w http.ResponseWriter, i *issuer.Issued) {
	age := max(int(i.SessionExpires.Sub(s.now())/time.Second), 1)
	name, refreshName := s.cookieNames()
	sameSite := "Lax"
	if i.SameSite == clients.SameSiteStrict {
		sameSite = "Strict"
	}
	setCookie(w, name, i.Access.Reveal(), sameSite, age)
	if refresh := i.Refresh.Reveal(); refresh != "" {
		setCookie(w, refreshName, refresh, "Strict", age) // no link from elsewhere ever needs it
	} else {
		setCookie(w, refreshName, "", "Strict", 0) // one of an earlier login by another carrier
	}
}

// wantsRefreshCookie reports whether a page asks for the refresh token as a cookie, where none of
// its scripts can read it, and the browser keeps it: see [keepsCookie].
func wantsRefreshCookie(r *http.Request) bool {
	return r.Header.Get(api.RefreshHeader) == "cookie" && r.Header.Get("Sec-Fetch-Site") != "cross-site"
}

// setRefreshCookie gives a browser the refresh token of a session whose access token is in a header.
// The cookie of an access copy is cleared: it is of the login before this one, and two credentials
// in one request are refused.
func (s *Server) setRefreshCookie(w http.ResponseWriter, i *issuer.Issued) {
	name, refreshName := s.cookieNames()
	setCookie(w, refreshName, i.Refresh.Reveal(), "Strict", max(int(i.SessionExpires.Sub(s.now())/time.Second), 1))
	setCookie(w, name, "", "Lax", 0)
}

// clearCookies takes both copies away. It is called when the login is over, never
// when it is merely unknown whether it is.
func (s *Server) clearCookies(w http.ResponseWriter) {
	name, refreshName := s.cookieNames()
	setCookie(w, refreshName, "", "Strict", 0)
	setCookie(w, name, "", "Lax", 0) // last: curl 7.88 keeps all but the last in its file
}

// clearEnded takes both away if err says that the login is over. A copy that has expired, or
// whose claims have changed, says nothing about the refresh token beside it.
func (s *Server) clearEnded(w http.ResponseWriter, err error) {
	invalid := errors.Is(err, counterfoil.ErrInvalidToken) && !errors.Is(err, counterfoil.ErrExpired) && !errors.Is(err, counterfoil.ErrStaleClaims)
	if invalid || errors.Is(err, source.ErrMultipleCredentials) {
		s.clearCookies(w)
	}
}

func setCookie(w http.ResponseWriter, name, value, sameSite string, age int) {
	w.Header().Add("Set-Cookie", request.SetCookie(name, value, sameSite, age))
}

// inCookies returns the sessions that the cookies of r are of, whether or not they are over, for what
// takes these cookies away. It leaves out what the page that sent r could not sign out: of another
// site, or of another client than the session (CSRF-07, REF-06). Its error is an outage.
func (s *Server) inCookies(r *http.Request) (all []*counterfoil.Session, err error) {
	access, refresh := s.cookieNames()
	for _, cookie := range []struct {
		name string
		held func(context.Context, string) (*counterfoil.Session, error)
	}{{access, s.issuer.Held}, {refresh, s.issuer.HeldByRefresh}} {
		value, ok := onlyCookie(r, cookie.name)
		if !ok {
			continue
		}
		found, err := cookie.held(r.Context(), value)
		if err == nil {
			err = s.checkSite(r, found)
		}
		if errors.Is(err, counterfoil.ErrUnavailable) {
			return nil, err
		}
		if err != nil {
			continue // it names nothing, or is not for this page to end
		}
		held := *found
		held.Carrier.Transport = counterfoil.Cookie
		all = append(all, &held)
	}
	return all, nil
}

// refreshCookie returns the refresh token that r carries by cookie, if exactly one.
func (s *Server) refreshCookie(r *http.Request) (string, error) {
	_, name := s.cookieNames()
	value, n, err := request.Cookies(r, name)
	switch {
	case err != nil:
		return "", err
	case n == 0:
		return "", counterfoil.ErrNoCredential
	case n > 1:
		return "", source.ErrMultipleCredentials
	}
	return value, nil
}

// onlyCookie returns the cookie of that name, if there is exactly one.
func onlyCookie(r *http.Request, name string) (value string, ok bool) {
	value, n, err := request.Cookies(r, name)
	if n != 1 || err != nil {
		return "", false
	}
	return value, true
}

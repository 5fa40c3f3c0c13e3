package server

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

func view(s *counterfoil.Session) api.Session {
	return api.Session{
		ID: s.ID, Subject: s.Subject, Client: s.Client, Carrier: s.Carrier, Roles: s.Roles, Scopes: s.Scopes,
		Methods: s.Methods, ACR: s.ACR, AuthTime: s.AuthTime.UTC().Truncate(time.Second), Expires: s.Expires.UTC(),
		Actor: s.Actor,
	}
}

func inBody(i *issuer.Issued) api.Issued {
	return api.Issued{
		AccessToken: i.Access.Reveal(), TokenType: "Bearer", ExpiresIn: int64(i.ExpiresIn / time.Second),
		RefreshToken: i.Refresh.Reveal(), Session: view(i.Session),
	}
}

// hand gives the caller its copy in the way that the carrier says. device may be empty. With
// refreshCookie, the refresh token of a session in a header goes into its cookie, and no script
// sees it (REF-09).
func (s *Server) hand(w http.ResponseWriter, status int, i *issuer.Issued, device secret.String, refreshCookie bool) error {
	if i.Session.Carrier.Transport != counterfoil.Cookie {
		body := inBody(i)
		body.Device = device.Reveal()
		if refreshCookie {
			s.setRefreshCookie(w, i)
			body.RefreshToken = ""
		}
		return writeJSON(w, status, body)
	}
	s.setCookies(w, i)
	return writeJSON(w, status, api.Issued{ExpiresIn: int64(i.ExpiresIn / time.Second), Session: view(i.Session)})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	var b loginBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := s.fromBrowser(r, b.Client); err != nil {
		return err
	}
	done, err := s.signIn(w, r, b)
	if err != nil {
		return err
	}
	return s.handOver(w, r, http.StatusOK, done)
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	var b api.Register[api.Hidden]
	if !s.registration {
		return &source.Problem{Status: http.StatusForbidden, Type: "registration-closed", Title: "Registration is closed"}
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if b.Method != "" || b.Input.Reveal() != "" {
		return badRequest("an account begins with a password")
	}
	if err := s.fromBrowser(r, b.Client); err != nil {
		return err
	}
	if _, err := s.ask(r, b.Login, act(w, r, "", "")); err != nil {
		return err
	}
	if err := s.signUp(w, r, b.Login, b.Name); err != nil {
		return err
	}
	done, err := s.signIn(w, r, b.Login)
	if err != nil {
		return err
	}
	return s.handOver(w, r, http.StatusCreated, done)
}

// signUp makes the account.
func (s *Server) signUp(w http.ResponseWriter, r *http.Request, b loginBody, name string) error {
	a := act(w, r, "", "")
	_, err := s.users.SignUp(r.Context(), a, b.Identifier, name, s.tongueOf(r).Code, b.Password.String)
	if login.Unchecked(err) {
		s.tellRefused(a, b.Client, s.pseudonym(b.Identifier), err)
	}
	return about(err, "", "password")
}

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) error {
	var b api.Refresh[api.Hidden]
	if r.ContentLength != 0 {
		if err := readJSON(r, &b); err != nil {
			return err
		}
	}
	if err := s.fromBrowser(r, b.Client); err != nil {
		return err
	}
	refresh, cookie := b.RefreshToken.Reveal(), false
	if refresh == "" {
		var err error
		if refresh, err = s.refreshCookie(r); err != nil {
			return err
		}
		if err := s.fromOrigin(r, b.Client); err != nil {
			return err
		}
		cookie = true
	}
	issued, err := s.issuer.Refresh(r.Context(), refresh, s.renewal(w, r, b.Client, b.Scope, b.RefreshNonce.Reveal()))
	if err != nil {
		// A page of one client must not sign its visitor out of another (REF-06), nor a
		// request that a step-up overtook out of the session that it stepped up.
		keep := errors.Is(err, issuer.ErrOtherClient) || errors.Is(err, issuer.ErrReplaced)
		if cookie && errors.Is(err, counterfoil.ErrInvalidToken) && !keep {
			s.clearCookies(w)
		}
		return err
	}
	return s.hand(w, http.StatusOK, issued, secret.String{}, cookie) // as it came
}

// renewal is what a refresh asks for, and who asks: the same for every route, or the answer to
// one would not be known at the other.
func (s *Server) renewal(w http.ResponseWriter, r *http.Request, client, scope, nonce string) issuer.Renewal {
	return issuer.Renewal{
		Client: client, Scopes: strings.Fields(scope), Act: act(w, r, "", ""),
		Nonce: nonce, Device: s.device(r), UserAgent: r.UserAgent(),
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.signOut(w, r); err != nil {
		return err
	}
	s.signedOut(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// signedOut takes away what the browser has of a login that is over.
func (s *Server) signedOut(w http.ResponseWriter) {
	s.clearCookies(w)
	if s.clearSiteData {
		w.Header().Set("Clear-Site-Data", `"cache", "cookies", "storage"`) // SES-20
	}
}

// signOut ends the session that r carries, by whatever old copy, and those of the cookies that go. One
// that is over already is signed out; an outage is an error, for the login is still there. acted says
// that it was an impersonation.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) (acted bool, err error) {
	session, err := s.carried(r, s.held)
	switch {
	case err == nil:
		others, err := s.inCookies(r)
		if err != nil {
			return false, err
		}
		for n, held := range append([]*counterfoil.Session{session}, others...) {
			if n > 0 && held.ID == session.ID {
				continue
			}
			if err := s.issuer.Logout(r.Context(), held, act(w, r, audit.BySubject(cmp.Or(held.Actor, held.Subject)), "")); err != nil {
				return false, err
			}
		}
		return session.Actor != "", nil
	case errors.Is(err, source.ErrDuplicateCookie):
		return false, err // which of them is the visitor's nobody knows (SES-08)
	case !errors.Is(err, counterfoil.ErrInvalidToken) && !errors.Is(err, counterfoil.ErrNoCredential):
		return false, err
	}
	// The access copy is gone, or its key is: the refresh cookie still names the login.
	refresh, none := s.refreshCookie(r)
	if none == nil {
		if err := s.fromOwnPage(r); err != nil {
			return false, err
		}
		return false, s.issuer.EndByRefresh(r.Context(), refresh, "", act(w, r, "", "logout"))
	}
	if errors.Is(err, counterfoil.ErrInvalidToken) {
		return false, nil
	}
	return false, err
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	session, err := s.visiting(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, view(session))
}

func (s *Server) sessions(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	page, err := s.sessionsOf(r, func(after string, limit int) ([]issuer.SessionRow, string, error) {
		return s.issuer.OwnSessions(r.Context(), session, after, limit)
	})
	if err != nil {
		return err
	}
	notices, err := s.issuer.Notices(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.OwnSessions{Current: session.ID, Sessions: page, Notices: viewNotices(notices)})
}

// sessionsOf reads the page that r asks for from a list of sessions.
func (s *Server) sessionsOf(r *http.Request, list func(after string, limit int) ([]issuer.SessionRow, string, error)) (answer api.Sessions, err error) {
	page, err := s.readPage(r)
	if err != nil {
		return answer, err
	}
	rows, next, err := list(page.after, page.limit)
	answer.Sessions, answer.Damaged = viewRows(rows)
	answer.Next = s.next(r.URL.Path, page, next)
	return answer, err
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	if err := s.issuer.EndOwn(r.Context(), session.Subject, r.PathValue("sid"), "", endedBySubject(w, r, session)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) endGrant(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	sid, client := r.PathValue("sid"), r.PathValue("client")
	if err := s.issuer.EndOwn(r.Context(), session.Subject, sid, client, endedBySubject(w, r, session)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) endHost(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	sid, host := r.PathValue("sid"), r.PathValue("host")
	if err := s.issuer.EndOwnHost(r.Context(), session.Subject, sid, host, endedBySubject(w, r, session)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func endedBySubject(w http.ResponseWriter, r *http.Request, session *counterfoil.Session) audit.Act {
	return act(w, r, audit.BySubject(session.Subject), "ended by its subject")
}

func (s *Server) dismissNotice(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	if err := s.issuer.Dismiss(r.Context(), session.Subject, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) endOthers(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	receipt, err := s.users.EndOthers(r.Context(), session, act(w, r, audit.BySubject(session.Subject), ""))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewReceipt(receipt))
}

func (s *Server) changePassword(w http.ResponseWriter, r *http.Request) error {
	var b api.NewPassword[api.Hidden]
	if err := readJSON(r, &b); err != nil {
		return err
	}
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	issued, err := s.newPassword(w, r, session, b.Current.String, b.Next.String)
	if err != nil {
		return about(err, "current", "next")
	}
	return s.hand(w, http.StatusOK, issued, secret.String{}, wantsRefreshCookie(r))
}

// newPassword changes the password of the caller, who goes on with another session by the
// same carrier.
func (s *Server) newPassword(w http.ResponseWriter, r *http.Request, session *counterfoil.Session, current, next secret.String) (*issuer.Issued, error) {
	a := act(w, r, audit.BySubject(session.Subject), "")
	ask := sessionRequest(r, session.Carrier, session.Client, a)
	ask.Scopes = session.Scopes
	if session.Carrier.Format == counterfoil.Opaque {
		ask.Carrier = counterfoil.CarrierCookie // whatever header it came by: an opaque id is handed out as a cookie
	}
	var err error
	if ask.Replaces, err = s.inCookies(r); err != nil {
		return nil, err
	}
	ask.RefreshCookie = wantsRefreshCookie(r)
	issued, err := s.users.ChangePassword(r.Context(), session, a, current, next, ask)
	return issued, wrongPassword("The current password is wrong", err)
}

// wrongPassword says in title what a login.ErrRefused means of somebody who is signed in: whose
// password it is they know, so there is nothing to find out.
func wrongPassword(title string, err error) error {
	if errors.Is(err, login.ErrRefused) {
		return &source.Problem{Status: http.StatusUnauthorized, Type: "login-refused", Title: title, Cause: err}
	}
	return err
}

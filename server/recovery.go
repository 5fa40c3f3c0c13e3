package server

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
)

// forgotPage asks whose password was forgotten.
type forgotPage struct {
	frame
	Identifier string // what was typed before
}

func forgot(f frame, identifier string) *forgotPage {
	f.Title = say("forgot.title")
	return &forgotPage{f, identifier}
}

// pageForgot is there where mail is sent.
func (s *Server) pageForgot(w http.ResponseWriter, r *http.Request) error {
	if !s.users.Mails() {
		return errNotFound
	}
	to, err := s.destination(r, r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "forgot.html", forgot(frame{To: to}, ""))
}

// codePage asks for a code that was mailed.
type codePage struct {
	frame
	Says   said   // where it was mailed
	Action string // where the form leads
	Handle string // what the code counts together with
	Again  string // path of the page that asks for another
}

func recoveryCodePage(f frame, handle string) *codePage {
	f.Title = say("code.title")
	return &codePage{f, say("forgot.sent"), "/forgot/code", handle, "/forgot"}
}

// pageRecover says the same for any name (LOGIN-07).
func (s *Server) pageRecover(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	if !s.users.Mails() {
		return errNotFound
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	identifier := r.PostForm.Get("identifier")
	handle, err := s.users.Recover(r.Context(), act(w, r, "", "forgot the password"), identifier, s.tongueOf(r).Code, s.device(r))
	if err != nil {
		status, text := s.refused(w, r, err)
		return s.render(w, r, status, "forgot.html", forgot(frame{Problem: text, Focus: fieldOf(err, "", ""), To: to}, identifier))
	}
	return s.render(w, r, http.StatusOK, "code.html", recoveryCodePage(frame{To: to}, handle.Reveal()))
}

// pageRecoveryCode leads from a code to the choice of a password.
func (s *Server) pageRecoveryCode(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	handle := r.PostForm.Get("handle")
	token, _, err := s.users.AnswerRecovery(r.Context(), act(w, r, "", "code"), secret.New(handle), r.PostForm.Get("code"))
	switch {
	case err == nil:
		return s.render(w, r, http.StatusOK, "welcome.html", welcome(frame{To: to}, token.Reveal(), false))
	case errors.Is(err, login.ErrOver):
		status, text := s.refused(w, r, wrongCode(err))
		return s.render(w, r, status, "forgot.html", forgot(frame{Problem: text, To: to}, ""))
	}
	status, text := s.refused(w, r, wrongCode(err))
	return s.render(w, r, status, "code.html", recoveryCodePage(frame{Problem: text, Focus: ofCode(err), To: to}, handle))
}

// ofCode is the field that a problem of a code is about.
func ofCode(err error) string {
	if errors.Is(err, login.ErrRefused) {
		return "code"
	}
	return ""
}

// addressPage is where mail for the visitor goes.
type addressPage struct {
	ownFrame
	Address, Typed string
	Verified       bool
	Renames        bool // the address is also what the visitor signs in with
}

func (s *Server) pageAddress(w http.ResponseWriter, r *http.Request) error {
	if !s.users.Mails() {
		return errNotFound
	}
	return s.ownPage(w, r, func(session *counterfoil.Session, _ ownFrame) error {
		return s.showAddress(w, r, http.StatusOK, session, frame{Done: s.done(w, r)}, "")
	})
}

// showAddress shows it under what f says. If the login is old, it asks for the password first.
func (s *Server) showAddress(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame, typed string) error {
	u, err := s.users.ByID(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	f.Title, f.Who, f.To = say("address.title"), u.Identifier, s.back(r, "/address")
	page := addressPage{
		ownFrame: ownFrame{frame: f, Password: u.Password != "", StepUp: s.users.AddressNeedsProof(session)}, Address: u.Address, Typed: typed,
		Verified: !u.Verified.IsZero(), Renames: u.Address != "" && u.Address == u.Identifier,
	}
	s.ofAccount(&page.frame, "/address", page.Password, session)
	return s.render(w, r, status, "address.html", &page)
}

func (s *Server) addressCodePage(session *counterfoil.Session, f frame, who string, password bool, sent said, handle string) *codePage {
	f.Title, f.Who = say("code.title"), who
	s.ofAccount(&f, "/address", password, session)
	return &codePage{f, sent, "/address/code", handle, "/address"}
}

// pageAskAddress mails a code and a link: to the address in the form, or to the one that the visitor has.
func (s *Server) pageAskAddress(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	if !s.users.Mails() {
		return errNotFound
	}
	u, err := s.users.ByID(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	typed := r.PostForm.Get("address")
	if typed == "" {
		typed = u.Address
	}
	handle, err := s.proveAddress(w, r, session, typed)
	if err != nil {
		status, text := s.refused(w, r, err)
		focus := ""
		switch {
		case errors.Is(err, counterfoil.ErrStepUp):
			text = nil // the page asks
		case errors.Is(err, directory.ErrBadAddress):
			focus = "address"
		}
		return s.showAddress(w, r, status, session, frame{Problem: text, Focus: focus}, typed)
	}
	return s.render(w, r, http.StatusOK, "code.html", s.addressCodePage(session, frame{}, u.Identifier, u.Password != "", say("address.sent", typed), handle.Reveal()))
}

// pageAddressCode proves an address by a code.
func (s *Server) pageAddressCode(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	handle := r.PostForm.Get("handle")
	shown := directory.Verification{Handle: secret.New(handle), Code: r.PostForm.Get("code"), User: session.Subject}
	done, err := s.users.VerifyAddress(r.Context(), endedBySubject(w, r, session), shown)
	switch {
	case err == nil:
		return s.finish(w, "/address", addressDeed(done), 0)
	case errors.Is(err, login.ErrOver), errors.Is(err, directory.ErrBadUser), errors.Is(err, directory.ErrTaken):
		status, text := s.refused(w, r, wrongCode(err))
		return s.showAddress(w, r, status, session, frame{Problem: text}, "")
	}
	status, text := s.refused(w, r, wrongCode(err))
	name, password, unread := s.nameOf(r, session)
	if unread != nil {
		return unread
	}
	page := s.addressCodePage(session, frame{Problem: text, Focus: ofCode(err)}, name, password, say("address.sent-there"), handle)
	return s.render(w, r, status, "code.html", page)
}

func addressDeed(done directory.Verified) deed {
	if done.Changed() {
		return addressChanged
	}
	return addressVerified
}

// linkPage has the button that uses the link of a mail: a program that looks at all links of a mail uses
// none (the token is the fragment, and a GET changes nothing). The script of the page puts the token into
// the form, or the visitor does.
type linkPage struct {
	frame
	Says, Do said
	Action   string
	Token    string
	Shows    bool // what the form leads to asks first
	Sure     bool // the page is that: the token was looked at
}

func confirmLink(f frame, token string) *linkPage {
	f.Title = say("confirm.title")
	return &linkPage{frame: f, Says: say("confirm.why"), Do: say("confirm.go-on"), Action: "/address/confirm", Token: token, Shows: true}
}

func undoLink(f frame, token string) *linkPage {
	f.Title = say("undo.title")
	return &linkPage{frame: f, Says: say("undo.why"), Do: say("undo.do"), Action: "/address/undo", Token: token}
}

func (s *Server) pageConfirm(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, "link.html", confirmLink(frame{}, ""))
}

func (s *Server) pageUndo(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, "link.html", undoLink(frame{}, ""))
}

// pageConfirmed proves an address by the link of a mail. It counts in a browser that is signed in to the
// account, which others sign in to first; then the page names account and address, and asks. A stranger may have
// asked for the mail, and its reader must not give the account of the stranger an address by a click.
func (s *Server) pageConfirmed(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	token, to := invitationIn(r.PostForm.Get("token")), s.back(r, "/address/confirm")
	session, err := s.signedIn(r)
	if err != nil && !signedOut(err) {
		return err
	}
	if to.Kept = r.PostForm.Get("kept"); to.Kept != "" && session != nil { // the visitor signed in meanwhile
		typed, _ := s.kept(to, session.Subject)
		token = typed.Get("token")
	}
	u, address, err := s.users.Verifies(r.Context(), secret.New(token))
	if err == nil && (session == nil || session.Subject != u.ID) {
		to, _ = s.keep(to, u.ID, url.Values{"token": {token}})
		return s.askToSignIn(w, r, http.StatusUnauthorized, to, say("problem.confirm-sign-in"))
	}
	if err == nil && r.PostForm.Get("sure") == "" {
		page := confirmLink(frame{Who: u.Identifier}, token)
		page.Says, page.Do, page.Shows, page.Sure = say("confirm.which", u.Identifier, address), say("confirm.do"), false, true
		return s.render(w, r, http.StatusOK, "link.html", page)
	}
	var done directory.Verified
	if err == nil {
		shown := directory.Verification{Token: secret.New(token), User: session.Subject}
		done, err = s.users.VerifyAddress(r.Context(), act(w, r, audit.BySubject(session.Subject), "link"), shown)
	}
	if err != nil {
		status, text := s.refused(w, r, wrongLink(err))
		return s.render(w, r, status, "link.html", confirmLink(frame{Problem: text, Focus: ofLink(err)}, token))
	}
	return s.finish(w, "/address", addressDeed(done), 0)
}

// pageUndone gives an address back, and leads to the choice of a password.
func (s *Server) pageUndone(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	token := invitationIn(r.PostForm.Get("token"))
	invitation, _, err := s.users.UndoAddress(r.Context(), act(w, r, "", "undone by mail"), secret.New(token))
	if err != nil {
		status, text := s.refused(w, r, wrongLink(err))
		return s.render(w, r, status, "link.html", undoLink(frame{Problem: text, Focus: ofLink(err)}, token))
	}
	s.clearCookies(w) // a session of this browser has ended, too
	return s.render(w, r, http.StatusOK, "welcome.html", welcome(frame{Done: say("undo.done")}, invitation.Reveal(), false))
}

// ofLink is the field that a problem of a link is about.
func ofLink(err error) string {
	if errors.Is(err, login.ErrRefused) || errors.Is(err, login.ErrOver) {
		return "token"
	}
	return ""
}

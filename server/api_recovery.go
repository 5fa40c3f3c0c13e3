package server

import (
	"errors"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

// recover mails a code and a link to the user who is named, and answers the same for any name (LOGIN-07).
func (s *Server) recover(w http.ResponseWriter, r *http.Request) error {
	var b api.Recover
	if err := s.fromBrowser(r, ""); err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	handle, err := s.users.Recover(r.Context(), act(w, r, "", "forgot the password"), b.Identifier, s.tongueOf(r).Code, s.device(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, api.Recovery{Recovery: handle.Reveal(), ExpiresIn: int64(directory.CodeTTL.Seconds())})
}

// recoveryCode gives a code for the token of an invitation.
func (s *Server) recoveryCode(w http.ResponseWriter, r *http.Request) error {
	var b api.RecoveryCode[api.Hidden]
	if err := s.fromBrowser(r, ""); err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	token, expires, err := s.users.AnswerRecovery(r.Context(), act(w, r, "", "code"), b.Recovery.String, b.Code.Reveal())
	if err != nil {
		return wrongCode(err)
	}
	return writeJSON(w, http.StatusOK, api.Choose{Token: token.Reveal(), Expires: expires.UTC()})
}

// wrongCode says what was wrong, in words for who typed a code or opened a link.
func wrongCode(err error) error {
	switch {
	case errors.Is(err, login.ErrOver):
		return &source.Problem{Status: http.StatusUnauthorized, Type: "code-over", Title: "This code is no longer good", Detail: "Ask for another.", Cause: err}
	case errors.Is(err, login.ErrRefused):
		return &source.Problem{Status: http.StatusUnauthorized, Type: "code-wrong", Title: "The code is wrong", Detail: "Look at the mail again. After five tries in all the code is dead.", Cause: err}
	}
	return err
}

// wrongLink is wrongCode for the token of a link.
func wrongLink(err error) error {
	if errors.Is(err, login.ErrOver) || errors.Is(err, login.ErrRefused) {
		return &source.Problem{Status: http.StatusUnauthorized, Type: "link-over", Title: "This link is no longer good", Detail: "It was used, its time has passed, a newer one was mailed, or it is for another account.", Cause: err}
	}
	return err
}

// address says where mail for the caller goes.
func (s *Server) address(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	u, err := s.users.ByID(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewAddress(u))
}

func viewAddress(u directory.User) api.Address {
	return api.Address{Address: u.Address, AddressVerified: !u.Verified.IsZero(), VerifiedAt: u.Verified}
}

// askAddress mails a code and a link to the address of the caller, or to the one that shall be.
func (s *Server) askAddress(w http.ResponseWriter, r *http.Request) error {
	var b api.AskAddress
	if err := readJSON(r, &b); err != nil {
		return err
	}
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	handle, err := s.proveAddress(w, r, session, b.Address)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, api.Confirmation{Confirmation: handle.Reveal(), ExpiresIn: int64(directory.CodeTTL.Seconds())})
}

// proveAddress mails a code and a link to an address; empty: to that of the subject of session.
func (s *Server) proveAddress(w http.ResponseWriter, r *http.Request, session *counterfoil.Session, address string) (handle secret.String, err error) {
	if address == "" {
		u, err := s.users.ByID(r.Context(), session.Subject)
		if err == nil && u.Address == "" {
			err = directory.ErrNoAddress
		}
		if err != nil {
			return handle, err
		}
		address = u.Address
	}
	asked, err := s.users.AskAddress(r.Context(), session, act(w, r, audit.BySubject(session.Subject), ""), address, s.tongueOf(r).Code)
	return asked.Handle, err
}

// confirmAddress takes the token of a link, or a code, from the user whose account it is for.
func (s *Server) confirmAddress(w http.ResponseWriter, r *http.Request) error {
	var b api.Confirm[api.Hidden]
	if err := readJSON(r, &b); err != nil {
		return err
	}
	shown := directory.Verification{Token: b.Token.String, Handle: b.Confirmation.String, Code: b.Code.Reveal()}
	token := b.Token.Reveal() != ""
	if token && (shown.Code != "" || shown.Handle.Reveal() != "") {
		return badRequest("send token, or confirmation and code")
	}
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	shown.User = session.Subject
	done, err := s.users.VerifyAddress(r.Context(), act(w, r, audit.BySubject(session.Subject), ""), shown)
	switch {
	case err != nil && token:
		return wrongLink(err)
	case err != nil:
		return wrongCode(err)
	}
	return writeJSON(w, http.StatusOK, viewAddress(done.User))
}

// undoAddress gives an address back, and lets the caller choose another password.
func (s *Server) undoAddress(w http.ResponseWriter, r *http.Request) error {
	var b api.UndoAddress[api.Hidden]
	if err := s.fromBrowser(r, ""); err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	token, expires, err := s.users.UndoAddress(r.Context(), act(w, r, "", "undone by mail"), b.Token.String)
	if err != nil {
		return wrongLink(err)
	}
	return writeJSON(w, http.StatusOK, api.Choose{Token: token.Reveal(), Expires: expires.UTC()})
}

// errNoMail is the answer where mail is needed, and is not configured.
var errNoMail = &source.Problem{Status: http.StatusNotImplemented, Type: "no-mail", Title: "This server sends no mail", Cause: accounts.ErrNoMail}

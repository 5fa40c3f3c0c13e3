package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

func viewUser(u directory.User) api.User {
	return api.User{
		ID: u.ID, Identifier: u.Identifier, Name: u.Name, Status: u.Status, Roles: append([]string{}, u.Roles...),
		HasPassword: u.Password != "", Created: u.Created.UTC(),
		Address: u.Address, AddressVerified: !u.Verified.IsZero(), VerifiedAt: u.Verified,
	}
}

func (s *Server) viewInvitation(token secret.String, expires time.Time) *api.Invitation {
	return &api.Invitation{Token: token.Reveal(), URL: s.linkOf(token), Expires: expires.UTC()}
}

// linkOf is the link of an invitation: under the configured URL, never the Host of a request
// (LOGIN-13). The token is the fragment: a browser sends it to nobody, so it is in no log and no
// Referer.
func (s *Server) linkOf(token secret.String) string { return s.url + "/welcome#" + token.Reveal() }

func (s *Server) adminUser(w http.ResponseWriter, r *http.Request, _ caller) error {
	u, err := s.user(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewUser(u))
}

func (s *Server) user(r *http.Request) (directory.User, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return directory.User{}, err
	}
	return s.users.ByID(r.Context(), id)
}

// pathID returns a path element that can be an id. Others name nothing.
func pathID(r *http.Request, name string) (string, error) {
	id := r.PathValue(name)
	if id == "" || id == "*" || check.Text("id", id, 200) != nil {
		return "", errNotFound
	}
	return id, nil
}

// adminCreateUser adds a user without a password, and the invitation to choose one: no
// administrator ever knows it (LOGIN-16).
func (s *Server) adminCreateUser(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.NewUser
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if b.Mail {
		u, expires, err := s.users.CreateInvitedByMail(r.Context(), who.actor, act(w, r, who.by, ""), s.newUser(b))
		if err != nil {
			return about(err, "", "")
		}
		return writeJSON(w, http.StatusCreated, api.Invited{User: viewUser(u), Invitation: &api.Invitation{MailedTo: u.Address, Expires: expires.UTC()}})
	}
	u, token, expires, err := s.users.CreateInvited(r.Context(), who.actor, act(w, r, who.by, ""), s.newUser(b))
	if err != nil {
		return about(err, "", "")
	}
	return writeJSON(w, http.StatusCreated, api.Invited{User: viewUser(u), Invitation: s.viewInvitation(token, expires)})
}

// newUser is the user of b.
func (s *Server) newUser(b api.NewUser) directory.User {
	return directory.User{Identifier: b.Identifier, Name: b.Name, Roles: b.Roles, Address: b.Address, Verified: s.verified(b.AddressVerified)}
}

// verified is when an address was proven, by the word of a caller who has proof of its own.
func (s *Server) verified(is bool) time.Time {
	if !is {
		return time.Time{}
	}
	return s.now().UTC().Truncate(time.Second)
}

// adminInvite begins a reset: the password that is there stays good until the
// invitation is used. One that is mailed is shown to the user alone (LOGIN-16).
func (s *Server) adminInvite(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	var b api.Invite
	if r.ContentLength != 0 {
		if err := readJSON(r, &b); err != nil {
			return err
		}
	}
	if b.Mail {
		to, expires, err := s.users.InviteByMail(r.Context(), who.actor, id, act(w, r, who.by, ""))
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusCreated, api.Invitation{MailedTo: to, Expires: expires.UTC()})
	}
	token, expires, err := s.users.Invite(r.Context(), who.actor, id, act(w, r, who.by, ""))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, s.viewInvitation(token, expires))
}

// adminChangeUser changes what is given and leaves the rest.
func (s *Server) adminChangeUser(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.ChangeUser
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	u, err := s.users.Update(r.Context(), who.actor, id, act(w, r, who.by, ""), func(u *directory.User) error {
		if b.Name != nil {
			u.Name = *b.Name
		}
		if b.Status != nil {
			u.Status = *b.Status
		}
		if b.Roles != nil {
			u.Roles = *b.Roles
		}
		if b.Address != nil && *b.Address != u.Address {
			u.Address, u.Verified = *b.Address, time.Time{}
		}
		if b.AddressVerified != nil && *b.AddressVerified == u.Verified.IsZero() {
			u.Verified = s.verified(*b.AddressVerified)
		}
		return nil
	})
	if err != nil {
		return about(err, "", "")
	}
	return writeJSON(w, http.StatusOK, viewUser(u))
}

// adminDeleteUser ends everything of a user, then forgets it.
func (s *Server) adminDeleteUser(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.users.Delete(r.Context(), who.actor, id, act(w, r, who.by, "user deleted")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// adminEndUndos makes sure that a user keeps the address of now.
func (s *Server) adminEndUndos(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.users.EndUndos(r.Context(), who.actor, id, act(w, r, who.by, "")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) adminUserSessions(w http.ResponseWriter, r *http.Request, _ caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	page, err := s.sessionsOf(r, func(after string, limit int) ([]issuer.SessionRow, string, error) {
		return s.issuer.Sessions(r.Context(), id, after, limit)
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, page)
}

func (s *Server) adminEndUserSessions(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	receipt, err := s.users.EndSessions(r.Context(), who.actor, id, act(w, r, who.by, "ended by an administrator"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewReceipt(receipt))
}

// adminImpersonate makes a session of a user for the administrator who asks. One in a cookie takes the
// place of the administrator's own, which is there until it ends: the impersonation ends with it. Its
// end leads to the sign-in.
func (s *Server) adminImpersonate(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.Impersonation
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	c, err := carrierOf(b.Carrier)
	if err != nil {
		return err
	}
	issued, err := s.users.Impersonate(r.Context(), who.actor, who.session, id, sessionRequest(r, c, b.Client, act(w, r, who.by, b.Reason)))
	if errors.Is(err, issuer.ErrProveAgain) {
		return &source.Problem{Status: http.StatusConflict, Type: "subject-disabled", Title: "The subject is disabled, or was changed meanwhile", Cause: err}
	}
	if err != nil {
		return err
	}
	if who.session.Carrier.Transport == counterfoil.Cookie {
		return s.hand(w, http.StatusCreated, issued, secret.String{}, false)
	}
	return writeJSON(w, http.StatusCreated, inBody(issued))
}

// redeem lets the holder of an invitation choose the password.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request) error {
	var b api.Redeem[api.Hidden]
	if err := s.fromBrowser(r, ""); err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := s.users.Redeem(r.Context(), act(w, r, "", "invitation"), b.Token.String, b.Identifier, b.Password.String); err != nil {
		return about(noInvitation(err), "token", "password")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkInvitation says whether an invitation can be used, and does not use it.
func (s *Server) checkInvitation(w http.ResponseWriter, r *http.Request) error {
	var b api.CheckInvitation[api.Hidden]
	if err := s.fromBrowser(r, ""); err != nil {
		return err
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	first, err := s.users.CheckInvitation(r.Context(), b.Token.String)
	if err != nil {
		return noInvitation(err)
	}
	if first {
		return writeJSON(w, http.StatusOK, api.Asks{Identifier: true})
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// noInvitation says that an invitation is no good, in words for who holds it.
func noInvitation(err error) error {
	if errors.Is(err, login.ErrRefused) && !errors.Is(err, directory.ErrUsed) {
		return &source.Problem{Status: http.StatusUnauthorized, Type: "login-refused", Title: "This invitation is no longer good", Detail: "Ask for another.", Cause: err}
	}
	return err
}

package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// userView is a user as the API shows it: whether there is a password, never which.
type userView struct {
	ID          string    `json:"id"`
	Identifier  string    `json:"identifier"`
	Name        string    `json:"name,omitempty"`
	Status      string    `json:"status"`
	Roles       []string  `json:"roles"`
	HasPassword bool      `json:"has_password"`
	Created     time.Time `json:"created"`
}

func viewUser(u directory.User) userView {
	return userView{u.ID, u.Identifier, u.Name, u.Status, append([]string{}, u.Roles...), u.Password != "", u.Created.UTC()}
}

// invitationView is shown once. Whoever has the token chooses the password.
type invitationView struct {
	Token   string    `json:"token"`
	URL     string    `json:"url"` // the page that redeems it
	Expires time.Time `json:"expires"`
}

func (s *Server) viewInvitation(token secret.String, expires time.Time) invitationView {
	// The configured URL, never the Host of a request (LOGIN-13).
	return invitationView{token.Reveal(), s.url + "/welcome?token=" + token.Reveal(), expires.UTC()}
}

func (s *Server) adminUsers(w http.ResponseWriter, r *http.Request, _ caller) error {
	page, err := s.readPage(r)
	if err != nil {
		return err
	}
	users, more, err := s.users.List(r.Context(), page.after, page.limit)
	if err != nil {
		return unavailable(err)
	}
	answer := struct {
		Users []userView `json:"users"`
		Next  string     `json:"next,omitempty"`
	}{Users: []userView{}}
	for _, u := range users {
		answer.Users = append(answer.Users, viewUser(u))
	}
	if more {
		answer.Next = s.next(r, page, users[len(users)-1].ID, more)
	}
	return writeJSON(w, http.StatusOK, answer)
}

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
	if id == "" || id == "*" || len(id) > 200 {
		return "", errNotFound
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return "", errNotFound
		}
	}
	return id, nil
}

// adminCreateUser adds a user without a password, and the invitation to choose one: no
// administrator ever knows it (LOGIN-16).
func (s *Server) adminCreateUser(w http.ResponseWriter, r *http.Request, who caller) error {
	var b struct {
		Identifier string   `json:"identifier"`
		Name       string   `json:"name"`
		Roles      []string `json:"roles"`
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	u, token, expires, err := s.users.CreateInvited(r.Context(), act(w, r, who.by, ""), directory.User{Identifier: b.Identifier, Name: b.Name, Roles: b.Roles})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, struct {
		User       userView       `json:"user"`
		Invitation invitationView `json:"invitation"`
	}{viewUser(u), s.viewInvitation(token, expires)})
}

// adminInvite begins a reset: the password that is there stays good until the
// invitation is used.
func (s *Server) adminInvite(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	token, expires, err := s.users.Invite(r.Context(), id, act(w, r, who.by, ""))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, s.viewInvitation(token, expires))
}

// adminChangeUser changes what is given and leaves the rest. What is taken away is
// taken from the sessions first, and what is given they get last: if a step fails,
// nobody has more than is written, and doing it again finishes it.
func (s *Server) adminChangeUser(w http.ResponseWriter, r *http.Request, who caller) error {
	var b struct {
		Name   *string   `json:"name"`
		Status *string   `json:"status"`
		Roles  *[]string `json:"roles"`
	}
	if _, err := s.user(r); err != nil {
		return err
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	u, err := s.user(r)
	if err != nil {
		return err
	}
	before := u
	change := func(u *directory.User) error {
		if b.Name != nil {
			u.Name = *b.Name
		}
		if b.Status != nil {
			u.Status = *b.Status
		}
		if b.Roles != nil {
			u.Roles = append([]string{}, *b.Roles...)
		}
		return nil
	}
	_ = change(&u)
	if err := u.Check(); err != nil {
		return err
	}
	a := act(w, r, who.by, "")
	kept := slices.DeleteFunc(append([]string{}, u.Roles...), func(role string) bool { return !slices.Contains(before.Roles, role) })
	disables := b.Status != nil && u.Status == directory.Disabled
	if disables || (b.Roles != nil && len(kept) < len(before.Roles)) {
		if err := s.issuer.SetSubject(r.Context(), u.ID, a, func(to *issuer.Subject) {
			to.Disabled = to.Disabled || disables
			if b.Roles != nil {
				give(to, kept)
			}
		}); err != nil {
			return err
		}
	}
	if err := s.users.Update(r.Context(), u.ID, a.Entry(audit.ChangeUser, u.ID), change); err != nil {
		return err
	}
	if b.Status != nil || b.Roles != nil {
		if err := s.align(r.Context(), u.ID, a, b.Roles != nil); err != nil {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, viewUser(u))
}

// give sets the roles of a subject's sessions. Who becomes an administrator signs in
// anew: a session from before may be in other hands, or was made by a program that must
// not make one of an administrator (SES-04).
func give(to *issuer.Subject, roles []string) {
	to.EndSessions = slices.Contains(roles, roleAdmin) && !slices.Contains(to.Roles, roleAdmin)
	to.Roles = append([]string{}, roles...)
}

// align makes what is in force for the sessions of a user what is written of it: what
// this call wrote, or another server on the same store in between. Roles that the issuer
// was never told stay those of each login, unless told says that it is to know them.
func (s *Server) align(ctx context.Context, id string, a audit.Act, told bool) error {
	for {
		u, err := s.users.ByID(ctx, id)
		gone := errors.Is(err, store.ErrNotFound)
		if err != nil && !gone {
			return err
		}
		held, err := s.issuer.Subject(ctx, id)
		if err != nil {
			return err
		}
		disabled, roles := gone || u.Status == directory.Disabled, !gone && (told || held.ClaimsVersion > 0)
		if held.Disabled == disabled && (!roles || held.ClaimsVersion > 0 && slices.Equal(held.Roles, u.Roles)) {
			return nil
		}
		if err := s.issuer.SetSubject(ctx, id, a, func(to *issuer.Subject) {
			to.Disabled = disabled
			if roles {
				give(to, u.Roles)
			}
		}); err != nil {
			return err
		}
	}
}

// adminDeleteUser ends everything of a user, then forgets it.
func (s *Server) adminDeleteUser(w http.ResponseWriter, r *http.Request, who caller) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	u, err := s.user(r)
	if err != nil {
		return err
	}
	a := act(w, r, who.by, "user deleted")
	if err := s.issuer.SetSubject(r.Context(), u.ID, a, func(to *issuer.Subject) { to.Disabled = true }); err != nil {
		return err
	}
	if err := s.users.Delete(r.Context(), u.ID, a); err != nil {
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
	rows, err := s.issuer.Sessions(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string][]rowView{"sessions": viewRows(rows)})
}

func (s *Server) adminEndUserSessions(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	receipt, err := s.issuer.Revoke(r.Context(), source.ScopeSubject, id, act(w, r, who.by, "ended by an administrator"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewReceipt(receipt))
}

// redeem lets whoever holds an invitation choose the password. Whoever was signed in
// before is out (LOGIN-12).
func (s *Server) redeem(w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Token    secretText `json:"token"`
		Password secretText `json:"password"`
	}
	if err := s.fromBrowser(r, ""); err != nil {
		return err
	}
	if err := readJSON(w, r, &b); err != nil {
		return err
	}
	if err := s.choose(w, r, b.Token.String, b.Password.String); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// choose sets the password of whoever holds an invitation, and ends the sessions
// that the old one may have opened.
func (s *Server) choose(w http.ResponseWriter, r *http.Request, token, next secret.String) error {
	u, err := s.passwords.Redeem(r.Context(), act(w, r, "", "invitation"), token, next)
	if err != nil {
		s.tellPassword(act(w, r, "unknown", ""), "", err)
		return err
	}
	ctx := context.WithoutCancel(r.Context()) // the password is another one already
	_, err = s.issuer.Revoke(ctx, source.ScopeSubject, u.ID, act(w, r, audit.BySubject(u.ID), "password chosen"))
	return err
}

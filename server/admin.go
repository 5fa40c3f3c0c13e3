package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
)

// caller is who asks for administration.
type caller struct {
	by    string            // as audit.Act.By
	key   *directory.APIKey // nil: an administrator
	actor rights.Actor      // its rights

	session *counterfoil.Session // of an administrator; nil: another credential

	again func() (caller, error) // asks again whether the caller may do this; nil: nothing can change that
}

// still returns an error when the caller may not do any more what it was let through for: its
// credential has ended, or lost the role. What takes long asks again and again. From then on the caller
// has the rights of now, which may be fewer.
func (c *caller) still() error {
	if c.again == nil {
		return nil
	}
	now, err := c.again()
	if err == nil {
		c.actor = now.actor
	}
	return err
}

// adminAction is an action of somebody who has been let through.
type adminAction func(w http.ResponseWriter, r *http.Request, who caller) error

// adminRoute is an action, and who may do it. Package accounts says who has the right. A
// route that names none is nobody's.
type adminRoute struct {
	right rights.Right
	do    adminAction
	scope string // of API keys that may do it without the right; empty: none
}

// forAdmins lets administrators with the right through, and nobody else.
func (s *Server) forAdmins(route adminRoute) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.admin(r, route)
		if err != nil {
			return err
		}
		who.again = func() (caller, error) { return s.admin(r, route) }
		err = route.do(w, r, who)
		for _, kind := range []error{counterfoil.ErrForbidden, accounts.ErrAdminRole, accounts.ErrOtherClient, accounts.ErrLastAdministrator} {
			if errors.Is(err, kind) {
				return denied{err, who.by}
			}
		}
		return err
	}
}

// admin says who an administrator is: an API key with a scope for the route, or a session whose
// subject may administer.
func (s *Server) admin(r *http.Request, route adminRoute) (caller, error) {
	scopes := accounts.ScopesWith(route.right)
	if route.scope != "" {
		scopes = append(scopes, route.scope)
	}
	if key, err := s.key(r, scopes...); err == nil {
		return caller{by: audit.ByKey(key.Client), key: &key, actor: accounts.OfKey(key)}, nil
	} else if !errors.Is(err, counterfoil.ErrNoCredential) && !errors.Is(err, counterfoil.ErrInvalidToken) {
		return caller{}, err
	}
	session, err := s.carried(r, s.issuer.Administration)
	if err != nil {
		return caller{}, err
	}
	by := audit.BySubject(session.Subject)
	actor, err := s.users.Administer(session, route.right)
	if err != nil && errors.Is(err, counterfoil.ErrForbidden) {
		return caller{}, denied{err, by}
	}
	if session.Carrier.Transport == counterfoil.Cookie {
		if err := unformed(r); err != nil {
			return caller{}, err
		}
	}
	if err != nil {
		return caller{}, err
	}
	return caller{by: by, actor: actor, session: session}, nil
}

// LocalAdmin serves /v1/admin to every caller that can reach it, and the public route by which a
// command sets a password with an invitation: without the path of the issuer. The transport is the
// authentication: a Unix socket that only its owner can open, or a call inside the program.
// It must never be reachable from a network. It is how the first administrator comes to be
// (LOGIN-15): there are no default accounts.
//
// by names the actor of a request, see audit.ByLocal and audit.ByLocalUser.
func (s *Server) LocalAdmin(by func(*http.Request) string) http.Handler {
	mux := http.NewServeMux()
	for pattern, route := range s.adminRoutes() {
		mux.Handle(pattern, s.api(limited(maxAdminBody, exact(pattern, func(w http.ResponseWriter, r *http.Request) error {
			return route.do(w, r, caller{by: by(r), actor: rights.Owner()})
		}))))
	}
	mux.Handle("POST /v1/invitations", s.api(limited(maxBody, exact("POST /v1/invitations", s.redeem))))
	next := s.guard(s.misses(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), onMachine{}, true)))
	})
}

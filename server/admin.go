package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/request"
)

// adminFresh is how old the login of an administrator may be who changes something: a
// session that was left open, or stolen, reads at most.
const adminFresh = time.Hour

// caller is who asks for administration.
type caller struct {
	by  string            // as audit.Act.By
	key *directory.APIKey // nil: an administrator

	again func() error // asks again whether the caller may do this; nil: nothing can change that
}

// still returns an error when the caller may not do any more what it was let through for: its
// credential has ended, or lost the role. What takes long asks again and again.
func (c caller) still() error {
	if c.again == nil {
		return nil
	}
	return c.again()
}

// adminAction is an action of somebody who has been let through.
type adminAction func(w http.ResponseWriter, r *http.Request, who caller) error

// adminRoute is an action and the scopes of API keys, beside admin, that may do it.
type adminRoute struct {
	do     adminAction
	scopes []string
}

// forAdmins lets administrators through, and nobody else.
func (s *Server) forAdmins(route adminRoute) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		scopes := append([]string{directory.ScopeAdmin}, route.scopes...)
		who, err := s.admin(r, scopes...)
		if err != nil {
			return err
		}
		who.again = func() error {
			_, err := s.admin(r, scopes...)
			return err
		}
		return route.do(w, r, who)
	}
}

// admin says who an administrator is: an API key with one of scopes, or a session
// with the role, whose login is fresh if something is to be changed.
func (s *Server) admin(r *http.Request, scopes ...string) (caller, error) {
	if key, err := s.key(r, scopes...); err == nil {
		return caller{by: audit.ByKey(key.Client), key: &key}, nil
	} else if !errors.Is(err, counterfoil.ErrNoCredential) && !errors.Is(err, counterfoil.ErrInvalidToken) {
		return caller{}, err
	}
	session, err := s.carried(r, s.issuer.Administration)
	if err != nil {
		return caller{}, err
	}
	if !session.HasRole(accounts.RoleAdmin) {
		return caller{}, denied{errForbidden, audit.BySubject(session.Subject)}
	}
	if session.Carrier.Transport == counterfoil.Cookie {
		if err := unformed(r); err != nil {
			return caller{}, err
		}
	}
	if request.Unsafe(r.Method) {
		if err := s.issuer.Fresh(session.AuthTime, adminFresh); err != nil {
			return caller{}, err
		}
	}
	return caller{by: audit.BySubject(session.Subject)}, nil
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
		mux.Handle(pattern, s.api(limited(maxAdminBody, func(w http.ResponseWriter, r *http.Request) error {
			return route.do(w, r, caller{by: by(r)})
		})))
	}
	mux.Handle("POST /v1/invitations", s.api(limited(maxBody, s.redeem)))
	next := s.guard(s.misses(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), onMachine{}, true)))
	})
}

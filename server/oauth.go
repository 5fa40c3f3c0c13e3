package server

import (
	"errors"
	"net/http"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

func (s *Server) jwks(w http.ResponseWriter, r *http.Request) error {
	keys, err := s.issuer.Keys(r.Context())
	if err != nil {
		return store.Outage(err)
	}
	h := w.Header()
	public(w)
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.Write(keys)
	return nil
}

// metadata is RFC 8414: what this server has, and nothing that it has not.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	public(w)
	return writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                s.url,
		"jwks_uri":                              s.url + "/.well-known/jwks.json",
		"token_endpoint":                        s.url + "/oauth/token",
		"introspection_endpoint":                s.url + "/oauth/introspect",
		"revocation_endpoint":                   s.url + "/oauth/revoke",
		"response_types_supported":              []string{},
		"grant_types_supported":                 []string{"refresh_token", tokenExchange},
		"token_endpoint_auth_methods_supported": append([]string{"none"}, secretMethods...),
		"introspection_endpoint_auth_methods_supported": secretMethods,
		"revocation_endpoint_auth_methods_supported":    append([]string{"none"}, secretMethods...),
	})
}

// secretMethods are the ways in which a client shows its secret, see [shows].
var secretMethods = []string{"client_secret_basic", "client_secret_post"}

// introspect is RFC 7662. Whatever is not a live credential that is meant for the
// caller gets the same bytes: garbage, expired, revoked and somebody else's cannot
// be told apart (INTRO-01).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	key, err := s.key(r, directory.ScopeIntrospect)
	if err != nil {
		return err
	}
	look := s.issuer.Lookup
	if key.IntrospectionExp == directory.ExpBound {
		look = s.issuer.LookupBounded
	}
	session, err := look(r.Context(), r.PostForm.Get("token"))
	switch {
	case errors.Is(err, counterfoil.ErrInvalidToken), err == nil && !meantFor(session, key.Audience):
		return s.introspected(w, r, key.Client, source.Introspection{})
	case err != nil:
		return store.Outage(err)
	}
	return s.introspected(w, r, key.Client, source.Introspection{Session: session})
}

// signedIntrospection is the media type of RFC 9701.
const signedIntrospection = "application/token-introspection+jwt"

// introspected answers as JSON, or signed if the caller asks for that and can check it.
func (s *Server) introspected(w http.ResponseWriter, r *http.Request, client string, answer source.Introspection) error {
	w.Header().Add("Vary", "Accept")
	if !request.Accepts(r, signedIntrospection, "application/json") {
		return writeJSON(w, http.StatusOK, answer)
	}
	signed, err := s.issuer.SignedIntrospection(answer, client)
	if err != nil {
		return err
	}
	if signed == "" {
		return writeJSON(w, http.StatusOK, answer)
	}
	w.Header().Set("Content-Type", signedIntrospection)
	_, _ = w.Write([]byte(signed))
	return nil
}

// revokeToken is RFC 7009. The holder of a credential may give it up, so no
// further authentication is asked for, see [Server.clientOf]. What is unknown is as good as revoked: 200.
// A write that did not happen is never a 200 (RVK-01).
func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	value := r.PostForm.Get("token")
	if value == "" {
		return badRequest("token is missing")
	}
	client, by, err := s.clientOf(r)
	if err != nil {
		return err
	}
	err = s.issuer.GiveUp(r.Context(), value, client, act(w, r, by, "revoked by its holder"))
	if _, throttled := errors.AsType[login.Throttled](err); throttled {
		return err
	}
	if err != nil {
		return store.Outage(err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// meantFor reports whether s is for one of audience; an API key that is bound to
// no audience may ask about all.
func meantFor(s *counterfoil.Session, audience []string) bool {
	return len(audience) == 0 || slices.ContainsFunc(s.Audience, func(a string) bool { return slices.Contains(audience, a) })
}

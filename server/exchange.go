package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
)

// Names of RFC 8693.
const (
	tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessToken   = "urn:ietf:params:oauth:token-type:access_token"
)

var (
	errSubjectToken = errors.New("subject_token is not good")
	errExchange     = errors.New("no token of that client is issued")
)

// targets are whom the token is asked for. A parameter without a value is one that was left out
// (RFC 6749 section 3.2).
func targets(form url.Values) []string {
	return slices.DeleteFunc(slices.Concat(form["audience"], form["resource"]), func(s string) bool { return s == "" })
}

// exchange is RFC 8693: a program that sits between browsers and a service gets a token for the service
// in exchange for what the cookie of a browser holds. The parameter client names whose token it is;
// without it, it is the first client of the API key. The parameters audience, resource and scope are for
// callers that say what they expect: another token than that is refused.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) error {
	form := r.PostForm
	for name, want := range map[string]string{"subject_token_type": accessToken, "requested_token_type": accessToken, "actor_token": ""} {
		if got := form.Get(name); got != want && (got != "" || name == "subject_token_type") {
			return badRequest("%s: want %q", name, want)
		}
	}
	if form.Get("subject_token") == "" {
		return badRequest("subject_token is missing")
	}
	key, err := s.key(r, directory.ScopeExchange)
	if err != nil {
		return err
	}
	ask := issuer.Request{
		Client: form.Get("client"), Scopes: strings.Fields(form.Get("scope")), Audience: targets(form),
		Act: act(w, r, audit.ByKey(key.Client), ""),
	}
	issued, err := s.users.Exchange(r.Context(), form.Get("subject_token"), ask, &key)
	switch {
	case errors.Is(err, counterfoil.ErrInvalidToken):
		return fmt.Errorf("%w: %w", errSubjectToken, err)
	case errors.Is(err, clients.ErrUnknown), errors.Is(err, clients.ErrDisabled), errors.Is(err, clients.ErrCarrier):
		return fmt.Errorf("%w: %w", errExchange, err)
	case err != nil:
		return err
	}
	return writeJSON(w, http.StatusOK, api.Token{
		AccessToken: issued.Access.Reveal(), TokenType: "Bearer", ExpiresIn: int64(issued.ExpiresIn / time.Second),
		Scope: strings.Join(issued.Session.Scopes, " "), IssuedTokenType: accessToken,
	})
}

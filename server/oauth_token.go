package server

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// token is the token endpoint of RFC 6749 section 3.2, for clients that refresh, and for programs that
// exchange the cookies of browsers. There is no other grant.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	form := r.PostForm
	if form.Get("grant_type") == tokenExchange {
		return s.exchange(w, r)
	}
	client, _, err := s.clientOf(r)
	if err != nil {
		return err
	}
	if err := s.fromBrowser(r, client); err != nil {
		return err
	}
	switch form.Get("grant_type") {
	case "refresh_token":
	case "":
		return badRequest("grant_type is missing")
	default:
		return &source.Problem{Status: http.StatusBadRequest, Type: "unsupported_grant_type", Title: "Unsupported grant type"}
	}
	if form.Get("refresh_token") == "" {
		return badRequest("refresh_token is missing")
	}
	ask := s.renewal(w, r, client, form.Get("scope"), form.Get("refresh_nonce"))
	issued, err := s.issuer.Refresh(r.Context(), form.Get("refresh_token"), ask)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.Token{
		AccessToken: issued.Access.Reveal(), TokenType: "Bearer", ExpiresIn: int64(issued.ExpiresIn / time.Second),
		RefreshToken: issued.Refresh.Reveal(), Scope: strings.Join(issued.Session.Scopes, " "),
	})
}

// oauth adapts an action whose errors are answered as RFC 6749 section 5.2 says
// (OPS-05).
func (s *Server) oauth(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := do(w, r)
		if err == nil {
			return
		}
		p := s.explainLogged(w, r, err)
		code, status := oauthCode(err, p)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		if status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Basic realm="oauth"`)
		}
		if p.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(int(p.Wait().Seconds())))
		}
		answer := map[string]string{"error": code}
		if p.Detail != "" && code == "invalid_request" {
			answer["error_description"] = strings.Map(descriptive, p.Detail)
		}
		_ = writeJSON(w, status, answer)
	})
}

// oauthCode is the one place that says which error of RFC 6749 an answer is.
func oauthCode(err error, p *source.Problem) (code string, status int) {
	switch {
	case p.Type == "unsupported_grant_type":
		return p.Type, http.StatusBadRequest
	case errors.Is(err, errExchange), errors.Is(err, issuer.ErrOwnClient), errors.Is(err, issuer.ErrTarget): // RFC 8693 section 2.2.2
		return "invalid_target", http.StatusBadRequest
	case errors.Is(err, errSubjectToken):
		return "invalid_request", http.StatusBadRequest
	case errors.Is(err, clients.ErrUnknown), errors.Is(err, clients.ErrDisabled):
		return "invalid_client", http.StatusBadRequest
	case errors.Is(err, clients.ErrScope):
		return "invalid_scope", http.StatusBadRequest
	case errors.Is(err, errKey), errors.Is(err, counterfoil.ErrNoCredential):
		return "invalid_client", http.StatusUnauthorized
	case errors.Is(err, counterfoil.ErrInvalidToken):
		return "invalid_grant", http.StatusBadRequest
	case p.Status == http.StatusForbidden:
		return "unauthorized_client", p.Status
	case p.Status == http.StatusServiceUnavailable, p.Status == http.StatusTooManyRequests:
		return "temporarily_unavailable", p.Status
	case p.Status >= 500:
		return "server_error", p.Status
	}
	return "invalid_request", p.Status
}

// descriptive keeps the characters that an error_description may have.
func descriptive(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return '\''
	}
	return r
}

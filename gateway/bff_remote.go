package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/counterfoil/counterfoil"
)

// RemoteExchange returns the exchange of the auth server at issuerURL (RFC 8693), by an API key with the
// scope sessions:exchange whose clients include those of the routes. It connects to the addresses that
// counterfoil.Remote does.
func RemoteExchange(issuerURL, apiKey string, allow []netip.Prefix) (Exchange, error) {
	r, err := newRemote(issuerURL, apiKey, allow)
	if err != nil {
		return nil, err
	}
	return r.exchange, nil
}

func (s *remote) exchange(ctx context.Context, cookie, client string) (Token, error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {cookie},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"client":             {client},
	}
	status, data, err := s.post(ctx, "/oauth/token", typeForm, form.Encode(), true)
	if err != nil {
		return Token{}, err
	}
	var answer struct {
		Token string `json:"access_token"`
		Life  int64  `json:"expires_in"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return Token{}, fmt.Errorf("the auth server answers %d, and what makes no sense: %w", status, err)
	}
	switch {
	case status == http.StatusOK && answer.Token != "":
		return Token{answer.Token, time.Duration(answer.Life) * time.Second}, nil
	case status == http.StatusBadRequest && answer.Error == "invalid_request": // RFC 8693 section 2.2.2
		return Token{}, counterfoil.ErrInvalidToken
	case answer.Error == "invalid_client", answer.Error == "unauthorized_client":
		return Token{}, fmt.Errorf("the auth server does not let this API key exchange cookies (%d): it needs the scope sessions:exchange, and --sessions-of with the client %s", status, client)
	case answer.Error == "invalid_target":
		return Token{}, fmt.Errorf("the auth server issues no token of the client %s: it is not registered, is disabled, has no carrier bearer, or is the client that people sign in to", client)
	}
	return Token{}, fmt.Errorf("the auth server answers %d %.40q", status, answer.Error)
}

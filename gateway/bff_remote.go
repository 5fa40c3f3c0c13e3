package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/dial"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// RemoteExchange returns the exchange of the auth server at issuerURL (RFC 8693), by an API key with the
// scope sessions:exchange whose clients include those of the routes. It connects to the addresses that
// counterfoil.Remote does.
func RemoteExchange(issuerURL, apiKey string, allow []netip.Prefix) (Exchange, error) {
	u, err := urls.Issuer(issuerURL)
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer %w", err)
	}
	r := &remoteExchange{issuerURL + "/oauth/token", strings.TrimSpace(apiKey), &http.Client{
		Transport:     dial.New(u.Hostname(), nil, allow),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // with our secrets
	}}
	return r.exchange, nil
}

type remoteExchange struct {
	url, key string
	client   *http.Client
}

func (e *remoteExchange) exchange(ctx context.Context, cookie, client string) (Token, error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {cookie},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"client":             {client},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+e.key)
	res, err := e.client.Do(r)
	if err != nil {
		return Token{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return Token{}, err
	}
	var answer struct {
		Token string `json:"access_token"`
		Life  int64  `json:"expires_in"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return Token{}, fmt.Errorf("the auth server answers %d, and what makes no sense: %w", res.StatusCode, err)
	}
	switch {
	case res.StatusCode == http.StatusOK && answer.Token != "":
		return Token{answer.Token, time.Duration(answer.Life) * time.Second}, nil
	case res.StatusCode == http.StatusBadRequest && answer.Error == "invalid_request": // RFC 8693 section 2.2.2
		return Token{}, counterfoil.ErrInvalidToken
	case answer.Error == "invalid_client", answer.Error == "unauthorized_client":
		return Token{}, fmt.Errorf("the auth server does not let this API key exchange cookies (%d): it needs the scope sessions:exchange, and --sessions-of with the client %s", res.StatusCode, client)
	case answer.Error == "invalid_target":
		return Token{}, fmt.Errorf("the auth server issues no token of the client %s: it is not registered, is disabled, has no carrier bearer, or is the client that people sign in to", client)
	}
	return Token{}, fmt.Errorf("the auth server answers %d %.40q", res.StatusCode, answer.Error)
}

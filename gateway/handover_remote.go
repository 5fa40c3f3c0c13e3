package gateway

import (
	"bytes"
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

// RemoteHandover returns the handover of the auth server at issuerURL, by an API key with the scope
// sessions:handover whose clients include the one that people sign in to. It connects to the
// addresses that counterfoil.Remote does.
func RemoteHandover(issuerURL, apiKey string, allow []netip.Prefix) (*Handover, error) {
	u, err := urls.Issuer(issuerURL)
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer %w", err)
	}
	r := &remoteHandover{issuerURL, strings.TrimSpace(apiKey), &http.Client{
		Transport: dial.New(u.Hostname(), nil, allow), Timeout: handoverTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // with our secrets
	}}
	return &Handover{Page: issuerURL + "/handover", Redeem: r.redeem, End: r.end}, nil
}

// handoverTimeout bounds a question: a person waits for its answer.
const handoverTimeout = 5 * time.Second

type remoteHandover struct {
	url, key string
	client   *http.Client
}

func (h *remoteHandover) redeem(ctx context.Context, r Redemption) (Cookie, error) {
	body, err := json.Marshal(map[string]string{"code": r.Code, "verifier": r.Verifier, "origin": r.Origin, "client": clientName(r.Client)})
	if err != nil {
		return Cookie{}, err
	}
	status, answer, err := h.post(ctx, "/v1/handover", "application/json", body, "Bearer "+h.key)
	if err != nil {
		return Cookie{}, err
	}
	var problem struct {
		Type string `json:"type"`
	}
	var made struct {
		Credential string `json:"credential"`
		ExpiresIn  int64  `json:"expires_in"`
		SameSite   string `json:"same_site"`
	}
	switch status {
	case http.StatusOK:
		if err := json.Unmarshal(answer, &made); err != nil || made.Credential == "" {
			return Cookie{}, fmt.Errorf("the auth server answers what makes no sense: %w", err)
		}
		return Cookie{made.Credential, time.Duration(made.ExpiresIn) * time.Second, made.SameSite}, nil
	case http.StatusBadRequest:
		if _ = json.Unmarshal(answer, &problem); strings.HasSuffix(problem.Type, ":invalid-code") {
			return Cookie{}, counterfoil.ErrInvalidToken
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return Cookie{}, fmt.Errorf("the auth server does not let this API key redeem codes (%d): it needs the scope sessions:handover, and --sessions-of with the client %s", status, clientName(r.Client))
	}
	return Cookie{}, fmt.Errorf("the auth server answers %d", status)
}

// clientName is the client by its name.
func clientName(client string) string {
	if client == "" {
		return "default"
	}
	return client
}

// end gives the cookie up (RFC 7009), which needs no key.
func (h *remoteHandover) end(ctx context.Context, cookie string) error {
	status, _, err := h.post(ctx, "/oauth/revoke", "application/x-www-form-urlencoded", []byte(url.Values{"token": {cookie}}.Encode()), "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the auth server answers %d", status)
	}
	return err
}

func (h *remoteHandover) post(ctx context.Context, path, kind string, body []byte, authorization string) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", kind)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := h.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, answer, err
}

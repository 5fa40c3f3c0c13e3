package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// RemoteHandover returns the handover of the auth server at issuerURL, by an API key with the scope
// sessions:handover whose clients include the one that people sign in to. It connects to the
// addresses that counterfoil.Remote does.
func RemoteHandover(issuerURL, apiKey string, allow []netip.Prefix) (*Handover, error) {
	r, err := newRemote(issuerURL, apiKey, allow)
	if err != nil {
		return nil, err
	}
	return &Handover{Page: issuerURL + "/handover", Redeem: r.redeem, End: r.end}, nil
}

func (s *remote) redeem(ctx context.Context, r Redemption) (Cookie, error) {
	client := cmp.Or(r.Client, "default")
	members := map[string]string{"code": r.Code, "verifier": r.Verifier, "origin": r.Origin, "client": client}
	if r.Replaces != "" {
		members["replaces"] = r.Replaces
	}
	body, err := json.Marshal(members)
	if err != nil {
		return Cookie{}, err
	}
	status, answer, err := s.post(ctx, "/v1/handover", typeJSON, string(body), true)
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
		if json.Unmarshal(answer, &made) != nil || made.Credential == "" {
			return Cookie{}, errors.New("the auth server answers what makes no sense")
		}
		return Cookie{made.Credential, time.Duration(made.ExpiresIn) * time.Second, made.SameSite}, nil
	case http.StatusBadRequest:
		if _ = json.Unmarshal(answer, &problem); strings.HasSuffix(problem.Type, ":invalid-code") {
			return Cookie{}, counterfoil.ErrInvalidToken
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return Cookie{}, fmt.Errorf("the auth server does not let this API key redeem codes (%d): it needs the scope sessions:handover, and --sessions-of with the client %s", status, client)
	}
	return Cookie{}, fmt.Errorf("the auth server answers %d", status)
}

// end gives the cookie up (RFC 7009), which needs no key.
func (s *remote) end(ctx context.Context, cookie string) error {
	status, _, err := s.post(ctx, "/oauth/revoke", typeForm, url.Values{"token": {cookie}}.Encode(), false)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the auth server answers %d", status)
	}
	return err
}

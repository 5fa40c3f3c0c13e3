package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/dial"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// remote is the auth server that a gateway asks with an API key.
type remote struct {
	issuer, key string
	client      *http.Client
}

const (
	remoteTimeout = 5 * time.Second // a person or a request waits for the answer
	maxAnswer     = 64 << 10        // bytes (GW-16)
)

func newRemote(issuerURL, apiKey string, allow []netip.Prefix) (*remote, error) {
	u, err := urls.Issuer(issuerURL)
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer %w", err)
	}
	return &remote{issuerURL, strings.TrimSpace(apiKey), &http.Client{
		Transport: dial.New(u.Hostname(), nil, allow), Timeout: remoteTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // with our secrets (GW-15)
	}}, nil
}

// The types of the bodies that post sends.
const (
	typeForm = "application/x-www-form-urlencoded"
	typeJSON = "application/json"
)

// post sends a body to a path of the auth server, with the API key if keyed.
func (s *remote) post(ctx context.Context, path, kind, body string, keyed bool) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.issuer+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", kind)
	if keyed {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, answer, err
}

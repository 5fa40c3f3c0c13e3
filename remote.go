package counterfoil

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// RemoteOptions of Remote.
type RemoteOptions struct {
	// Credential is an API key with the scopes revocation:read and, for opaque
	// and encrypted carriers, introspect.
	Credential string

	Transport http.RoundTripper // nil: http.DefaultTransport
}

type remote struct {
	named      atomic.Bool // the server calls itself url
	url        string
	credential string
	client     *http.Client
}

// Remote returns the source that asks the auth server at issuerURL. Plain http
// is refused but for loopback: keys and log are only as good as the connection
// (KEY-07, REV-16).
func Remote(issuerURL string, o RemoteOptions) (Source, error) {
	u, err := url.Parse(issuerURL)
	if err != nil || u.Host == "" || strings.HasSuffix(issuerURL, "/") {
		return nil, fmt.Errorf("counterfoil: issuer %q is not a URL without trailing slash", issuerURL)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return nil, fmt.Errorf("counterfoil: issuer %q must be https", issuerURL)
	}
	client := &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("redirects are not followed")
	}}
	return &remote{url: issuerURL, credential: o.Credential, client: client}, nil
}

// checkName refuses a server that calls itself otherwise than we do: every token of
// it would be refused, and by nothing that says why (RFC 8414 3.3, KEY-11). A server
// without a discovery document is taken at its word.
func (r *remote) checkName(ctx context.Context) error {
	if r.named.Load() {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/.well-known/oauth-authorization-server", nil)
	if err != nil {
		return err
	}
	var found struct{ Issuer string }
	body, err := r.do(req, 2*time.Second, 64<<10)
	if err == nil {
		err = json.Unmarshal(body, &found)
	}
	if err == nil && found.Issuer != "" && found.Issuer != r.url {
		return fmt.Errorf("counterfoil: the server at %s calls itself %.200q: use that name", r.url, found.Issuer)
	}
	r.named.Store(err == nil)
	return nil
}

func (r *remote) Keys(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	jwks, err := r.do(req, 2*time.Second, 256<<10)
	if err == nil {
		err = r.checkName(ctx)
	}
	if err != nil {
		return nil, err
	}
	return jwks, nil
}

func (r *remote) Log(ctx context.Context, f Follow) (Page, error) {
	q := url.Values{"wait": {f.Wait.String()}, "verifier": {f.Verifier}, "bound": {f.Bound.String()}}
	if f.After != (Cursor{}) {
		q.Set("after", f.After.String())
		q.Set("proof", f.Proof)
	}
	if f.ServeStale {
		q.Set("serve_stale", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/v1/log?"+q.Encode(), nil)
	if err != nil {
		return Page{}, err
	}
	req.Header.Set("Authorization", "Bearer "+r.credential)
	body, err := r.do(req, f.Wait+5*time.Second, maxPage)
	if err != nil {
		return Page{}, err
	}
	var p Page
	if err := json.Unmarshal(body, &p); err != nil {
		return Page{}, fmt.Errorf("%w: log: %w", ErrUnavailable, err)
	}
	return p, nil
}

func (r *remote) Lookup(ctx context.Context, credential string) (*Session, error) {
	form := url.Values{"token": {credential}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/oauth/introspect", strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+r.credential)
	body, err := r.do(req, 2*time.Second, 64<<10)
	if err != nil {
		return nil, err
	}
	var i Introspection
	if err := errors.Join(token.CheckJSON(body), json.Unmarshal(body, &i)); err != nil {
		return nil, fmt.Errorf("%w: introspection: %w", ErrUnavailable, err)
	}
	return i.Session()
}

// do returns the body of a 200. Everything else is an outage: it says nothing
// about any credential.
func (r *remote) do(req *http.Request, timeout time.Duration, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	resp, err := r.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil || int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: %s: answer could not be read within %d bytes", ErrUnavailable, req.URL.Path, limit)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return nil, fmt.Errorf("%w: %s: the issuer refuses RemoteOptions.Credential (401)", ErrUnavailable, req.URL.Path)
	case http.StatusForbidden:
		return nil, fmt.Errorf("%w: %s: RemoteOptions.Credential lacks a scope (403)", ErrUnavailable, req.URL.Path)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s: status %d", ErrUnavailable, req.URL.Path, resp.StatusCode)
	}
	return body, nil
}

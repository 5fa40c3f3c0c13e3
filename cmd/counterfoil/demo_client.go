package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// demoClient is one client of the live page. It signs in over HTTP by its carrier, and then
// calls the sample service again and again. The page shows the credential that the client
// really holds, and the answers that it really got.
type demoClient struct {
	carrier string
	name    string // of its credential, for readers who do not know carriers
	auth    string // URL of the auth server
	service string // URL of the sample service

	mu      sync.Mutex // guards the fields below
	http    *http.Client
	access  string
	refresh string // empty: there is none, or the cookie jar has it
	device  string // of an earlier login
	nonce   string // sent with each attempt to use the refresh token

	failed    error // why it could not sign in; nil: it could
	renewable bool  // the client has a refresh token that the server did not refuse

	state   clientState
	revoked time.Time     // when the revocation returned that is being measured; zero: none is
	refused chan struct{} // closed at the first refusal after it; nil: none is measured
	kick    chan struct{} // holds one element when the client should call at once
}

// clientState is what the page shows.
type clientState struct {
	Carrier  string `json:"carrier"`
	Name     string `json:"name"`    // of the credential, in words
	Verdict  string `json:"verdict"` // "accepted", or since when the service refuses
	Holds    string `json:"holds"`   // what the credential is, and where the client keeps it
	Shown    string `json:"shown"`   // the credential: shortened, or decoded as far as its holder can
	Size     int    `json:"size"`    // of the credential in each request, in bytes
	Session  string `json:"session"` // public id
	Subject  string `json:"subject"`
	Calls    int    `json:"calls"`    // how many the service has answered
	Status   int    `json:"status"`   // of the last call
	Answer   string `json:"answer"`   // of the last call
	Failed   bool   `json:"failed"`   // it could not sign in
	Refused  string `json:"refused"`  // time from the return of the revocation to the refusal; empty: not refused
	Accepted int    `json:"accepted"` // calls that the service accepted after the revocation returned
}

func newDemoClient(carrier, name, auth, service string) *demoClient {
	return &demoClient{carrier: carrier, name: name, auth: auth, service: service, kick: make(chan struct{}, 1)}
}

// run calls the service four times a second, and without a pause while it measures a
// revocation.
func (c *demoClient) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := 250 * time.Millisecond
		if c.call(ctx) {
			pause = 0
		}
		select {
		case <-ctx.Done():
		case <-c.kick:
		case <-time.After(pause):
		}
	}
}

// signIn gets a new session with a new cookie jar.
func (c *demoClient) signIn(ctx context.Context, identifier string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Jar: jar, Timeout: 15 * time.Second, Transport: browser("Demo client, " + c.name)}
	c.mu.Lock()
	auth := api.Client{URL: c.auth, HTTP: client, Device: c.device}
	c.mu.Unlock()
	got, err := c.login(ctx, &auth, api.Login[string]{Identifier: identifier, Password: demoPassword, Carrier: c.carrier})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed = err; err != nil {
		return fmt.Errorf("sign in by %s: %w", c.carrier, err)
	}
	c.device = auth.Device
	c.http, c.access, c.refresh, c.nonce = client, got.AccessToken, got.RefreshToken, api.Nonce()
	c.revoked, c.refused = time.Time{}, nil
	c.state = clientState{Session: got.Session.ID, Subject: got.Session.Subject}
	c.renewable = c.carrier != "cookie"
	c.show()
	return nil
}

// fail has the page show why the client cannot sign in.
func (c *demoClient) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

// login signs in, and tries again as long as ctx lasts and another try may do. A wrong password
// is tried three times only: the right one is refused if the user is changed while the server
// checks it, but somebody may also have changed the password.
func (c *demoClient) login(ctx context.Context, auth *api.Client, body api.Login[string]) (got api.Issued, err error) {
	for refused := 0; ; {
		got, err = auth.Login(ctx, body)
		var refusal *api.Error
		pause := time.Second
		switch {
		case err == nil:
			return got, nil
		case !errors.As(err, &refusal): // no answer: the server is busy, or starts
		case refusal.Status == http.StatusUnauthorized && refused < 2:
			refused, pause = refused+1, 0
		case refusal.Status == http.StatusTooManyRequests, refusal.Status >= 500:
			// The server counts the logins of an address, also those from before it was restarted.
			pause = max(refusal.RetryAfter, time.Second)
		default:
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// call calls the service once. It reports whether it measures a revocation.
func (c *demoClient) call(ctx context.Context) (measuring bool) {
	c.mu.Lock()
	client, access := c.http, c.access
	c.mu.Unlock()
	if client == nil {
		return false
	}
	begun := time.Now()
	status, answer, err := get(ctx, client, c.service, access)
	if err != nil {
		answer = "no answer"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != client || c.access != access {
		return false // the client has signed in again meanwhile
	}
	c.state.Calls++
	c.state.Status, c.state.Answer = status, answer
	if status == http.StatusUnauthorized && c.revoked.IsZero() && c.renewable {
		c.renew(ctx) // the access token has expired; the session may still live
		return false
	}
	if c.revoked.IsZero() || c.state.Refused != "" {
		return false
	}
	if status == http.StatusUnauthorized {
		c.state.Refused = fmt.Sprintf("%.1f ms", float64(time.Since(c.revoked).Microseconds())/1000)
		close(c.refused)
		return false
	}
	if begun.After(c.revoked) {
		c.state.Accepted++
	}
	return time.Since(c.revoked) < 15*time.Second
}

// renew refreshes the credential. The caller holds mu.
func (c *demoClient) renew(ctx context.Context) {
	auth := api.Client{URL: c.auth, HTTP: c.http}
	got, err := auth.Refresh(ctx, api.Refresh[string]{RefreshToken: c.refresh, RefreshNonce: c.nonce}) // no token: the cookie has it
	if err != nil {
		c.renewable = answered(err) != http.StatusUnauthorized // otherwise the next call asks again
		return
	}
	c.access, c.refresh, c.nonce = got.AccessToken, got.RefreshToken, api.Nonce()
	c.show()
}

// show sets what the page shows of the credential. The caller holds mu.
func (c *demoClient) show() {
	access := c.access
	c.state.Holds = "a token that its code sends in the Authorization header"
	for _, k := range c.cookies() {
		if k.Name == source.InsecureCookieName {
			access = k.Value
			c.state.Holds = "a cookie that no script can read (HttpOnly, SameSite=Lax)"
		}
	}
	c.state.Shown, c.state.Size = readable(access), len(access)
}

// cookies returns what the jar sends to the auth server. The caller holds mu.
func (c *demoClient) cookies() []*http.Cookie {
	at, err := url.Parse(c.auth)
	if err != nil {
		return nil
	}
	return c.http.Jar.Cookies(at)
}

// measureFrom measures the time from returned to the next refusal. The channel is closed when
// the service has refused a call.
func (c *demoClient) measureFrom(returned time.Time) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http == nil || c.state.Refused != "" {
		done := make(chan struct{})
		close(done)
		return done
	}
	if c.revoked = returned; c.refused == nil {
		c.refused = make(chan struct{})
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
	return c.refused
}

func (c *demoClient) snapshot() clientState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	s.Carrier, s.Name = c.carrier, c.name
	switch {
	case s.Refused != "":
		s.Verdict = "refused after " + s.Refused
	case s.Status == http.StatusOK:
		s.Verdict = "accepted"
	case c.failed != nil:
		s.Verdict, s.Answer, s.Failed = "cannot sign in", c.failed.Error(), true
	case s.Calls == 0:
		s.Verdict = "starting"
	default:
		s.Verdict = "refused"
	}
	return s
}

// browser is a transport that sends the headers of a browser on a page of the server: Origin,
// and a User-Agent, which the list of sessions shows.
type browser string

func (b browser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", string(b))
	r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	return http.DefaultTransport.RoundTrip(r)
}

// readable is a credential decoded as far as its holder can.
func readable(credential string) string {
	parts := strings.Split(credential, ".")
	switch len(parts) {
	case 3:
		return indent(parts[0]) + "\n" + indent(parts[1]) + "\nsignature: " + fmt.Sprint(len(parts[2])) + " characters"
	case 5:
		return indent(parts[0]) + "\nencrypted: " + fmt.Sprint(len(parts[3])) + " characters that it cannot read"
	}
	return credential[:min(6, len(credential))] + "… " + fmt.Sprint(len(credential)) + " random characters that mean nothing"
}

func indent(part string) string {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	var out bytes.Buffer
	if err != nil || json.Indent(&out, raw, "", "  ") != nil {
		return "not JSON"
	}
	return out.String()
}

func get(ctx context.Context, client *http.Client, url, bearer string) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if res.StatusCode != http.StatusOK {
		var problem struct{ Title string }
		if json.Unmarshal(body, &problem) == nil {
			body = []byte(problem.Title)
		}
	}
	return res.StatusCode, strings.TrimSpace(string(body)), err
}

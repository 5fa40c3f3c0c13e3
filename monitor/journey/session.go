package journey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// browser sends requests with the cookies that it got, as a page of the auth server does.
type browser struct {
	client http.Client
	origin string
	jar    *cookiejar.Jar // nil: the carrier is in a header
}

// Do implements the HTTP of api.Client.
func (b *browser) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", agent)
	if b.jar != nil {
		r.Header.Set("Origin", b.origin)
	}
	return b.client.Do(r)
}

// cookie returns the cookie with one of the names, which depend on whether the auth server has TLS.
func (b *browser) cookie(names ...string) *http.Cookie {
	at, err := url.Parse(b.origin + "/")
	if err != nil {
		return nil
	}
	for _, c := range b.jar.Cookies(at) {
		for _, name := range names {
			if c.Name == name {
				return c
			}
		}
	}
	return nil
}

// signIn begins a session by a carrier.
func (j *journey) signIn(ctx context.Context, transport *http.Transport, carrier string) (*login, error) {
	b := &browser{origin: j.origin, client: http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if carrier == "cookie" || strings.HasSuffix(carrier, "-cookie") {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, err
		}
		b.jar, b.client.Jar = jar, jar
	}
	s := &login{Client: api.Client{URL: j.issuer, HTTP: b}, browser: b, body: api.Refresh[string]{Client: j.check.Sign.Client}}
	issued, err := j.login(ctx, s, carrier)
	if err != nil {
		return nil, err
	}
	s.take(issued)
	return s, nil
}

// login signs in by one carrier after the other, because attempts under way count as failures until they
// succeed (docs/operations.md, limits on attempts). One that comes too early is tried again.
func (j *journey) login(ctx context.Context, s *login, carrier string) (api.Issued, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	body := api.Login[string]{Identifier: j.check.Sign.User, Password: j.check.Sign.Password.Reveal(), Carrier: carrier, Client: j.check.Sign.Client}
	for {
		s.Device = j.device
		issued, err := s.Login(ctx, body)
		early, is := errors.AsType[*api.Error](err)
		if err == nil {
			j.device = s.Device
		}
		if !is || early.Status != http.StatusTooManyRequests || early.RetryAfter > callWithin {
			return issued, err
		}
		if !pause(ctx, max(early.RetryAfter, pollEvery)) {
			return issued, err
		}
	}
}

// pause waits. It returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// take keeps what the auth server has handed out.
func (s *login) take(issued api.Issued) {
	if s.browser.jar == nil {
		s.Key = issued.AccessToken
		s.body.RefreshToken, s.body.RefreshNonce = issued.RefreshToken, api.Nonce()
		s.nothing = issued.RefreshToken == ""
		return
	}
	s.nothing = s.browser.cookie(source.RefreshCookieName, source.InsecureRefreshCookieName) == nil
}

func (s *login) refresh(ctx context.Context) error {
	issued, err := s.Refresh(ctx, s.body)
	if err != nil {
		return err
	}
	s.take(issued)
	return nil
}

// credential is what a target gets of the session. A refresh token is for the auth server alone.
func (s *login) credential() http.Header {
	if s.browser.jar == nil {
		return http.Header{"Authorization": {"Bearer " + s.Key}}
	}
	if c := s.browser.cookie(source.CookieName, source.InsecureCookieName); c != nil {
		return http.Header{"Cookie": {c.Name + "=" + c.Value}}
	}
	return http.Header{}
}

// signOut ends the session of a run that has failed, or was stopped.
func (j *journey) signOut(ctx context.Context, s *login) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutWithin)
	defer cancel()
	for {
		if err = s.Logout(ctx); err == nil {
			return nil
		}
		refused, is := errors.AsType[*api.Error](err)
		if is && refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests {
			return err
		}
		if !pause(ctx, time.Second) {
			return err
		}
	}
}

// answer is what a target says to a call.
type answer struct {
	status int
	err    error
}

func (a answer) accepted() bool { return a.err == nil && a.status/100 == 2 }
func (a answer) refused() bool  { return a.err == nil && a.status == http.StatusUnauthorized }

func (a answer) String() string {
	if a.err != nil {
		return "no answer: " + a.err.Error()
	}
	return fmt.Sprintf("status %d", a.status)
}

// call sends a target one request. It follows no redirect: a target that sends people to a sign-in page is
// asked as a program, and answers 401.
func call(ctx context.Context, transport *http.Transport, target string, credential http.Header) answer {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{err: err}
	}
	for name, values := range credential {
		r.Header[name] = values
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", agent)
	res, err := transport.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); err != nil { // so that the connection is used again
		return answer{err: err}
	}
	return answer{status: res.StatusCode}
}

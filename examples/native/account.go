package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var (
	errSignedOut   = errors.New("nobody is signed in") // sign in again
	errUnavailable = errors.New("no answer")           // try again later: nobody is signed out
)

// account is a login at an auth server. Any number of processes may share its keychain.
type account struct {
	issuer, client string
	keychain       keychain
	http           *http.Client
}

// answer is what a login and a refresh answer.
type answer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	Device       string `json:"device"`     // of a login alone
}

// keep writes the tokens of an answer to a request that was sent at sent. Only then may they be
// used: who used them first and was killed would have a refresh token that is used up.
func (a *account) keep(got answer, device string, sent time.Time) (secrets, error) {
	if got.Device != "" {
		device = got.Device
	}
	s := secrets{
		RefreshToken: got.RefreshToken, Nonce: rand.Text(), AccessToken: got.AccessToken, Device: device,
		Expires: sent.Add(time.Duration(got.ExpiresIn) * time.Second * 9 / 10), // a little early: no request has to fail first
	}
	return s, a.keychain.save(s)
}

// signIn signs in by password.
func (a *account) signIn(ctx context.Context, name, password string) error {
	unlock, err := a.keychain.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	kept, err := a.keychain.load()
	if err != nil {
		return err
	}
	var got answer
	sent := time.Now()
	if err := a.post(ctx, "/v1/login", map[string]string{"identifier": name, "password": password, "carrier": "bearer", "client": a.client}, kept.Device, &got); errors.Is(err, errSignedOut) {
		return errors.New("the name or the password is wrong")
	} else if err != nil {
		return err
	}
	_, err = a.keep(got, kept.Device, sent)
	return err
}

// token returns an access token that is not refused, as far as is known: refused is one that a
// service has refused, or empty.
func (a *account) token(ctx context.Context, refused string) (string, error) {
	good := func(s secrets) bool { return s.AccessToken != refused && time.Now().Before(s.Expires) }
	kept, err := a.keychain.load()
	if err != nil || good(kept) {
		return kept.AccessToken, err
	}
	unlock, err := a.keychain.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if kept, err = a.keychain.load(); err != nil || good(kept) { // another process has refreshed meanwhile
		return kept.AccessToken, err
	}
	if kept.RefreshToken == "" {
		return "", errSignedOut
	}
	var got answer
	sent := time.Now()
	err = a.post(ctx, "/v1/refresh", map[string]string{"refresh_token": kept.RefreshToken, "refresh_nonce": kept.Nonce, "client": a.client}, kept.Device, &got)
	if errors.Is(err, errSignedOut) {
		return "", errors.Join(err, a.keychain.save(secrets{Device: kept.Device}))
	}
	if err != nil {
		return "", err
	}
	kept, err = a.keep(got, kept.Device, sent)
	return kept.AccessToken, err
}

// post sends JSON to the auth server, and reads the answer.
func (a *account) post(ctx context.Context, path string, body map[string]string, device string, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	text, err := a.send(ctx, path, "application/json", string(data), device)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// send asks the auth server, and asks again while there is no answer and as long as ctx lasts. The same
// refresh with the same nonce has the same answer for 10 s (refresh_grace), so a lost one does no harm.
func (a *account) send(ctx context.Context, path, media, body, device string) ([]byte, error) {
	for {
		r, err := http.NewRequestWithContext(ctx, "POST", a.issuer+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", media)
		if device != "" {
			r.Header.Set("Counterfoil-Device", device)
		}
		status, text, pause, err := a.do(r)
		switch {
		case err != nil:
		case status == http.StatusOK:
			return text, nil
		case status == http.StatusUnauthorized && strings.Contains(string(text), "urn:counterfoil:problem:"): // the one answer that says that the login is over; that of a proxy does not
			return nil, errSignedOut
		case status < 500 && status != http.StatusTooManyRequests:
			return nil, fmt.Errorf("%s answers %d: %s", path, status, text) // a mistake of this program or of its settings
		default:
			err = fmt.Errorf("%s answers %d", path, status)
		}
		if wait(ctx, pause) != nil {
			return nil, fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
}

// do sends one request. It returns how long to wait before the next attempt.
func (a *account) do(r *http.Request) (status int, body []byte, pause time.Duration, err error) {
	pause = 100 * time.Millisecond
	res, err := a.http.Do(r)
	if err != nil {
		return 0, nil, pause, err
	}
	defer res.Body.Close()
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		pause = time.Duration(seconds) * time.Second
	}
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, pause, err
}

// wait waits for a while. Its error says that ctx ends before.
func wait(ctx context.Context, pause time.Duration) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < pause {
		return context.DeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// get asks a service. A token that is refused is refreshed once: it has expired, or the person's roles
// have changed. If the refresh is refused, the login is over. "step-up" asks for a fresh login, and ends nothing.
func (a *account) get(ctx context.Context, page string) (status int, body string, err error) {
	refused := ""
	for {
		token, err := a.token(ctx, refused)
		if err != nil {
			return 0, "", err
		}
		r, err := http.NewRequestWithContext(ctx, "GET", page, nil)
		if err != nil {
			return 0, "", err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		status, text, pause, err := a.do(r)
		switch {
		case err != nil:
		case status == http.StatusUnauthorized && refused == "" && !strings.Contains(string(text), ":step-up"):
			refused = token
			continue
		case status == http.StatusServiceUnavailable: // nothing is known of the login
			err = fmt.Errorf("%s answers %d", page, status)
		default:
			return status, string(text), nil
		}
		if wait(ctx, pause) != nil {
			return 0, "", fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
}

// signOut ends the session at the server (RFC 7009), and then forgets it.
func (a *account) signOut(ctx context.Context) error {
	unlock, err := a.keychain.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	kept, err := a.keychain.load()
	if err != nil || kept.RefreshToken == "" {
		return err
	}
	form := url.Values{"client_id": {a.client}, "token": {kept.RefreshToken}}
	if _, err := a.send(ctx, "/oauth/revoke", "application/x-www-form-urlencoded", form.Encode(), ""); err != nil {
		return err // the session may go on: keep it, so that the person can try again
	}
	return a.keychain.save(secrets{Device: kept.Device})
}

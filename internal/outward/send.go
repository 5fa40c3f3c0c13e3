package outward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// CheckURL says whether text may be the URL of a target: http or https, with a host, without a
// password in it, which would be in every log, and without a fragment.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("it is no URL") // the error of url.Parse has the text, which may have a secret
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it does not begin with https:// or http://")
	case u.User != nil:
		return errors.New("it has a user in it: put credentials into a header")
	case u.Fragment != "":
		return errors.New("it has a fragment, which is never sent")
	}
	if err := CheckHost(u.Hostname()); err != nil {
		return fmt.Errorf("its host: %w", err)
	}
	return nil
}

// transport has a connection for each request, so each is looked at.
func (c *Client) transport() *http.Transport {
	return &http.Transport{
		DialContext: c.DialContext, TLSHandshakeTimeout: within,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxAnswer,
		ForceAttemptHTTP2: true,
	}
}

// Answer is all that a sender learns of an answer: no byte of its body.
type Answer struct {
	Status     int
	RetryAfter time.Duration // zero: the target named none
}

// OK reports whether the target has taken the request.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Send sends r, and reads the answer to its end, or the first 64 KiB of it. A redirect is an answer like
// others, and is not followed. A request ends after 5 s, or earlier with its context.
func (c *Client) Send(r *http.Request) (Answer, error) {
	if err := CheckURL(r.URL.String()); err != nil {
		return Answer{}, fmt.Errorf("target: %w", err)
	}
	client := &http.Client{
		Transport: c.transport(), Timeout: within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(r)
	if err != nil {
		return Answer{}, cause(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)); err != nil {
		return Answer{}, cause(err)
	}
	a := Answer{Status: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	return a, nil
}

// cause is err without the URL, which may have a secret in its path or query.
func cause(err error) error {
	if u, is := errors.AsType[*url.Error](err); is {
		if u.Timeout() {
			return fmt.Errorf("no answer within %v", within)
		}
		return u.Err
	}
	return err
}

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

// Transport is for a caller that needs more than [Client.Send]. Each request has a connection of
// its own, so each is looked at. The caller follows no redirect, and bounds what it reads.
func (c *Client) Transport() *http.Transport {
	return &http.Transport{
		DialContext: c.DialContext, TLSClientConfig: c.tls.Clone(), TLSHandshakeTimeout: Within,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: MaxAnswer,
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

// Send sends r, and reads the answer to its end, or the first [MaxAnswer] bytes of it. A redirect is
// an answer like others, and is not followed. The context of r may end it earlier than [Within].
func (c *Client) Send(r *http.Request) (Answer, error) {
	if err := CheckURL(r.URL.String()); err != nil {
		return Answer{}, fmt.Errorf("target: %w", err)
	}
	client := &http.Client{
		Transport: c.Transport(), Timeout: Within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(r)
	if err != nil {
		return Answer{}, cause(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, MaxAnswer)); err != nil {
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
			return fmt.Errorf("no answer within %v", Within)
		}
		return u.Err
	}
	return err
}

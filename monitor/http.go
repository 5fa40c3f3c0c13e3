package monitor

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// dialer is Options.Dial.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// httpProbe sends the request of c and looks at the answer. Each run has a connection of its own: it
// sees what a new client sees, the name and the certificate included. It follows no redirect, uses
// no proxy, and keeps no cookie.
func httpProbe(c *Check, dial dialer) (Probe, error) {
	to, err := url.Parse(c.Target)
	if err != nil {
		return nil, err
	}
	current, err := follow(&c.Secure, to.Hostname(), func(conf *tls.Config) *http.Transport {
		return &http.Transport{
			DialContext: dial, TLSClientConfig: conf, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1
		}
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) Result {
		r, err := c.request(ctx, to)
		if err != nil {
			return Result{Reason: Broken, Failure: err.Error()}
		}
		res, err := current().RoundTrip(r)
		if err != nil {
			return failed(ctx, err)
		}
		defer res.Body.Close()
		result := Result{OK: true}
		if res.TLS != nil {
			result.Expires = ends(res.TLS)
		}
		c.Expect.judge(ctx, res, &result)
		return result
	}, nil
}

// agent is what a check says of itself, unless its headers say otherwise.
const agent = "counterfoil-monitor"

func (c *Check) request(ctx context.Context, to *url.URL) (*http.Request, error) {
	var body io.Reader
	if text := c.Request.Body.Reveal(); text != "" {
		body = strings.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, c.Request.Method, to.String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", agent)
	for name, values := range c.Request.Headers {
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	return r, nil
}

// judge compares an answer with what is expected. A body that nothing is expected of is not
// read.
func (e *Expect) judge(ctx context.Context, res *http.Response, r *Result) {
	fail := func(reason Reason, format string, args ...any) {
		r.OK, r.Reason, r.Failure = false, reason, fmt.Sprintf(format, args...)
	}
	if e.Status == nil && res.StatusCode/100 != 2 {
		fail(BadStatus, "status %d: want 200 to 299", res.StatusCode)
		return
	}
	if e.Status != nil && !slices.Contains(e.Status, res.StatusCode) {
		fail(BadStatus, "status %d: want %s", res.StatusCode, strings.Trim(fmt.Sprint(e.Status), "[]"))
		return
	}
	if e.Contains == "" && e.JSON == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		expires := r.Expires
		*r = failed(ctx, err)
		r.Expires = expires
	case len(body) > maxBody:
		fail(BadBody, "the body is longer than %d MiB", maxBody>>20)
	case !strings.Contains(string(body), e.Contains):
		fail(BadBody, "the body does not contain %q", e.Contains)
	case e.JSON != nil:
		if err := e.judgeJSON(body); err != nil {
			fail(BadBody, "%v", err)
		}
	}
}

func (e *Expect) judgeJSON(body []byte) error {
	value, err := decodeJSON(body)
	if err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	for pointer, text := range e.JSON {
		tokens, err := splitPointer(pointer)
		if err != nil {
			return err
		}
		want, err := decodeJSON([]byte(text))
		if err != nil {
			return err
		}
		got, err := find(value, tokens)
		if err != nil {
			return fmt.Errorf("%s: %w", pointer, err)
		}
		if !equalJSON(got, want) {
			return fmt.Errorf("%s is not %s", pointer, text)
		}
	}
	return nil
}

package monitor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// dialer is Options.Dial.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// httpProbe sends the request of c and looks at the answer. Each run has a connection of its own: it
// sees what a new client sees, the name and the certificate included. It follows no redirect, uses
// no proxy, and keeps no cookie. An http.Transport would keep connections, and start goroutines for each.
func httpProbe(c *Check, dial dialer) (Probe, error) {
	to, err := url.Parse(c.Target)
	if err != nil {
		return nil, err
	}
	secure, err := c.Secure.follow(to.Hostname())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) Result {
		r, err := c.request(ctx, to)
		if err != nil {
			return Result{Reason: Broken, Failure: err.Error()}
		}
		conn, state, err := connect(ctx, to, dial, secure)
		if err != nil {
			return failed(ctx, err)
		}
		defer conn.Close()
		result := Result{OK: true}
		if state != nil {
			result.Expires = ends(state)
		}
		res, err := exchange(conn, r)
		if err != nil {
			expires := result.Expires
			result = failed(ctx, err)
			result.Expires = expires
			return result
		}
		c.Expect.judge(ctx, res, &result)
		return result
	}, nil
}

// connection ends what it is doing when its context ends.
type connection struct {
	net.Conn
	stop func() bool
}

func (c *connection) Close() error {
	c.stop()
	return c.Conn.Close()
}

// connect connects to the host of a URL. State is that of TLS, or nil.
func connect(ctx context.Context, to *url.URL, dial dialer, secure func() *tls.Config) (conn net.Conn, state *tls.ConnectionState, err error) {
	port := to.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[to.Scheme]
	}
	plain, err := dial(ctx, "tcp", net.JoinHostPort(to.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	conn = &connection{plain, context.AfterFunc(ctx, func() { _ = plain.SetDeadline(time.Unix(1, 0)) })}
	if to.Scheme == "http" {
		return conn, nil, nil
	}
	over := tls.Client(conn, secure())
	if err := over.Handshake(); err != nil { // the deadline ends it: its context would start a goroutine
		_ = conn.Close()
		return nil, nil, err
	}
	now := over.ConnectionState()
	return over, &now, nil
}

const (
	maxHead    = 64 << 10
	maxInterim = 5 // answers of the kind 1xx (RFC 9110 section 15.2)
)

// exchange sends a request, and reads the head of its answer.
func exchange(conn net.Conn, r *http.Request) (*http.Response, error) {
	r.Close = true
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	in := bufio.NewReader(limited)
	for range maxInterim {
		res, err := http.ReadResponse(in, r)
		if err != nil {
			return nil, err
		}
		if res.StatusCode/100 != 1 || res.StatusCode == http.StatusSwitchingProtocols {
			limited.N = 2 * maxBody // with what chunks add
			return res, nil
		}
	}
	return nil, errors.New("too many interim answers")
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

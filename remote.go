package counterfoil

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/dial"
	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// RemoteOptions of Remote.
type RemoteOptions struct {
	// Credential is an API key with the scopes revocation:read and, for opaque
	// and encrypted carriers, introspect. Blanks and line ends around it are not part of it.
	Credential string

	// AllowAddresses are the networks in which the issuer's name may resolve to an address that a
	// verifier does not connect to otherwise: a link-local address, which some networks of
	// containers give the host (podman: 169.254.1.2/32), or one of a private network after the
	// name was public. Addresses where clouds keep credentials, such as 169.254.169.254, are
	// refused all the same.
	AllowAddresses []netip.Prefix

	// Transport replaces the one that connects to the issuer alone: http.DefaultTransport
	// with a look at each address that the issuer's name resolves to (KEY-10), which goes to
	// another one when one does not answer. With HTTP/2 set http.Transport.HTTP2.SendPingTimeout,
	// or a connection whose other end is cut off is used for a quarter of an hour.
	Transport http.RoundTripper
}

type remote struct {
	named      atomic.Bool // the server calls itself url
	url        string
	credential string
	client     *http.Client
}

// Remote returns the source that asks the auth server at issuerURL. Plain http is for
// loopback only: a verifier can trust keys and log no more than the connection (KEY-07, REV-16).
func Remote(issuerURL string, o RemoteOptions) (Source, error) {
	u, err := urls.Issuer(issuerURL)
	if err != nil {
		return nil, fmt.Errorf("counterfoil: issuer %w", err)
	}
	o.Credential = strings.TrimSpace(o.Credential) // of a variable or a file that ends with a line end
	if strings.ContainsFunc(o.Credential, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("counterfoil: RemoteOptions.Credential has a blank, or a character that is not ASCII: no API key has")
	}
	for _, p := range o.AllowAddresses {
		if !p.IsValid() || p.Bits() == 0 {
			return nil, fmt.Errorf("counterfoil: RemoteOptions.AllowAddresses has %v: want a network, and not all addresses", p)
		}
	}
	if o.Transport == nil {
		o.Transport = dial.New(u.Hostname(), nil, o.AllowAddresses)
	} else if len(o.AllowAddresses) > 0 {
		return nil, errors.New("counterfoil: RemoteOptions.AllowAddresses has no effect with a Transport, which connects to any address")
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

func (r *remote) Log(ctx context.Context, f revocation.Follow) (revocation.Page, error) {
	req, err := r.askLog(ctx, f)
	if err != nil {
		return revocation.Page{}, err
	}
	body, err := r.do(req, f.Wait+5*time.Second, revocation.MaxPage)
	if err != nil {
		return revocation.Page{}, err
	}
	return readPage(body)
}

func readPage(data []byte) (p revocation.Page, err error) {
	if err = p.UnmarshalJSON(data); err != nil {
		err = fmt.Errorf("%w: log: %w", ErrUnavailable, err)
	}
	return p, err
}

func (r *remote) askLog(ctx context.Context, f revocation.Follow) (*http.Request, error) {
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
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+r.credential)
	req.Header.Set("User-Agent", userAgent())
	return req, nil
}

// userAgent tells the issuer's operators the version of a verifier.
var userAgent = sync.OnceValue(func() string {
	const module = "github.com/counterfoil/counterfoil"
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == module && m.Version != "" && m.Version != "(devel)" {
				version = m.Version
			}
		}
	}
	return "counterfoil/" + version + " " + runtime.Version()
})

const jsonSequence = "application/json-seq" // RFC 7464

// Pages implements pager. A server that answers with one page only is taken at that.
func (r *remote) Pages(ctx context.Context, f revocation.Follow, apply func(revocation.Page) error) error {
	req, err := r.askLog(ctx, f)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", jsonSequence+", application/json")
	return r.receive(req, f.Wait+5*time.Second, func(resp *http.Response) error {
		media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";") // a proxy may add a charset
		if !strings.EqualFold(strings.TrimSpace(media), jsonSequence) {
			body, err := readAll(resp.Body, req.URL.Path, revocation.MaxPage)
			if err != nil {
				return err
			}
			return applyPage(body, apply)
		}
		records := recordReaders.Get().(*bufio.Reader)
		records.Reset(resp.Body)
		defer func() { records.Reset(nil); recordReaders.Put(records) }()
		for n := 0; ; n++ {
			record, err := readRecord(records)
			if err == io.EOF {
				if n > 0 {
					return nil
				}
				err = errNoPage
			}
			if err != nil {
				return fmt.Errorf("%w: log: %w", ErrUnavailable, err)
			}
			if err := applyPage(record, apply); err != nil {
				return err
			}
		}
	})
}

// errNoPage is of an issuer that could not read the log after it had begun its answer.
var errNoPage = errors.New("the answer has no page")

// recordReaders are used again: a verifier takes one for each question.
var recordReaders = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

func applyPage(data []byte, apply func(revocation.Page) error) error {
	p, err := readPage(data)
	if err != nil {
		return err
	}
	return apply(p)
}

// readRecord reads RS, a text, and LF. A sequence that is cut off within one is an error
// other than io.EOF: a text counts only if it is whole (RFC 7464 section 2.4).
func readRecord(from *bufio.Reader) ([]byte, error) {
	rs, err := from.ReadByte()
	if err != nil {
		return nil, err
	}
	if rs != 0x1e {
		return nil, revocation.ErrPage
	}
	var record []byte
	for {
		part, err := from.ReadSlice('\n')
		if record == nil && err == nil {
			return part, nil // read before the next call, which overwrites it
		}
		record = append(record, part...)
		switch {
		case len(record) > revocation.MaxPage:
			return nil, revocation.ErrPage
		case err == nil:
			return record, nil
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
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
	s := new(Session)
	if err := s.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	return s, nil
}

// do returns the body of a 200. Everything else is an outage: it says nothing
// about any credential.
func (r *remote) do(req *http.Request, timeout time.Duration, limit int64) (body []byte, err error) {
	err = r.receive(req, timeout, func(resp *http.Response) (err error) {
		body, err = readAll(resp.Body, req.URL.Path, limit)
		return err
	})
	return body, err
}

func readAll(from io.Reader, path string, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil || int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: %s: answer could not be read within %d bytes", ErrUnavailable, path, limit)
	}
	return body, nil
}

// receive has read read the body of a 200.
func (r *remote) receive(req *http.Request, timeout time.Duration, read func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	resp, err := r.client.Do(req.WithContext(ctx))
	if err != nil {
		if told, ok := errors.AsType[*url.Error](err); ok { // which would write the whole query into logs
			err = told.Err
		}
		return fmt.Errorf("%w: %s%s: %w", ErrUnavailable, r.url, req.URL.Path, err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return read(resp)
	case code == http.StatusUnauthorized:
		err = lasting(req.URL.Path + ": the issuer refuses the API key (401)")
	case code == http.StatusForbidden:
		err = lasting(req.URL.Path + ": the API key lacks a scope (403)")
	case code == http.StatusNotFound:
		err = lasting(req.URL.Path + ": the server at " + r.url + " has no such page (404): is it the issuer?")
	case code == http.StatusBadRequest && req.Method == http.MethodGet:
		err = lasting(req.URL.Path + ": the issuer refuses the question (400): the bound may be longer than it allows")
	default:
		err = fmt.Errorf("%w: %s: status %d", ErrUnavailable, req.URL.Path, code)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // a problem is short, and the connection is used again
	return err
}

// lasting is an outage that ends when a person changes something, so its text does not say
// that it is temporary.
type lasting string

func (e lasting) Error() string { return string(e) }
func (e lasting) Unwrap() error { return ErrUnavailable }

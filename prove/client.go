package prove

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// client speaks to the auth server as an operator and as its users do, and writes
// down what it did.
type client struct {
	url string
	web *http.Client // sets the API key of a request that asks for one
	*history
}

// httpError is an answer that is not a 2xx.
type httpError struct {
	status int
	path   string
	body   string
}

func (e *httpError) Error() string {
	return fmt.Sprintf("%s: status %d: %.200s", e.path, e.status, e.body)
}

// post sends JSON and reads the answer into into.
func (c *client) post(ctx context.Context, path string, body, into any, authorized bool) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if authorized {
		r.Header.Set("Authorization", "keyed")
	}
	res, err := c.web.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return &httpError{res.StatusCode, path, string(answer)}
	}
	return json.Unmarshal(answer, into)
}

type issuedAnswer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session struct {
		ID      string `json:"id"`
		Subject string `json:"subject"`
		Client  string `json:"client"`
	} `json:"session"`
}

// credential reads the answer as its client does: what a JWT says is there to read,
// what is in a JWE or behind an opaque id is not.
func (a issuedAnswer) credential(carrier counterfoil.Carrier, issued span) (*credential, error) {
	c := &credential{
		value: a.Access, refresh: a.Refresh, carrier: carrier, issued: issued,
		sid: a.Session.ID, subject: a.Session.Subject, client: a.Session.Client,
	}
	if carrier.Format != counterfoil.JWT {
		return c, nil
	}
	var claims struct {
		Kid string `json:"kid"`
		Jti string `json:"jti"`
		RV  string `json:"rv"`
	}
	parts := strings.Split(a.Access, ".")
	for _, part := range parts[:min(2, len(parts))] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &claims); err != nil {
			return nil, err
		}
	}
	var err error
	c.token, c.key = claims.Jti, claims.Kid
	c.epoch, c.seq, err = readCursor(claims.RV)
	return c, err
}

func readCursor(text string) (epoch, seq uint64, err error) {
	left, right, ok := strings.Cut(text, ".")
	if !ok {
		return 0, 0, fmt.Errorf("rv %q is not EPOCH.SEQ", text)
	}
	if epoch, err = strconv.ParseUint(left, 16, 64); err == nil {
		seq, err = strconv.ParseUint(right, 10, 64)
	}
	return epoch, seq, err
}

// login makes a session of subject.
func (c *client) login(ctx context.Context, subject, clientID string, carrier counterfoil.Carrier) (*credential, error) {
	var got issuedAnswer
	start := c.now()
	err := c.post(ctx, "/v1/admin/sessions", map[string]any{"subject": subject, "carrier": carrier.String(), "client": clientID}, &got, true)
	if err != nil {
		return nil, err
	}
	c.history.login(subject)
	return got.credential(carrier, span{start, c.now()})
}

// renew refreshes old into another credential of the same session.
func (c *client) renew(ctx context.Context, old *credential) (*credential, error) {
	var got issuedAnswer
	start := c.now()
	err := c.post(ctx, "/v1/refresh", map[string]any{"refresh_token": old.refresh, "client": old.client}, &got, false)
	if err != nil {
		return nil, err
	}
	next, err := got.credential(old.carrier, span{start, c.now()})
	if err == nil {
		next.issued = old.issued // the session is as old as it was: what ended it ends this copy
	}
	return next, err
}

// revoke takes away what scope and id name. An error means that the outcome is
// unknown; what is returned beside it can be tried again.
func (c *client) revoke(ctx context.Context, scope, id string, everywhere bool) (*revocation, error) {
	r := &revocation{scope: scope, id: id, span: span{start: c.now(), end: 1<<63 - 1}}
	body := map[string]any{"scope": scope, "id": id}
	if everywhere {
		body["wait"] = "all"
	}
	var got struct {
		Cursor    string `json:"cursor"`
		Confirmed bool   `json:"confirmed"`
	}
	err := c.post(ctx, "/v1/admin/revocations", body, &got, true)
	if err == nil {
		r.acked, r.end, r.everywhere = true, c.now(), got.Confirmed
		r.epoch, r.seq, err = readCursor(got.Cursor)
	}
	c.revocation(r) // when it is over: readers see it whole
	return r, err
}

func (r *revocation) cursor() counterfoil.Cursor {
	return counterfoil.Cursor{Epoch: r.epoch, Seq: r.seq}
}

func (c *client) source() (counterfoil.Source, error) {
	return counterfoil.Remote(c.url, counterfoil.RemoteOptions{Credential: "keyed sets it", Transport: c.web.Transport})
}

// readKeys reads the key set, and fails if the server calls itself otherwise.
func (c *client) readKeys(ctx context.Context) error {
	source, err := c.source()
	if err == nil {
		_, err = source.Keys(ctx)
	}
	return err
}

// readLog reads the log from zero as a verifier that has just started does, and
// says how long it took.
func (c *client) readLog(ctx context.Context) (time.Duration, error) {
	remote, err := c.source()
	if err != nil {
		return 0, err
	}
	begun := c.now()
	var after counterfoil.Cursor
	for {
		page, err := remote.Log(ctx, source.Follow{After: after})
		if err != nil || page.Complete() {
			return c.now() - begun, err
		}
		after = page.Upto
	}
}

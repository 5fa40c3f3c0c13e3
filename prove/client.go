package prove

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// client calls the auth server as an operator and as its users do. It records each operation
// in the history.
type client struct {
	url string
	web *http.Client // sets the API key of a request that asks for one
	*history
}

// public returns a client for routes that need no API key.
func (c *client) public() *api.Client { return &api.Client{URL: c.url, HTTP: c.web} }

// operator returns a client for routes that need an API key. The transport of web replaces
// keyPlaceholder with the key.
func (c *client) operator() *api.Client {
	return &api.Client{URL: c.url, HTTP: c.web, Key: keyPlaceholder}
}

// keyPlaceholder stands for the current API key: see keyed.
const keyPlaceholder = "keyed-sets-it"

// readCredential reads the answer as a client does. A client can read the claims of a JWT. It
// cannot read a JWE, nor the session of an opaque id.
func readCredential(a api.Issued, carrier counterfoil.Carrier, issued span) (*credential, error) {
	c := &credential{
		value: a.AccessToken, refresh: a.RefreshToken, nonce: api.Nonce(), carrier: carrier, issued: issued,
		sid: a.Session.ID, subject: a.Session.Subject, client: a.Session.Client,
	}
	if carrier.Format != counterfoil.JWT {
		return c, nil
	}
	var claims struct {
		Kid string `json:"kid"`
		Jti string `json:"jti"`
		RV  string `json:"rv"`
		Exp int64  `json:"exp"`
	}
	parts := strings.Split(a.AccessToken, ".")
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
	c.token, c.key, c.expires = claims.Jti, claims.Kid, time.Unix(claims.Exp, 0)
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
	start := c.now()
	got, err := c.operator().CreateSession(ctx, api.NewSession{Subject: subject, Carrier: carrier.String(), Client: clientID})
	if err != nil {
		return nil, fmt.Errorf("make a session of %s: %w", subject, err)
	}
	c.history.login(subject)
	return readCredential(got, carrier, span{start, c.now()})
}

// renew refreshes old into another credential of the same session.
func (c *client) renew(ctx context.Context, old *credential) (*credential, error) {
	start := c.now()
	got, err := c.public().Refresh(ctx, api.Refresh[string]{RefreshToken: old.refresh, RefreshNonce: old.nonce, Client: old.client})
	if err != nil {
		return nil, fmt.Errorf("refresh session %s: %w", old.sid, err)
	}
	next, err := readCredential(got, old.carrier, span{start, c.now()})
	if err == nil {
		next.issued = old.issued // a revocation of the session covers this copy too
	}
	return next, err
}

// revoke revokes what scope and id name. An error means that the outcome is unknown. The
// revocation is recorded in both cases.
func (c *client) revoke(ctx context.Context, scope, id string, everywhere bool) (*revocation, error) {
	body := api.Revocation{Scope: source.Scope(scope), ID: id}
	if everywhere {
		body.Wait = api.WaitAll
	}
	return c.revoked(&revocation{scope: scope, id: id}, func() (api.Receipt, error) { return c.operator().Revoke(ctx, body) })
}

// endOthers ends, with the credential spared, all other sessions of its subject. The transport
// of operators would replace that credential, so direct is another.
func (c *client) endOthers(ctx context.Context, direct http.RoundTripper, spared *credential) (*revocation, error) {
	owner := &api.Client{URL: c.url, HTTP: &http.Client{Transport: direct, Timeout: time.Minute}, Key: spared.value}
	return c.revoked(&revocation{scope: "others", id: spared.subject, spared: spared.sid}, func() (api.Receipt, error) { return owner.EndOthers(ctx) })
}

// revoked records r, which call does, when it is complete: nothing changes it afterwards.
func (c *client) revoked(r *revocation, call func() (api.Receipt, error)) (*revocation, error) {
	r.span = span{start: c.now(), end: 1<<63 - 1}
	got, err := call()
	if err == nil {
		r.acked, r.end, r.everywhere = true, c.now(), got.Confirmed
		r.epoch, r.seq = got.Cursor.Epoch, got.Cursor.Seq
	} else {
		err = fmt.Errorf("revoke %s %s: %w", r.scope, r.id, err)
	}
	c.revocation(r)
	return r, err
}

func (r *revocation) cursor() counterfoil.Cursor {
	return counterfoil.Cursor{Epoch: r.epoch, Seq: r.seq}
}

func (c *client) source() (counterfoil.Source, error) {
	return counterfoil.Remote(c.url, counterfoil.RemoteOptions{Credential: keyPlaceholder, Transport: c.web.Transport})
}

// readKeys reads the key set. It returns an error if the server has another issuer URL.
func (c *client) readKeys(ctx context.Context) error {
	source, err := c.source()
	if err == nil {
		_, err = source.Keys(ctx)
	}
	return err
}

// readLog reads the log from zero, as a new verifier does. It returns how long that took.
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

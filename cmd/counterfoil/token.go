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
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// tokenInput reads a token from a file or standard input. A token is never an argument: everybody
// on the machine can read those.
type tokenInput struct {
	File string `arg:"" optional:"" default:"-" help:"File that holds the token; - is standard input."`
}

func (i tokenInput) read(ctx context.Context) (string, error) {
	in := io.Reader(os.Stdin)
	switch {
	case i.File == "-" && atTerminal():
		line, err := secretLine(ctx, "token")
		if err != nil {
			return "", err
		}
		in = strings.NewReader(line)
	case i.File != "-":
		f, err := os.Open(i.File)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(textfile.Reader(in), 1<<20))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", misuse("no token was given\nhint: pipe it into this command, or name a file that holds it")
	}
	return text, nil
}

type tokenDecode struct {
	tokenInput
	JSON bool `help:"Print JSON."`
}

// decoded is what a token says. Nothing of it is verified.
type decoded struct {
	Kind      string          `json:"kind"`
	Verified  bool            `json:"verified"` // always false
	Header    json.RawMessage `json:"header,omitempty"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Signature int             `json:"signature_bytes,omitempty"`
}

// Run prints what a token says, without verifying it.
func (c *tokenDecode) Run(ctx context.Context) error {
	text, err := c.read(ctx)
	if err != nil {
		return err
	}
	d, err := decode(text)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(os.Stdout, d)
	}
	fmt.Fprintln(os.Stderr, "UNVERIFIED: anybody can write such a token; counterfoil token verify verifies it")
	fmt.Println(d.Kind)
	for _, part := range []json.RawMessage{d.Header, d.Claims} {
		if part != nil {
			fmt.Println(indented(part))
		}
	}
	for _, line := range times(d.Claims, time.Now()) {
		fmt.Println(line)
	}
	return nil
}

func decode(text string) (decoded, error) {
	parts := strings.Split(text, ".")
	switch len(parts) {
	case 1:
		if token.ShapeOf(text) == token.ShapeOpaque {
			return decoded{Kind: "opaque id: only its issuer can tell what it stands for"}, nil
		}
	case 3:
		header, err1 := part(parts[0])
		claims, err2 := part(parts[1])
		signature, err3 := base64.RawURLEncoding.DecodeString(parts[2])
		if err := errors.Join(err1, err2, err3); err == nil {
			return decoded{Kind: "signed token (JWS)", Header: header, Claims: claims, Signature: len(signature)}, nil
		}
	case 5:
		if header, err := part(parts[0]); err == nil {
			return decoded{Kind: "encrypted token (JWE): only its issuer and the owner of its key can read the claims", Header: header}, nil
		}
	}
	return decoded{}, errors.New("this is no token: want a JWS (3 parts), a JWE (5 parts) or an opaque id (43 characters)")
}

func part(s string) (json.RawMessage, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, err
	}
	if !json.Valid(raw) {
		return nil, errors.New("not JSON")
	}
	return raw, nil
}

// indented is raw for a terminal, without the control characters that JSON may contain.
func indented(raw []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil {
		return "not JSON"
	}
	return strings.Map(visible, out.String())
}

// visible replaces characters that move the cursor or change the direction of text.
func visible(r rune) rune {
	if r != '\n' && check.Harm(r) != "" {
		return unicode.ReplacementChar
	}
	return r
}

// printable is one line of text for a terminal.
func printable(s string) string { return strings.ReplaceAll(strings.Map(visible, s), "\n", " ") }

// times prints the times in claims as dates.
func times(claims json.RawMessage, now time.Time) []string {
	var members map[string]json.RawMessage
	if json.Unmarshal(claims, &members) != nil {
		return nil
	}
	var lines []string
	for _, name := range []string{"auth_time", "iat", "nbf", "exp"} {
		var seconds int64
		if json.Unmarshal(members[name], &seconds) != nil {
			continue
		}
		at := time.Unix(seconds, 0).UTC()
		away := at.Sub(now).Round(time.Second)
		when := "in " + away.String()
		if away <= 0 {
			when = (-away).String() + " ago"
		}
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", name, at.Format(time.RFC3339), when))
	}
	return lines
}

type tokenVerify struct {
	tokenInput
	JWKS     string        `name:"jwks" required:"" placeholder:"FILE|URL" help:"Key set of the issuer: a file, or an https URL."`
	Issuer   string        `required:"" placeholder:"URL" help:"The iss that the token must have."`
	Audience string        `required:"" placeholder:"NAME" help:"The aud that the token must contain."`
	Type     string        `name:"typ" default:"at+jwt" placeholder:"TYP" help:"The typ that the token must have."`
	Leeway   time.Duration `default:"30s" placeholder:"TIME" help:"Allowance for clocks that differ, at most 1m."`
	JSON     bool          `help:"Print JSON."`
	Quiet    bool          `help:"Print nothing; only the exit code tells."`
}

// Run checks signature, type, issuer, audience and times. It cannot see whether the session
// was revoked: that is in the revocation log.
func (c *tokenVerify) Run(ctx context.Context) error {
	if c.Leeway < 0 || c.Leeway > time.Minute {
		return misuse("--leeway is %s: want 0s to 1m", config.Duration(c.Leeway))
	}
	text, err := c.read(ctx)
	if err != nil {
		return err
	}
	keys, err := keySet(ctx, c.JWKS)
	if err != nil {
		return err
	}
	payload, kid, err := token.VerifyJWS(text, c.Type, func(kid string) (token.Key, bool) {
		i := slices.IndexFunc(keys, func(k token.Key) bool { return k.ID == kid })
		if i < 0 {
			return token.Key{}, false
		}
		return keys[i], true
	})
	if err == nil {
		err = c.claims(payload, time.Now())
	}
	if c.JSON {
		answer := map[string]any{"valid": err == nil}
		if err != nil {
			answer["problem"] = err.Error()
		} else {
			answer["kid"], answer["claims"] = kid, json.RawMessage(payload)
		}
		if werr := writeJSON(os.Stdout, answer); werr != nil {
			return werr
		}
	}
	if err != nil {
		return fmt.Errorf("the token is refused: %w%w", err, hidden{errDenied})
	}
	if !c.JSON && !c.Quiet {
		fmt.Printf("valid, signed with %s\n%s\n", kid, indented([]byte(payload)))
		fmt.Fprintln(os.Stderr, "This does not say whether its session was revoked: that is in the revocation log.")
	}
	return nil
}

// hidden wraps an error for errors.Is and has no text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

func (c *tokenVerify) claims(payload string, now time.Time) error {
	got, err := token.ParseClaims(payload)
	switch {
	case err != nil:
		return err
	case got.Issuer != c.Issuer:
		return fmt.Errorf("iss is %q, not %q", got.Issuer, c.Issuer)
	case !slices.Contains(got.Audience, c.Audience):
		return fmt.Errorf("aud is %q, without %q", got.Audience, c.Audience)
	case !now.Before(time.Unix(got.Expires, 0).Add(c.Leeway)):
		return fmt.Errorf("it expired at %s", time.Unix(got.Expires, 0).UTC().Format(time.RFC3339))
	case got.IssuedAt != 0 && now.Before(time.Unix(got.IssuedAt, 0).Add(-c.Leeway)):
		return errors.New("iat is in the future")
	case got.NotBefore != 0 && now.Before(time.Unix(got.NotBefore, 0).Add(-c.Leeway)):
		return errors.New("nbf is in the future")
	}
	return nil
}

const maxKeySet = 256 << 10

// keySet reads a JWK Set from a file or an https URL (KEY-07).
func keySet(ctx context.Context, from string) ([]token.Key, error) {
	var data []byte
	var err error
	if strings.Contains(from, "://") {
		if data, err = fetch(ctx, from); err != nil {
			return nil, err
		}
	} else if data, err = textfile.Read(from); err != nil {
		return nil, err
	}
	keys, skipped, err := token.ParseJWKS(data)
	if err != nil {
		return nil, fmt.Errorf("key set %s: %w", from, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key set %s has no usable key: %w", from, errors.Join(skipped...))
	}
	return keys, nil
}

func fetch(ctx context.Context, from string) ([]byte, error) {
	u, err := url.Parse(from)
	if err != nil || u.Hostname() == "" || !urls.Protected(u) {
		return nil, misuse("key set %s: want an https URL, or http on loopback", from)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("key set: %w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil || res.StatusCode != http.StatusOK || len(data) > maxKeySet {
		return nil, fmt.Errorf("key set: %s %w: %s", from, errUnreachable, res.Status)
	}
	return data, nil
}

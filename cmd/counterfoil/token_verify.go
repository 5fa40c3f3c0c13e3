package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/inspect"
	"github.com/counterfoil/counterfoil/internal/config"
)

type tokenVerify struct {
	tokenInput
	tokenKeys
	tokenTime
	JWKS     string        `name:"jwks" xor:"key" placeholder:"FILE|URL" help:"Key set of the issuer: a file, or an https URL, which is fetched. No other address ever is."`
	Issuer   string        `placeholder:"URL" help:"The iss that the token must have. Empty: not checked."`
	Audience string        `placeholder:"NAME" help:"The aud that the token must contain. Empty: not checked."`
	Type     string        `name:"typ" placeholder:"TYP" help:"The typ that the token must have, such as at+jwt. Empty: not checked."`
	Nonce    string        `placeholder:"TEXT" help:"The nonce that the token, or the key binding of an SD-JWT, must have. Empty: not checked."`
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
	text, now, err := c.readAt(ctx, c.tokenInput)
	if err != nil {
		return err
	}
	keys, err := c.find(ctx, text)
	if err != nil {
		return err
	}
	v, err := inspect.Verify(text, inspect.VerifyOptions{Keys: keys, Issuer: c.Issuer, Audience: c.Audience,
		Type: c.Type, Nonce: c.Nonce, Leeway: c.Leeway, Now: now})
	if errors.Is(err, inspect.ErrEncrypted) {
		return fmt.Errorf("%w\nhint: counterfoil token decrypt --key FILE | counterfoil token verify …", err)
	}
	if err != nil {
		return err
	}
	switch {
	case c.JSON:
		if err := writeJSON(os.Stdout, v); err != nil {
			return err
		}
	case !c.Quiet:
		printVerified(os.Stdout, v)
	}
	if !v.Valid {
		return fmt.Errorf("the token is refused: %s", printable(v.Problem()))
	}
	if !c.JSON && !c.Quiet {
		fmt.Fprintln(os.Stderr, "This does not say whether its session was revoked: that is in the revocation log.")
	}
	return nil
}

// find reads the keys. A DPoP proof brings its own.
func (c *tokenVerify) find(ctx context.Context, text string) (*inspect.Keys, error) {
	if c.JWKS != "" {
		return keySet(ctx, c.JWKS)
	}
	keys, err := c.keys(ctx, c.File)
	if keys != nil || err != nil {
		return keys, err
	}
	if keys, ok := inspect.ProofKey(text); ok {
		return keys, nil
	}
	return nil, misuse("no key was given\nhint: name one with --jwks, --key, --secret or --secret-env")
}

// printVerified prints each check and how it ended, and then what can be believed.
func printVerified(w io.Writer, v *inspect.Verified) {
	if v.Valid {
		key := ""
		if v.Key != "" {
			key = ", signed with " + v.Key
		}
		fmt.Fprintln(w, printable("valid"+key+": "+v.Title))
	} else {
		fmt.Fprintln(w, printable("REFUSED: "+v.Title))
	}
	for _, c := range v.Checks {
		fmt.Fprintf(w, "  %-6s  %-12s  %s\n", c.Outcome, c.Name, printable(c.Text))
	}
	for _, s := range v.Skipped {
		fmt.Fprintf(w, "  skipped %s: %s\n", printable(s.Key), printable(s.Reason))
	}
	for _, warning := range v.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", printable(warning))
	}
	if !v.Valid {
		return
	}
	if v.Thumbprint != "" {
		fmt.Fprintf(w, "thumbprint of the key: %s\n", v.Thumbprint)
	}
	switch {
	case v.Claims != nil:
		fmt.Fprintf(w, "claims (verified) %s\n", indented(v.Claims))
	case v.Payload != nil:
		fmt.Fprintf(w, "payload (verified) %s\n", strings.Map(visible, string(v.Payload)))
	}
	for _, d := range v.Disclosed {
		fmt.Fprintf(w, "disclosed (verified) %s = %s\n", printable(orDash(d.Name)), printable(string(d.Value)))
	}
}

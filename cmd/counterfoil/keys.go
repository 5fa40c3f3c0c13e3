package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// signingKey is a key of the ring as the API shows it.
type signingKey struct {
	ID      string    `json:"id"`
	Alg     string    `json:"alg"`
	Status  string    `json:"status"`
	Created time.Time `json:"created"`
	From    time.Time `json:"from,omitzero"`
}

type signingKeys struct {
	Keys []signingKey `json:"keys"`
}

func (k signingKeys) print(asJSON bool) error {
	if asJSON {
		return writeJSON(os.Stdout, append([]signingKey{}, k.Keys...))
	}
	var rows [][]string
	for _, k := range k.Keys {
		rows = append(rows, []string{k.ID, k.Alg, k.Status, minute(k.Created), minute(k.From)})
	}
	return table([]column{{name: "ID"}, {name: "ALG"}, {name: "STATUS"}, {name: "CREATED"}, {name: "SIGNS FROM"}}, rows)
}

type keyList struct{ placeFlags }

// Run lists the signing keys.
func (c *keyList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		var keys signingKeys
		if err := a.call(ctx, "GET", "/v1/admin/keys", nil, &keys); err != nil {
			return err
		}
		return keys.print(c.JSON)
	})
}

type keyRotate struct{ placeFlags }

// Run has another key sign when verifiers know it.
func (c *keyRotate) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		var keys signingKeys
		if err := a.call(ctx, "POST", "/v1/admin/keys/rotate", nil, &keys); err != nil {
			return err
		}
		for _, k := range keys.Keys {
			if k.Status == "next" {
				fmt.Fprintf(os.Stderr, "%s signs from %s, when every verifier has it.\n", k.ID, minute(k.From))
				fmt.Fprintln(os.Stderr, "hint: counterfoil key revoke ends the active one, and the next signs at once")
			}
		}
		return keys.print(c.JSON)
	})
}

type keyRevoke struct {
	placeFlags
	ID     string `arg:"" help:"Id of the signing key (kid)."`
	Reason string `placeholder:"TEXT" help:"Why; it is kept in the log and the audit trail."`
	Wait   bool   `help:"Return when no verifier accepts what it signed."`
	Quiet  bool   `help:"Print nothing."`
}

// Run takes a key out of use: everything that it signed is refused.
func (c *keyRevoke) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error { return a.revoke(ctx, "key", c.ID, c.Reason, c.Wait, c.JSON, c.Quiet) })
}

// apiKey is an API key as the API shows it: without the key.
type apiKey struct {
	Key      string    `json:"key,omitempty"` // in the answer that made it, and never again
	ID       string    `json:"id"`
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"audience,omitempty"`
	User     string    `json:"user,omitempty"`
	Created  time.Time `json:"created"`
}

type keyCreate struct {
	placeFlags
	Client   string   `required:"" placeholder:"NAME" help:"Who will use the key."`
	Scope    []string `required:"" placeholder:"SCOPE" help:"revocation:read, introspect, sessions:create or admin; may be repeated."`
	Audience []string `placeholder:"NAME" help:"Whose credentials it may introspect; default: all of this issuer."`
}

// Run makes an API key and prints it: only its hash is kept.
func (c *keyCreate) Run(ctx context.Context) error {
	return c.withNew(ctx, func(a *admin) error {
		body := map[string]any{"client": c.Client, "scopes": c.Scope}
		if c.Audience != nil {
			body["audience"] = c.Audience
		}
		var made apiKey
		if err := a.call(ctx, "POST", "/v1/admin/apikeys", body, &made); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, made)
		}
		fmt.Println(made.Key)
		return nil
	})
}

type apiKeyList struct{ placeFlags }

// Run lists the API keys.
func (c *apiKeyList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		var answer struct {
			Keys []apiKey `json:"apikeys"`
		}
		if err := a.call(ctx, "GET", "/v1/admin/apikeys", nil, &answer); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, append([]apiKey{}, answer.Keys...))
		}
		var rows [][]string
		for _, k := range answer.Keys {
			rows = append(rows, []string{k.ID, k.Client, strings.Join(k.Scopes, ",")})
		}
		return table([]column{{name: "ID"}, {"CLIENT", true}, {"SCOPES", true}}, rows)
	})
}

type apiKeyDelete struct {
	placeFlags
	ID string `arg:"" help:"Id of the API key."`
}

// Run makes an API key void.
func (c *apiKeyDelete) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		if err := a.call(ctx, "DELETE", "/v1/admin/apikeys/"+escaped(c.ID), nil, nil); err != nil {
			return fmt.Errorf("API key %s: %w", c.ID, err)
		}
		return nil
	})
}

func isNotFound(err error) bool {
	var answer *refused
	return errors.As(err, &answer) && answer.Status == 404
}

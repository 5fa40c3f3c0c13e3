package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
)

func printKeys(keys []keyring.Description, asJSON bool) error {
	if asJSON {
		return writeJSON(os.Stdout, append([]keyring.Description{}, keys...))
	}
	var rows [][]string
	for _, k := range keys {
		rows = append(rows, []string{k.ID, string(k.Alg), string(k.Status), minute(k.Created), minute(k.From)})
	}
	return table([]column{{name: "ID"}, {name: "ALG"}, {name: "STATUS"}, {name: "CREATED"}, {name: "SIGNS FROM"}}, rows)
}

type keyList struct{ placeFlags }

// Run lists the signing keys.
func (c *keyList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		keys, err := a.SigningKeys(ctx)
		if err != nil {
			return err
		}
		return printKeys(keys, c.JSON)
	})
}

type keyRotate struct{ placeFlags }

// Run makes the next signing key, which signs once verifiers have had time to fetch it.
func (c *keyRotate) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		keys, err := a.RotateKey(ctx)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.Status == keyring.Next {
				fmt.Fprintf(os.Stderr, "%s signs from %s on, when every verifier has it.\n", k.ID, minute(k.From))
				fmt.Fprintln(os.Stderr, "hint: counterfoil key revoke takes the active key out of use, and the next one signs at once")
			}
		}
		return printKeys(keys, c.JSON)
	})
}

type keyRevoke struct {
	revokeFlags
	ID string `arg:"" help:"Id of the signing key (kid)."`
}

// Run revokes a signing key: verifiers refuse every token that it signed.
func (c *keyRevoke) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error { return c.revoke(ctx, a, source.ScopeKey, c.ID) })
}

type keyCreate struct {
	placeFlags
	Client   string   `required:"" placeholder:"NAME" help:"Name of the program that will use the key."`
	Scope    []string `required:"" placeholder:"SCOPE" help:"revocation:read, introspect, sessions:create or admin; may be repeated."`
	Audience []string `placeholder:"NAME" help:"Audience whose tokens the key may introspect; may be repeated. Empty: all of this issuer."`
}

// Run makes an API key and prints it. The server keeps only a hash of it.
func (c *keyCreate) Run(ctx context.Context) error {
	return c.withNew(ctx, func(a *admin) error {
		made, err := a.CreateAPIKey(ctx, api.NewAPIKey{Client: c.Client, Scopes: c.Scope, Audience: c.Audience})
		if err != nil {
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
		keys, err := a.APIKeys(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, append([]api.APIKey{}, keys...))
		}
		var rows [][]string
		for _, k := range keys {
			rows = append(rows, []string{k.ID, k.Client, strings.Join(k.Scopes, ",")})
		}
		return table([]column{{name: "ID"}, {"CLIENT", true}, {"SCOPES", true}}, rows)
	})
}

type apiKeyDelete struct {
	placeFlags
	ID string `arg:"" help:"Id of the API key."`
}

// Run deletes an API key.
func (c *apiKeyDelete) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		if err := a.DeleteAPIKey(ctx, c.ID); err != nil {
			return fmt.Errorf("API key %s: %w", c.ID, err)
		}
		return nil
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/wholefile"
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
	return c.with(ctx, func(a *admin) error { return c.revoke(ctx, a, source.ScopeKey, c.ID, true) })
}

type keyCreate struct {
	placeFlags
	Client   string   `required:"" placeholder:"NAME" help:"Name of the program that will use the key: the client_id or user name that it shows with the key."`
	Scope    []string `required:"" placeholder:"SCOPE" help:"revocation:read, introspect, sessions:create, sessions:handover, sessions:exchange, admin:read or admin; may be repeated."`
	Audience []string `placeholder:"NAME" help:"Audience whose tokens the key may introspect; may be repeated. Empty: all of this issuer."`
	Sessions []string `name:"sessions-of" placeholder:"CLIENT" help:"Client whose sessions the key may make with sessions:create, take to other hosts with sessions:handover, and whose tokens it gets with sessions:exchange, * for all; may be repeated. Empty: the client of its own name."`
	User     string   `placeholder:"ID" help:"Id of the user that the key acts for: it may do no more than the user, and ends with the user's sessions. Empty: nobody."`
	Exp      string   `name:"introspection-exp" enum:"session,bound" default:"session" help:"When answers of introspection expire: with the credential (session), or after max_bound of the server at the latest (bound), for a service that keeps them until then."`
	Days     int      `placeholder:"N" help:"Days until the key expires, 1 to 365. Empty: 90."`
	Out      string   `type:"path" placeholder:"FILE" help:"New file for the key, with mode 0600; the id of the key is printed instead."`
}

// Run makes an API key and prints it, or writes it to a file. The server keeps only a hash of
// it.
func (c *keyCreate) Run(ctx context.Context) error {
	if err := c.checkOut(); err != nil {
		return err
	}
	return c.withNew(ctx, func(a *admin) error {
		b := api.NewAPIKey{Client: c.Client, Scopes: c.Scope, Audience: c.Audience, Clients: c.Sessions, User: c.User}
		if c.Exp != "session" {
			b.IntrospectionExp = c.Exp
		}
		if c.Days != 0 {
			b.Expires = time.Now().AddDate(0, 0, c.Days)
		}
		made, err := a.CreateAPIKey(ctx, b)
		if err != nil {
			return err
		}
		switch {
		case c.Out != "":
			return c.keep(ctx, a, made)
		case c.JSON:
			return writeJSON(os.Stdout, made)
		}
		fmt.Println(made.Key)
		return nil
	})
}

// checkOut finds out before a key is made whether it can be written: the file must be new, in
// a folder that is there.
func (c *keyCreate) checkOut() error {
	if c.Out == "" {
		return nil
	}
	if _, err := os.Lstat(c.Out); err == nil {
		return fmt.Errorf("%s is there already\nhint: name a new file, or remove this one", c.Out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := os.Stat(filepath.Dir(c.Out))
	return err
}

// keep writes the key to the file, and prints the rest. A key that cannot be written is deleted:
// nobody has it.
func (c *keyCreate) keep(ctx context.Context, a *admin, made api.MadeAPIKey) error {
	if err := wholefile.Create(c.Out, []byte(made.Key+"\n")); err != nil {
		return errors.Join(err, a.DeleteAPIKey(ctx, made.ID))
	}
	if c.JSON {
		return writeJSON(os.Stdout, made.APIKey)
	}
	fmt.Println(made.ID)
	return nil
}

type apiKeyList struct{ placeFlags }

// Run lists the API keys. Of one that no longer counts in full, the state stands where the
// others say when they expire.
func (c *apiKeyList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		keys, err := collect(a.APIKeys(ctx))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, keys)
		}
		var rows [][]string
		for _, k := range keys {
			expires, used := k.State, ""
			if k.State == string(accounts.KeyActive) {
				expires = day(k.Expires)
			}
			if !k.LastUsed.IsZero() {
				used = about(time.Since(k.LastUsed))
			}
			rows = append(rows, []string{k.ID, k.Client, strings.Join(k.Scopes, ","), expires, used})
		}
		return table([]column{{name: "ID"}, {"CLIENT", true}, {"SCOPES", true}, {name: "EXPIRES"}, {name: "USED"}}, rows)
	})
}

type apiKeyDelete struct {
	placeFlags
	sureFlags
	ID string `arg:"" help:"Id of the API key."`
}

// Run deletes an API key.
func (c *apiKeyDelete) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		sure, err := c.sure(ctx, c.JSON, func(int) (plan, error) { return a.apiKeyEnd(ctx, c.ID) })
		if err != nil || !sure {
			return err
		}
		if err := a.DeleteAPIKey(ctx, c.ID); err != nil {
			return fmt.Errorf("API key %s: %w", c.ID, err)
		}
		return nil
	})
}

// apiKeyEnd is the plan of deleting an API key.
func (a *admin) apiKeyEnd(ctx context.Context, id string) (plan, error) {
	k, err := a.APIKey(ctx, id)
	if answered(err) == http.StatusNotFound {
		return plan{}, fmt.Errorf("API key %s: %w\nhint: counterfoil apikey list prints the ids", id, err)
	}
	return plan{What: "API key " + id + " of " + k.Client, APIKeys: 1, keeps: true, Effect: "the program that has it is refused at once"}, err
}

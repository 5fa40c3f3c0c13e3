package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
)

// anyIssuer stands where an issuer's URL is required and no token is made.
const anyIssuer = "http://127.0.0.1:8080"

// placeFlags say where the data is; every command that touches it has them.
// Everything else comes from the environment and the configuration file.
type placeFlags struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	Data       string `type:"path" placeholder:"DIR" help:"Folder of counterfoil.db, counterfoil.key and counterfoil.sock."`
}

func (p *placeFlags) load() (*config, error) {
	c := configFlags{ConfigFile: p.ConfigFile, config: config{Data: p.Data}}
	if _, err := c.load(given{"data": p.Data != ""}); err != nil {
		return nil, err
	}
	return &c.config, nil
}

// open opens the store of this place.
func (p *placeFlags) open(ctx context.Context) (*parts, error) {
	c, err := p.load()
	if err != nil {
		return nil, err
	}
	if c.Issuer == "" {
		c.Issuer = anyIssuer
	}
	return c.open(ctx, openOptions{hook: func(audit.Entry) {}}) // the entry is kept in the store
}

type userAdd struct {
	placeFlags
	Identifier string   `arg:"" help:"What the user signs in with."`
	Name       string   `help:"Display name."`
	Role       []string `help:"Role; may be repeated."`
}

// Run adds the user. The password is never a flag: those are seen by everybody on
// the machine.
func (c *userAdd) Run(ctx context.Context) error {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 4096))
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	_, err = p.passwords.Register(ctx, audit.Act{By: audit.ByLocal}, c.Identifier, c.Name, secret.New(strings.TrimSuffix(line, "\r")), c.Role)
	return errors.Join(err, p.store.Close())
}

type keyCreate struct {
	placeFlags
	Client string   `required:"" help:"Who will use the key."`
	Scope  []string `required:"" help:"revocation:read, introspect, sessions:create or admin; may be repeated."`
}

// Run makes the key and prints it: only its hash is kept.
func (c *keyCreate) Run(ctx context.Context) error {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	_, key, err := p.users.NewKey(ctx, audit.Act{By: audit.ByLocal}, directory.APIKey{Client: c.Client, Scopes: c.Scope})
	if err := errors.Join(err, p.store.Close()); err != nil {
		return err
	}
	fmt.Println(key.Reveal())
	return nil
}

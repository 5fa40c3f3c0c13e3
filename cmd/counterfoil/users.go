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

type userAdd struct {
	dataFlags
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
	p, err := c.open(ctx, anyIssuer)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	_, err = p.passwords.Register(ctx, audit.Act{By: audit.ByLocal}, c.Identifier, c.Name, secret.New(strings.TrimSuffix(line, "\r")), c.Role)
	return errors.Join(err, p.store.Close())
}

type keyCreate struct {
	dataFlags
	Client string   `required:"" help:"Who will use the key."`
	Scope  []string `required:"" help:"revocation:read, introspect, sessions:create or admin; may be repeated."`
}

// Run makes the key and prints it: only its hash is kept.
func (c *keyCreate) Run(ctx context.Context) error {
	p, err := c.open(ctx, anyIssuer)
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

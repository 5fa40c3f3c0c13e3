package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// openDurable opens the store that keeps what the process leaves.
func (c *config) openDurable(ctx context.Context) (store.Store, error) {
	if isPostgres(c.Store) {
		return postgres.Open(ctx, postgres.Options{URL: c.Store})
	}
	return sqlite.Open(ctx, filepath.Join(c.Data, databaseName))
}

// mark is the file that tells a server's data folder from any other.
func (c *config) mark() string {
	if isPostgres(c.Store) {
		return sealName
	}
	return databaseName
}

func isPostgres(name string) bool {
	return strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://")
}

// checkStore: flags and printed settings are for everybody on the machine to see, so
// a password has no place in one (OPS-11). What travels to the database signs tokens
// and ends sessions, so it goes to another machine under TLS that is checked.
func (c *config) checkStore(v *verdict) {
	switch {
	case c.Store == "memory" && c.Production: // otherwise the start says it
		v.warnings = append(v.warnings, problem{Where: v.where["store"], Key: "store", Problem: "is memory: users, keys and sessions end with the process"})
		return
	case !isPostgres(c.Store):
		return
	}
	if passwordIn(c.Store) {
		v.refuse("store", "has a password in it, which everybody on this machine can see", "put it into PGPASSWORD, or a file that PGPASSFILE names")
		return
	}
	at, err := pgx.ParseConfig(c.Store)
	if err != nil {
		v.refuse("store", "is no PostgreSQL URL: "+err.Error(), "")
		return
	}
	checked := trustworthy(at.Host, at.TLSConfig)
	for _, f := range at.Fallbacks {
		checked = checked && trustworthy(f.Host, f.TLSConfig)
	}
	if !checked {
		v.danger(c.Production, "store", "leads to another machine without checking who it is", "add sslmode=verify-full, and sslrootcert=FILE if the CA is your own")
	}
}

// passwordIn reports whether a connection URL carries a password.
func passwordIn(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	authority, query, _ := strings.Cut(rest, "?")
	authority, _, _ = strings.Cut(authority, "/")
	user, _, found := strings.Cut(authority, "@")
	return found && strings.Contains(user, ":") || strings.Contains("&"+strings.ToLower(query), "&password=")
}

// trustworthy reports whether a connection stays on this machine or proves its other end.
func trustworthy(host string, c *tls.Config) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return true
	}
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// checkStoreName is checkText's rule for where data lives.
func checkStoreName(value string) error {
	switch {
	case value == "", value == "sqlite", value == "memory", isPostgres(value):
		return nil
	}
	return fmt.Errorf("is %q: want sqlite, memory or postgres://USER@HOST/DATABASE", value)
}

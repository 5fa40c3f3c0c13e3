package main

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// sessionsName is the file of a SQLite store that holds sessions alone.
const sessionsName = "sessions.db"

// openNamed opens the store of that name; SQLite keeps it in file.
func (c *settings) openNamed(ctx context.Context, name, file string) (store.Store, error) {
	switch {
	case name == "memory":
		return memory.New(), nil
	case isPostgres(name):
		return postgres.Open(ctx, postgres.Options{URL: name})
	case isRedis(name):
		return redis.Open(ctx, redis.Options{URL: name, Password: c.SessionsPass.Reveal()})
	}
	return sqlite.Open(ctx, filepath.Join(c.Data, file))
}

// apart reports whether sessions live in a store of their own.
func (c *settings) apart() bool {
	own, sessions := c.Store, c.Sessions
	if own == "sqlite" {
		own = ""
	}
	if sessions == "sqlite" {
		sessions = ""
	}
	return c.Sessions != "" && own != sessions
}

// landmark is the file that tells a server's data folder from any other.
func (c *settings) landmark() string {
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
func (c *settings) checkStore(v *config.Verdict) {
	switch {
	case c.Store == "memory" && c.Production: // otherwise the start says it
		v.Warn("store", "is memory: users, keys and sessions end with the process", "")
		return
	case !isPostgres(c.Store):
		return
	}
	c.checkPostgres(v, "store", c.Store)
}

func (c *settings) checkPostgres(v *config.Verdict, key, name string) {
	if passwordIn(name) {
		v.Refuse(key, "has a password in it, which everybody on this machine can see", "put it into PGPASSWORD, or a file that PGPASSFILE names")
		return
	}
	at, err := pgx.ParseConfig(name)
	if err != nil {
		v.Refuse(key, "is no PostgreSQL URL: "+err.Error(), "")
		return
	}
	checked := trustworthy(at.Host, at.TLSConfig)
	for _, f := range at.Fallbacks {
		checked = checked && trustworthy(f.Host, f.TLSConfig)
	}
	if !checked {
		v.Danger(key, "leads to another machine without checking who it is", "add sslmode=verify-full, and sslrootcert=FILE if the CA is your own")
	}
}

// checkSessions: sessions may be worth less than users, never more: one that outlived
// its user would be nobody's.
func (c *settings) checkSessions(v *config.Verdict) {
	if c.SessionsPass.Reveal() != "" && !isRedis(c.Sessions) {
		v.Refuse("sessions_password", "is set, and sessions is no Redis", "")
	}
	if !c.apart() {
		return
	}
	switch {
	case c.Store == "memory":
		v.Refuse("sessions", "would outlive the users, whose store is memory", "let store be sqlite or PostgreSQL")
	case c.Sessions == "memory":
		v.Warn("sessions", "is memory: all sessions end with the process, and no other server knows them", "")
	case isPostgres(c.Sessions):
		c.checkPostgres(v, "sessions", c.Sessions)
	case isRedis(c.Sessions):
		c.checkRedis(v)
	}
}

// checkRedis holds Redis to what checkPostgres wants (OPS-10, OPS-11).
func (c *settings) checkRedis(v *config.Verdict) {
	place, err := redis.ParseURL(c.Sessions)
	switch {
	case err != nil:
		v.Refuse("sessions", "is "+err.Error(), "")
		return
	case place.HasPassword():
		v.Refuse("sessions", "has a password in it, which everybody on this machine can see", "put it into a file, and name that in "+envPrefix+"SESSIONS_PASSWORD_FILE")
		return
	}
	away := slices.ContainsFunc(place.Hosts, func(host string) bool { return !urls.Loopback(host) })
	if away && !place.TLS {
		v.Danger("sessions", "leads to another machine in plain text: whoever is on the way can read and end sessions", "use rediss:// or rediss-sentinel://, and ca=FILE if the CA is your own")
	}
	if away && place.User == "" && c.SessionsPass.Reveal() == "" {
		v.Danger("sessions", "leads to a Redis that asks nobody for a password", "give it users (docs/operations-redis.md), name one in the URL, and set sessions_password")
	}
}

// openHint is what to do about a store that does not let us in, or empty.
func openHint(err error) string {
	var inPostgres *pgconn.PgError
	var inRedis *rueidis.RedisError
	switch {
	case errors.As(err, &inPostgres) && strings.HasPrefix(inPostgres.Code, "28"): // invalid_authorization_specification
		return "the password comes from PGPASSWORD, or a file that PGPASSFILE names"
	case errors.As(err, &inPostgres) && inPostgres.Code == "3D000": // invalid_catalog_name
		return "make the database first: CREATE DATABASE"
	case errors.As(err, &inRedis) && (strings.HasPrefix(inRedis.Error(), "NOAUTH") || strings.HasPrefix(inRedis.Error(), "WRONGPASS")):
		return "name the user in the URL, and set " + envPrefix + "SESSIONS_PASSWORD_FILE"
	}
	return ""
}

// passwordIn reports whether a connection URL carries a password.
func passwordIn(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	authority, _, _ := strings.Cut(rest, "/")
	user, _, found := strings.Cut(authority, "@") // in which a password with ? in it has no end
	_, query, _ := strings.Cut(strings.ToLower(rest), "?")
	query = "&" + query
	return found && strings.Contains(user, ":") || strings.Contains(query, "&password=") || strings.Contains(query, "&sslpassword=")
}

// trustworthy reports whether a connection stays on this machine or proves its other end.
func trustworthy(host string, c *tls.Config) bool {
	if strings.HasPrefix(host, "/") || urls.Loopback(host) {
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
	if isRedis(value) {
		return errors.New("is a Redis, which keeps sessions alone: name it in sessions")
	}
	// What is wrong with it is not shown: it may be a URL with a password.
	return errors.New("is none of sqlite, memory and postgres://USER@HOST/DATABASE")
}

func isRedis(name string) bool {
	scheme, _, found := strings.Cut(name, "://")
	return found && (scheme == "redis" || scheme == "rediss" || scheme == "redis-sentinel" || scheme == "rediss-sentinel")
}

func checkSessionsName(value string) error {
	if isRedis(value) || checkStoreName(value) == nil {
		return nil
	}
	return errors.New("is none of sqlite, memory, postgres://USER@HOST/DATABASE, redis://HOST:PORT and redis-sentinel://HOST:PORT,HOST:PORT/NAME")
}

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// sessionsName is the file of a SQLite store that has only sessions.
const sessionsName = "sessions.db"

// openNamed opens the store that name names. A SQLite store is in file.
func (c *settings) openNamed(ctx context.Context, name, file string) (store.Store, error) {
	switch {
	case name == "memory":
		return memory.New(), nil
	case isPostgres(name):
		return postgres.Open(ctx, postgres.Options{URL: name})
	case redis.IsURL(name):
		return redis.Open(ctx, redis.Options{URL: name, Password: c.SessionsPass.Reveal()})
	}
	return sqlite.Open(ctx, filepath.Join(c.Data, file))
}

// apart reports whether sessions are in another store than users.
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

// landmark is the file by which a command recognises the data folder of a server.
func (c *settings) landmark() string {
	if isPostgres(c.Store) {
		return sealName
	}
	return databaseName
}

func isPostgres(name string) bool {
	return strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://")
}

// checkStore refuses a password in the name of the store, because everybody on the machine can
// read flags (OPS-11). It wants TLS with a checked certificate to another machine, because an
// attacker on the way could sign tokens and end sessions.
func (c *settings) checkStore(v *config.Verdict) {
	switch {
	case c.Store == "memory" && c.Production: // in development the start logs it
		v.Warn("store", "is memory: users, keys and sessions end with the process", "")
	case isPostgres(c.Store):
		c.checkPostgres(v, "store", c.Store)
	}
}

func (c *settings) checkPostgres(v *config.Verdict, key, name string) {
	if passwordIn(name) {
		v.Refuse(key, "has a password in it: everybody on this machine can read it", "put it into PGPASSWORD, or a file that PGPASSFILE names")
		return
	}
	at, err := pgx.ParseConfig(name)
	if err != nil {
		v.Refuse(key, "is not a PostgreSQL URL: "+err.Error(), "")
		return
	}
	if path := postgresFile(name, "passfile", "PGPASSFILE", ".pgpass"); at.Password == "" && textfile.Marked(path) {
		v.Refuse(key, "needs "+path+", which begins with a byte order mark: it would be a part of the first host", "save the file without it, as UTF-8")
	}
	if at.Password != "" && os.Getenv("PGPASSWORD") == "" {
		checkPostgresFile(v, key, name, "passfile", "PGPASSFILE", ".pgpass")
	}
	if at.TLSConfig != nil && len(at.TLSConfig.Certificates) > 0 {
		checkPostgresFile(v, key, name, "sslkey", "PGSSLKEY", ".postgresql/postgresql.key")
	}
	checked := trustworthy(at.Host, at.TLSConfig)
	for _, f := range at.Fallbacks {
		checked = checked && trustworthy(f.Host, f.TLSConfig)
	}
	if !checked {
		v.Danger(key, "leads to another machine and does not check its certificate", "add sslmode=verify-full, and sslrootcert=FILE if the CA is your own")
	}
}

// checkPostgresFile refuses a file with a secret of ours that other users of the machine may read
// (OPS-11). libpq ignores such a file, and our driver does not.
func checkPostgresFile(v *config.Verdict, key, name, parameter, variable, home string) {
	path := postgresFile(name, parameter, variable, home)
	bad, open := errors.AsType[*private.Error](private.Secret(path))
	switch {
	case !open:
	case bad.Given:
		v.Warn(key, "needs "+bad.Path+", which "+bad.Problem, bad.Hint)
	default:
		v.Refuse(key, "needs "+bad.Path+", which "+bad.Problem+": psql would ignore it", bad.Hint)
	}
}

// postgresFile is a file that the driver reads: it is named by a parameter of the URL or by a
// variable, or is the one in the home folder.
func postgresFile(name, parameter, variable, home string) (path string) {
	if u, err := url.Parse(name); err == nil {
		path = u.Query().Get(parameter)
	}
	path = cmp.Or(path, os.Getenv(variable))
	if folder, err := os.UserHomeDir(); path == "" && err == nil {
		path = filepath.Join(folder, home)
	}
	return path
}

// checkSessions refuses a store of sessions that outlives the store of users: a session whose
// user is gone belongs to no account.
func (c *settings) checkSessions(v *config.Verdict) {
	if c.SessionsPass.Reveal() != "" && !redis.IsURL(c.Sessions) {
		v.Warn("sessions_password", "has no effect: sessions is not a Redis", "name the Redis with --sessions or "+envPrefix+"SESSIONS")
	}
	if !c.apart() {
		return
	}
	switch {
	case c.Store == "memory":
		v.Refuse("sessions", "would outlive the users, whose store is memory", "set store to sqlite or PostgreSQL")
	case c.Sessions == "memory":
		v.Warn("sessions", "is memory: all sessions end with the process, and no other server knows them", "")
	case isPostgres(c.Sessions):
		c.checkPostgres(v, "sessions", c.Sessions)
	case redis.IsURL(c.Sessions):
		c.checkRedis(v)
	}
}

// checkRedis has the rules of checkPostgres for Redis (OPS-10, OPS-11).
func (c *settings) checkRedis(v *config.Verdict) {
	place, err := redis.ParseURL(c.Sessions)
	switch {
	case err != nil:
		v.Refuse("sessions", "is "+err.Error(), "")
		return
	case place.HasPassword():
		v.Refuse("sessions", "has a password in it: everybody on this machine can read it", "put it into a file, and name that in "+envPrefix+"SESSIONS_PASSWORD_FILE")
		return
	}
	if folder := filepath.Dir(place.Socket); place.Socket != "" && everybodys(folder) {
		v.Warn("sessions", "leads to a socket in "+folder+", where every user of the machine can make one: while Redis is down, another program could keep the sessions", "set unixsocket of Redis to a file in a folder of its own, such as /run/redis")
	}
	away := slices.ContainsFunc(place.Hosts, func(host string) bool { return !urls.Loopback(host) })
	if away && !place.TLS {
		v.Danger("sessions", "leads to another machine without TLS: an attacker on the way can read and end sessions", "use rediss:// or rediss-sentinel://, and ca=FILE if the CA is your own")
	}
	if away && place.User == "" && c.SessionsPass.Reveal() == "" {
		v.Danger("sessions", "leads to a Redis on another machine without a password", "give it users (docs/operations-redis.md), name one in the URL, and set sessions_password")
	}
}

// everybodys reports whether every user of the machine can make files in a folder.
func everybodys(folder string) bool {
	info, err := os.Stat(folder)
	return err == nil && info.Mode().Perm()&0o002 != 0
}

// passwordIn reports whether a connection URL has a password in it.
func passwordIn(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	authority, _, _ := strings.Cut(rest, "/")
	user, _, found := strings.Cut(authority, "@") // before the query is cut off: a password may contain a question mark
	_, query, _ := strings.Cut(strings.ToLower(rest), "?")
	query = "&" + query
	return found && strings.Contains(user, ":") || strings.Contains(query, "&password=") || strings.Contains(query, "&sslpassword=")
}

// trustworthy reports whether a connection stays on this machine, or checks the certificate of the
// other one.
func trustworthy(host string, c *tls.Config) bool {
	if strings.HasPrefix(host, "/") || urls.Loopback(host) {
		return true
	}
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// checkStoreName checks the kind of setting that names a store.
func checkStoreName(value string) error {
	switch {
	case value == "", value == "sqlite", value == "memory", isPostgres(value):
		return nil
	}
	if redis.IsURL(value) {
		return errors.New("is a Redis, which can only keep sessions: name it in sessions")
	}
	// The text is not shown: it may be a URL with a password.
	return errors.New("is none of sqlite, memory and postgres://USER@HOST/DATABASE")
}

func checkSessionsName(value string) error {
	if redis.IsURL(value) || checkStoreName(value) == nil {
		return nil
	}
	return errors.New("is none of sqlite, memory, postgres://USER@HOST/DATABASE, redis://HOST:PORT, redis-sentinel://HOST:PORT,HOST:PORT/NAME and unix:///PATH")
}

package plain

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/rueidis"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// The tables of a [Store].
const (
	SessionTable = "plain_sessions" // of scs
	BlockTable   = "plain_blocked"  // JWTs that a logout ended, by jti
	RefreshTable = "plain_refresh"  // refresh tokens
)

var tables = []string{SessionTable, BlockTable, RefreshTable}

// Store is what the forms need of a database: values with an expiry, by table and key. Every
// method is one statement, except Replace at a Redis.
type Store interface {
	Get(ctx context.Context, table, key string) (value []byte, found bool, err error)
	Put(ctx context.Context, table, key string, value []byte, expires time.Time) error
	Delete(ctx context.Context, table, key string) error

	// Replace gives the value of the key old the key new. found is false if there was no such
	// value, and then nothing was done.
	Replace(ctx context.Context, table, old, new string, expires time.Time) (found bool, err error)

	Close() error
}

// OpenStore opens the database that name names: sqlite:PATH, postgres://…, or
// redis://…#PREFIX. It makes the tables.
func OpenStore(ctx context.Context, name string) (Store, error) {
	kind, where, _ := strings.Cut(name, ":")
	switch kind {
	case "sqlite":
		return openSQLite(ctx, where)
	case "postgres", "postgresql":
		return openPostgres(ctx, name)
	case "redis", "rediss":
		return openRedis(name)
	}
	return nil, errors.New("plain: want sqlite:PATH, postgres://… or redis://…")
}

// The statements, with the name of the table for %s. They are those of scs's own stores.
const (
	getSQL     = `SELECT data FROM %s WHERE token = $1 AND expiry > $2`
	putSQL     = `INSERT INTO %s (token, data, expiry) VALUES ($1, $2, $3) ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry`
	deleteSQL  = `DELETE FROM %s WHERE token = $1`
	replaceSQL = `UPDATE %s SET token = $2, expiry = $3 WHERE token = $1 AND expiry > $4`
)

// sqlite has the expiry as Unix time in milliseconds. SQLite has one writer, so writes take turns on one
// connection; readers do not wait for it.
type sqlite struct {
	read, write *sql.DB
	statements  map[string]*sql.Stmt // by statement and table
}

func openSQLite(ctx context.Context, path string) (Store, error) {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	s := &sqlite{statements: make(map[string]*sql.Stmt)}
	for db, connections := range map[**sql.DB]int{&s.read: 8, &s.write: 1} {
		var err error
		if *db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode()); err != nil {
			return nil, err
		}
		(*db).SetMaxOpenConns(connections)
		(*db).SetMaxIdleConns(connections)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *sqlite) prepare(ctx context.Context) (err error) {
	for _, table := range tables {
		_, err := s.write.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry INTEGER NOT NULL) WITHOUT ROWID`)
		if err != nil {
			return err
		}
		if s.statements[getSQL+table], err = s.read.PrepareContext(ctx, fmt.Sprintf(getSQL, table)); err != nil {
			return err
		}
		for _, text := range []string{putSQL, deleteSQL, replaceSQL} {
			if s.statements[text+table], err = s.write.PrepareContext(ctx, fmt.Sprintf(text, table)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sqlite) Get(ctx context.Context, table, key string) (value []byte, found bool, err error) {
	err = s.statements[getSQL+table].QueryRowContext(ctx, key, time.Now().UnixMilli()).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

func (s *sqlite) Put(ctx context.Context, table, key string, value []byte, expires time.Time) error {
	_, err := s.statements[putSQL+table].ExecContext(ctx, key, value, expires.UnixMilli())
	return err
}

func (s *sqlite) Delete(ctx context.Context, table, key string) error {
	_, err := s.statements[deleteSQL+table].ExecContext(ctx, key)
	return err
}

func (s *sqlite) Replace(ctx context.Context, table, old, new string, expires time.Time) (found bool, err error) {
	result, err := s.statements[replaceSQL+table].ExecContext(ctx, old, new, expires.UnixMilli(), time.Now().UnixMilli())
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

func (s *sqlite) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// postgres lets the driver prepare each statement once for each connection.
type postgres struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, name string) (Store, error) {
	pool, err := pgxpool.New(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		_, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)`)
		if err != nil && !strings.Contains(err.Error(), "SQLSTATE 23505") { // another process makes it at the same moment
			pool.Close()
			return nil, err
		}
	}
	return &postgres{pool}, nil
}

func (s *postgres) Get(ctx context.Context, table, key string) (value []byte, found bool, err error) {
	err = s.pool.QueryRow(ctx, fmt.Sprintf(getSQL, table), key, time.Now()).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

func (s *postgres) Put(ctx context.Context, table, key string, value []byte, expires time.Time) error {
	_, err := s.pool.Exec(ctx, fmt.Sprintf(putSQL, table), key, value, expires)
	return err
}

func (s *postgres) Delete(ctx context.Context, table, key string) error {
	_, err := s.pool.Exec(ctx, fmt.Sprintf(deleteSQL, table), key)
	return err
}

func (s *postgres) Replace(ctx context.Context, table, old, new string, expires time.Time) (found bool, err error) {
	done, err := s.pool.Exec(ctx, fmt.Sprintf(replaceSQL, table), old, new, expires, time.Now())
	return done.RowsAffected() > 0, err
}

func (s *postgres) Close() error { s.pool.Close(); return nil }

// redis sends what several goroutines ask in one round trip, as its driver does.
type redis struct {
	client rueidis.Client
	prefix string
}

func openRedis(name string) (Store, error) {
	at, prefix, _ := strings.Cut(name, "#")
	o, err := rueidis.ParseURL(at)
	if err != nil {
		return nil, errors.New("plain: no Redis URL") // err has the password
	}
	o.DisableCache = true
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, err
	}
	return &redis{client, prefix}, nil
}

func (s *redis) key(table, key string) string { return "{" + s.prefix + "}:" + table + ":" + key }

func (s *redis) Get(ctx context.Context, table, key string) (value []byte, found bool, err error) {
	value, err = s.client.Do(ctx, s.client.B().Get().Key(s.key(table, key)).Build()).AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, false, nil
	}
	return value, err == nil, err
}

func (s *redis) Put(ctx context.Context, table, key string, value []byte, expires time.Time) error {
	return s.client.Do(ctx, s.client.B().Set().Key(s.key(table, key)).Value(string(value)).PxatMillisecondsTimestamp(expires.UnixMilli()).Build()).Error()
}

func (s *redis) Delete(ctx context.Context, table, key string) error {
	return s.client.Do(ctx, s.client.B().Del().Key(s.key(table, key)).Build()).Error()
}

// Replace takes the value away first: of two callers with the same token, one finds it.
func (s *redis) Replace(ctx context.Context, table, old, new string, expires time.Time) (found bool, err error) {
	value, err := s.client.Do(ctx, s.client.B().Getdel().Key(s.key(table, old)).Build()).AsBytes()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.Put(ctx, table, new, value, expires)
}

func (s *redis) Close() error { s.client.Close(); return nil }

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

// Setting returns what a setting is on the store's connections.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// LogLock is the lock that commits share, or have alone.
const LogLock = logLock

// ErrPooler is what a pooler by transaction is refused with.
var ErrPooler = errPooler

// MigrateTo is Migrate as a program of an earlier version did it.
func MigrateTo(ctx context.Context, url string, version int64) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	return migrate(ctx, config, version)
}

// CommitSQL and Arguments are how Commit calls the database.
const CommitSQL = commitSQL

func Arguments(b store.Batch) []any { return arguments(b) }

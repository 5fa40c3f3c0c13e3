package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

// Setting returns the value of a setting on a connection of the store.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// LogLock is the lock that commits hold shared or exclusively.
const LogLock = logLock

// ErrPooler is what Open returns for a pooler in transaction mode.
var ErrPooler = errPooler

// MigrateTo migrates to an earlier version of the schema, as an earlier program did.
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

package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

// Setting returns the value of a setting on a connection of the store.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// UseLock is the lock that connections of nodes hold shared, and moves exclusively.
const UseLock = useLock

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

// OldCommitSQL and OldArguments are how Commit called the database before records had texts.
const OldCommitSQL = `SELECT done, at_epoch, at_seq, NULL
  FROM counterfoil.commit_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`

func OldArguments(b store.Batch) []any {
	args := arguments(b)
	return slices.Delete(args, newEpochArg-1, newEpochArg)
}

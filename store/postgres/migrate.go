package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrations go forward only. Nodes of the version before must work with the result of a
// migration. So a migration adds tables, columns with a default, and functions with a new
// name (commit_2). It drops what the version before does not use. It creates indexes
// CONCURRENTLY. No statement waits for a lock longer than lock_timeout, because every later
// transaction would queue behind it.
//
//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is in our schema: since PostgreSQL 15 only the owner of "public" may create
// tables there.
const versionTable = "counterfoil.goose_db_version"

// Migrate brings the schema at url up to date. It holds a lock, so that one node migrates
// and the others wait. If the schema is up to date, Migrate needs only the right to read.
func Migrate(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	prepareConfig(config)
	for try := 1; ; try++ {
		err = migrate(ctx, config, newest)
		// lock_not_available: a migration that waits for a long transaction makes every later
		// transaction wait too. So it gives up, lets them run, and tries again.
		if late := (*pgconn.PgError)(nil); try == maxMigrations || !errors.As(err, &late) || late.Code != "55P03" {
			break
		}
	}
	if denied := (*pgconn.PgError)(nil); errors.As(err, &denied) && denied.Code == "42501" { // insufficient_privilege
		return fmt.Errorf("postgres: migrate: %w\nhint: the schema is not up to date, and this role may not change it: migrate as its owner", err)
	}
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

const (
	maxMigrations = 30                   // tries, of two seconds each: then the start fails
	newest        = int64(math.MaxInt64) // version
)

// migrate brings the schema up to a version.
func migrate(ctx context.Context, config *pgx.ConnConfig, version int64) error {
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		// Not a parameter of the connection: a pooler refuses those that it does not know.
		_, err := conn.Exec(ctx, `SET lock_timeout = '2s'`)
		return err
	}))
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	// This query comes first, because both CREATE SCHEMA IF NOT EXISTS and goose's lock need
	// more rights, even if there is nothing to do.
	var table *string
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1)::text`, versionTable).Scan(&table); err != nil {
		return err
	}
	if table != nil {
		if pending, err := provider.HasPending(ctx); err != nil || !pending {
			return err
		}
	} else if err := makeSchema(ctx, config); err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

// makeSchema creates the schema if it does not exist. It holds a lock: of two nodes that
// run CREATE SCHEMA IF NOT EXISTS at once, one fails, because the check comes before the
// wait.
func makeSchema(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, logLock); err != nil {
			return err
		}
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT to_regnamespace('counterfoil') IS NOT NULL`).Scan(&exists); err != nil || exists {
			return err
		}
		_, err := tx.Exec(ctx, `CREATE SCHEMA counterfoil`)
		return err
	})
}

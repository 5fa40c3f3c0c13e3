package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

const (
	aboutSQL = `SELECT current_setting('server_version'), pg_is_in_recovery(), to_regclass('counterfoil.goose_db_version') IS NOT NULL,
  current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean, current_setting('synchronous_standby_names'),
  (SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('max_connections')::int, current_setting('server_encoding')`
	overdueSQL = `SELECT
  (SELECT count(*) FROM (SELECT FROM counterfoil.records WHERE expires > 0 AND expires < $1 LIMIT $2) r) +
  (SELECT count(*) FROM (SELECT FROM counterfoil.log WHERE expires > 0 AND expires < $1 LIMIT $2) l)`
	deadSQL = `SELECT n_dead_tup, n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'counterfoil' AND relname = 'records'`
)

// about has the row of aboutSQL.
type about struct {
	version                             string
	standby, migrated, fsync, fullPages bool
	synchronous, encoding               string // synchronous_standby_names, server_encoding
	standbys, connections, max          int
}

// Examine reads the database and changes nothing. Nodes may use the database meanwhile.
// Overdue counts the records and entries that expired before the given time.
func Examine(ctx context.Context, o Options, before time.Time) (e store.Examination, err error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return e, fmt.Errorf("postgres: %w", err)
	}
	prepareConfig(config)
	config.ValidateConnect = plain // Examine reports a standby, it does not skip it
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return e, fmt.Errorf("postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := examine(ctx, conn, &e, before); err != nil {
		return e, failed(ctx, "examine", err)
	}
	return e, nil
}

func examine(ctx context.Context, conn *pgx.Conn, e *store.Examination, before time.Time) error {
	var a about
	err := conn.QueryRow(ctx, aboutSQL).Scan(&a.version, &a.standby, &a.migrated, &a.fsync, &a.fullPages, &a.synchronous, &a.standbys, &a.connections, &a.max, &a.encoding)
	if err != nil {
		return err
	}
	e.Engine, e.Class = "PostgreSQL "+a.version, store.Durable
	if !a.fsync {
		e.Class, e.Why = store.Lossy, noFsync
	}
	if err := clock(ctx, conn, e); err != nil {
		return err
	}
	e.Remarks = a.remarks()
	if !a.migrated {
		e.Remarks = append(e.Remarks, store.Remark{Text: "there is no schema yet", Hint: "the first start makes it"})
		return nil
	}
	current, err := examineSchema(ctx, conn, e)
	if err != nil || !current {
		return err
	}
	var dead, live int64
	rows, err := conn.Query(ctx, deadSQL)
	if err != nil {
		return err
	}
	if _, err := pgx.ForEachRow(rows, []any{&dead, &live}, func() error { return nil }); err != nil {
		return err
	}
	if dead > 50_000 && dead > live {
		e.Remarks = append(e.Remarks, store.Remark{
			Text: fmt.Sprintf("counterfoil.records has %d dead rows and %d live ones", dead, live), Hint: "autovacuum does not keep up: look for old transactions in pg_stat_activity",
		})
	}
	return conn.QueryRow(ctx, overdueSQL, before.Unix(), store.MaxOverdue).Scan(&e.Overdue)
}

// clock compares the server's clock with ours. The server reads its clock between two
// readings of ours.
func clock(ctx context.Context, conn *pgx.Conn, e *store.Examination) error {
	var there time.Time
	begun := time.Now()
	if err := conn.QueryRow(ctx, timeSQL).Scan(&there); err != nil {
		return err
	}
	e.Answers = time.Since(begun)
	e.Within = max(e.Answers/2, time.Microsecond)
	e.Ahead = there.Sub(begun.Add(e.Answers / 2))
	return nil
}

func (a about) remarks() (all []store.Remark) {
	if a.standby {
		all = append(all, store.Remark{Text: "the server is a standby", Hint: "name the primary too: postgres://USER@HOST1,HOST2/DATABASE", Broken: true})
	}
	if !a.fullPages {
		all = append(all, store.Remark{Text: "full_page_writes is off: a crash in the middle of a page can leave the database broken", Hint: "turn it on, unless the file system writes pages whole"})
	}
	if a.standbys > 0 && a.synchronous == "" {
		all = append(all, store.Remark{Text: "its standbys are asynchronous: a failover can lose the last commits", Hint: "set synchronous_standby_names"})
	}
	if a.encoding != "UTF8" {
		all = append(all, store.Remark{
			Text: "its encoding is " + a.encoding + ": servers do not mind, but the views counterfoil.users and counterfoil.sessions fail at a name that it cannot write",
			Hint: "to use the views, move to a database that was made with ENCODING 'UTF8' TEMPLATE template0: counterfoil migrate",
		})
	}
	if a.connections*10 > a.max*9 {
		all = append(all, store.Remark{Text: fmt.Sprintf("%d of %d connections are taken", a.connections, a.max), Hint: "a node takes 17: raise max_connections, or lower pool_max_conns in the URL"})
	}
	return all
}

// examineSchema reports whether the schema is at least as new as this program's.
func examineSchema(ctx context.Context, conn *pgx.Conn, e *store.Examination) (current bool, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return false, err
	}
	var schema int
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM counterfoil.goose_db_version WHERE is_applied`).Scan(&schema); err != nil {
		return false, err
	}
	if schema < len(files) { // the numbers of the files have no gaps
		e.Remarks = append(e.Remarks, store.Remark{Text: "the schema is of an older version", Hint: "the next start of a node as its owner brings it up to date"})
		return false, nil
	}
	mark, err := readMark(ctx, conn)
	if err != nil {
		return false, err
	}
	if err := mark.Err(); err != nil {
		e.Remarks = append(e.Remarks, store.Remark{Text: err.Error(), Hint: "see counterfoil migrate", Broken: true})
	}
	return true, nil
}

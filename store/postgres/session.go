package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// plainSQL gives a new connection the settings that the store relies on, whatever the role, the
// database or the server has. The statements that only set come first: then the rest means what it
// says, and takes no time. A role may have jit_above_cost = 0, and a server that has compiled nothing
// yet loads the compiler for that, which can take longer than the role's statement_timeout.
//
//   - client_min_messages: the warning that a wait for the standby was given up must arrive, or
//     what the standby lacks is acknowledged (standby.go).
//   - idle_session_timeout: the connection that listens is idle for hours.
//   - default_transaction_read_only: some administrators set it for all roles, and turn it off
//     where somebody writes. A server that cannot write, such as a standby, refuses all the same.
//
// A setting that this version of the server does not have is left out. So are settings that this
// role may not change, which are none of these.
const plainSQL = `
SET search_path = pg_catalog;
SET jit = off;
SET statement_timeout = 0;
SELECT set_config(w.name, w.value, false) FROM (VALUES
  ('client_min_messages', 'warning'), ('standard_conforming_strings', 'on'),
  ('bytea_output', 'hex'), ('datestyle', 'ISO'), ('intervalstyle', 'postgres'), ('transform_null_equals', 'off'),
  ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'), ('default_transaction_deferrable', 'off'),
  ('lock_timeout', '0'), ('transaction_timeout', '0'),
  ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('enable_indexscan', 'on')
) AS w(name, value) JOIN pg_settings s ON lower(s.name) = w.name WHERE s.setting <> w.value`

// plain is what every connection begins with, before it is asked anything.
func plain(ctx context.Context, conn *pgconn.PgConn) error {
	if _, err := conn.Exec(ctx, plainSQL).ReadAll(); err != nil {
		return fmt.Errorf("settings of the connection: %w", err)
	}
	return nil
}

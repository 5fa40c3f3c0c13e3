package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// A commit waits until the synchronous standby has it, if there is one. No timeout of the server
// ends that wait. If the caller's deadline does, the server calls the command a success, with a
// warning: the commit is visible and on the primary's disk, but a failover would lose it. That is
// not acknowledged: the outcome is unknown. See docs/operations-postgres.md.

// notice counts waits for the standby that were given up. The text of a warning is translated,
// so it is known by the function of the server that it comes from.
func (s *Store) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		s.unreplicated.Add(1)
	}
}

// acknowledged calls do, which commits. If a wait for the standby was given up meanwhile, the
// commit may be one that the standby lacks, and the outcome is unknown.
func (s *Store) acknowledged(ctx context.Context, do func() error) error {
	before := s.unreplicated.Load()
	err := do()
	if err != nil || s.unreplicated.Load() == before {
		return err
	}
	if err = ctx.Err(); err == nil {
		err = context.Canceled // by an operator: pg_cancel_backend
	}
	return fmt.Errorf("outcome unknown: the synchronous standby may lack the commit: %w", err)
}

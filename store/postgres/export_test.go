package postgres

import "context"

// Setting returns what a setting is on the store's connections.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// LogLock is the lock that commits share, or have alone.
const LogLock = logLock

// ErrPooler is what a pooler by transaction is refused with.
var ErrPooler = errPooler

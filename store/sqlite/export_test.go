package sqlite

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// CommitGroup commits batches as one group. In production this happens when callers commit
// at the same time. err is the error of the whole group.
func (s *Store) CommitGroup(batches ...store.Batch) (heads []counterfoil.Cursor, errs []error, err error) {
	var group []*call
	for _, b := range batches {
		group = append(group, &call{batch: b, ctxErr: func() error { return nil }})
	}
	err = s.commit(context.Background(), group)
	for _, c := range group {
		heads, errs = append(heads, c.head), append(errs, c.err)
	}
	return heads, errs, err
}

// HoldLead takes the lead and commits nothing: until release is called, commits wait in the
// queue.
func (s *Store) HoldLead() (release func()) {
	s.queue.leader <- struct{}{}
	return func() { <-s.queue.leader }
}

// Waiting returns how many commits are in the queue.
func (s *Store) Waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.calls)
}

// Limit stops the file from growing.
func (s *Store) Limit() error {
	_, err := s.write.Exec(`PRAGMA max_page_count = 1`)
	return err
}

// Unlimit undoes Limit.
func (s *Store) Unlimit() error {
	_, err := s.write.Exec(`PRAGMA max_page_count = 1073741823`)
	return err
}

// LogPlan returns SQLite's query plan for a page of the log.
func (s *Store) LogPlan() (string, error) { return s.plan(logSQL, 1, 1, 10) }

// RecordPlans returns the query plans of the statements that find records, by statement.
func (s *Store) RecordPlans() (map[string]string, error) {
	plans := make(map[string]string)
	for query, args := range map[string][]any{
		getSQL: {"k", "i"}, listOwnSQL: {"k", "o", "i", 10}, listAllSQL: {"k", "o", "i", 10}, allSQL: {"k", "i"}, revSQL: {"k", "i"},
		deleteSQL: {"k", "i"}, deleteOwnedSQL: {"k", "o"}, updateSQL: {"k", "i", "o", 1, 1, "", ""}, sweepSQL: {1, 1},
		searchSQL: {"k", "t", "i", "u", 10}, countSQL: {"k", "t", "u", 10},
	} {
		var err error
		if plans[query], err = s.plan(query, args...); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

func (s *Store) plan(query string, args ...any) (plan string, err error) {
	rows, err := s.read.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return "", err
		}
		plan += detail + "\n"
	}
	return plan, rows.Err()
}

// Checkpoint writes the pages of the write-ahead log into the file.
func (s *Store) Checkpoint() error {
	_, err := s.write.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// SetNewerSchema gives the file the schema number of a newer version.
func (s *Store) SetNewerSchema() error {
	_, err := s.write.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	return err
}

// CreateAt creates a file with the schema of the given version.
func CreateAt(ctx context.Context, path string, version int64) (*sql.DB, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err == nil {
		_, err = provider.UpTo(ctx, version)
	}
	return db, err
}

// Views returns one column of the one session and the one user, read from the SQL views.
func (s *Store) Views(ctx context.Context) (lastSeen, identifier string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT (SELECT last_seen FROM sessions), (SELECT identifier FROM users)`).Scan(&lastSeen, &identifier)
	return lastSeen, identifier, err
}

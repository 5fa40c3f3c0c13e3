package sqlite

import (
	"context"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// CommitGroup commits batches as one group: what happens by chance when they come
// at the same time. err is that of the whole group.
func (s *Store) CommitGroup(batches ...store.Batch) (heads []counterfoil.Cursor, errs []error, err error) {
	var group []*call
	for _, b := range batches {
		group = append(group, &call{batch: b, gone: func() error { return nil }})
	}
	err = s.commit(context.Background(), group)
	for _, c := range group {
		heads, errs = append(heads, c.head), append(errs, c.err)
	}
	return heads, errs, err
}

// HoldTurn leads nothing until release is called: commits wait in the queue.
func (s *Store) HoldTurn() (release func()) {
	s.queue.turn <- struct{}{}
	return func() { <-s.queue.turn }
}

// Waiting is how many commits are in the queue.
func (s *Store) Waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.calls)
}

// Limit lets the file grow no further.
func (s *Store) Limit() error {
	_, err := s.write.Exec(`PRAGMA max_page_count = 1`)
	return err
}

// Unlimit takes Limit back.
func (s *Store) Unlimit() error {
	_, err := s.write.Exec(`PRAGMA max_page_count = 1073741823`)
	return err
}

// LogPlan is how the engine reads a page of the log.
func (s *Store) LogPlan() (plan string, err error) {
	rows, err := s.read.Query("EXPLAIN QUERY PLAN "+logSQL, 1, 1, 10)
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

// Fold writes what is only in the write-ahead log into the file.
func (s *Store) Fold() error {
	_, err := s.write.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// FromTheFuture makes the file one that a newer version has written.
func (s *Store) FromTheFuture() error {
	_, err := s.write.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	return err
}

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func revoke(ctx context.Context, s *sqlite.Store, id string, put ...store.Record) (counterfoil.Cursor, error) {
	return s.Commit(ctx, store.Batch{Put: put, Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: id, Expires: time.Now().Add(time.Hour)}}})
}

// REV-09: a backup is of one moment, although the store is written meanwhile. It knows that it is
// one: the store that opens it has lost what came after, until an epoch begins.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "c.db"), filepath.Join(dir, "copy.db")
	s, err := sqlite.Open(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 2000 {
		if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{{Key: store.Key{Kind: "filler", ID: fmt.Sprint(n)}, Value: make([]byte, 500)}}}); err != nil {
			t.Fatal(err)
		}
	}
	stop, wrote := make(chan struct{}), make(chan struct{}, 1)
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			// Each commit has a record and an entry of the same name.
			id := fmt.Sprint("ses_", n)
			if _, err := revoke(context.Background(), s, id, store.Record{Key: store.Key{Kind: "ended", ID: id}}); err != nil {
				t.Error(err)
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	})
	<-wrote
	made, err := sqlite.Backup(t.Context(), from, to, true, "a test")
	if err != nil {
		t.Fatal(err)
	}
	<-wrote // the writer was not held up
	close(stop)
	writing.Wait()
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes {
		t.Errorf("the copy is %v, %v, want mode 0600 and %d bytes", info, err, made.Bytes)
	}

	for _, path := range []string{to, from} { // neither a backup nor the store itself is overwritten
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = sqlite.Backup(t.Context(), from, path, true, "")
		after, _ := os.ReadFile(path)
		if !errors.Is(err, fs.ErrExist) || !slices.Equal(before, after) {
			t.Errorf("a backup over %s = %v, changed %v", path, err, !slices.Equal(before, after))
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("backups leave %v", left)
	}

	copied, err := sqlite.Open(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	entries, head, err := copied.Log(t.Context(), counterfoil.Cursor{}, 1<<20)
	records := 0
	for range copied.List(t.Context(), "ended", "*", "") {
		records++
	}
	if err != nil || head != made.Head || len(entries) != records || records == 0 || entries[records-1].At != head {
		t.Errorf("the copy has %d records and %d entries at %v, %v; want as many at %v", records, len(entries), head, err, made.Head)
	}
	lost := func(s *sqlite.Store) bool {
		return errors.Is(s.Remember(t.Context(), counterfoil.Cursor{}), store.ErrLost)
	}
	if !lost(copied) {
		t.Error("a backup that was put back is not noticed")
	}
	if _, err := revoke(t.Context(), copied, "x"); !errors.Is(err, store.ErrLost) {
		t.Errorf("Commit before an epoch begins = %v, want ErrLost", err)
	}
	if err := errors.Join(copied.Close()); err != nil {
		t.Fatal(err)
	}
	if copied, err = sqlite.Open(t.Context(), to); err != nil || !lost(copied) {
		t.Fatalf("a stop before the epoch begins hides the backup: %v", err)
	}
	if _, err := copied.Commit(t.Context(), store.Batch{NewEpoch: true}); err != nil || lost(copied) {
		t.Errorf("an epoch that begins does not end the loss: %v", err)
	}
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
	if copied, err = sqlite.Open(t.Context(), to); err != nil || lost(copied) {
		t.Errorf("the epoch did not end the mark: %v", err)
	}
	defer copied.Close()
	if lost(s) {
		t.Error("the store that was backed up has lost something")
	}
}

// A backup without sessions has nothing that could come back. One that cannot be made is not there.
func TestBackupOf(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	s, err := sqlite.Open(t.Context(), path("c.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // no server runs
		t.Fatal(err)
	}
	if _, err := sqlite.Backup(t.Context(), path("c.db"), path("users.db"), false, ""); err != nil {
		t.Fatal(err)
	}
	if s, err = sqlite.Open(t.Context(), path("users.db")); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Remember(t.Context(), counterfoil.Cursor{}); err != nil {
		t.Errorf("Remember without sessions = %v", err)
	}
	if err := os.WriteFile(path("text"), []byte("no database, but long enough to look like one, as far as size goes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"none", "text"} {
		if _, err := sqlite.Backup(t.Context(), path(from), path("copy"), true, ""); err == nil {
			t.Errorf("a backup of %s was made", from)
		}
		if _, err := os.Stat(path("copy")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a failed backup of %s left a file: %v", from, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Backup(ended, path("c.db"), path("copy"), true, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted backup = %v", err)
	}
	if left, _ := filepath.Glob(path(".*")); len(left) > 0 {
		t.Errorf("backups leave %v", left)
	}
}

package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storetest"
	"github.com/counterfoil/counterfoil/store/storetest/linear"
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "c.db")) })
}

func TestIsLinearizable(t *testing.T) {
	linear.Run(t, func(t *testing.T) store.Store { return fresh(t) })
}

func TestSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	s := open(t, path)
	head, err := s.Commit(t.Context(), store.Batch{
		Put:    []store.Record{{Key: store.Key{Kind: "session", ID: "ses_1"}, Owner: "alice", Value: []byte(`{"client":"web"}`)}},
		Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: "x", Expires: time.Now().Add(time.Hour)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil {
		t.Error("a second Open of the file succeeds")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("database file: %v, %v, want mode 0600", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	entries, again, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	if err != nil || again != head || len(entries) != 1 {
		t.Errorf("after a restart: %v at %v, %v, want one entry at %v", entries, again, err, head)
	}
	if _, err := store.One(t.Context(), s, store.Key{Kind: "session", ID: "ses_1"}); err != nil {
		t.Errorf("Get after a restart = %v", err)
	}
}

func TestMove(t *testing.T) {
	storetest.RunMove(t, func(t *testing.T) storetest.Place {
		path := filepath.Join(t.TempDir(), "c.db")
		return storetest.Place{
			Open:  func() (store.Store, error) { return sqlite.Open(t.Context(), path) },
			Mover: func() (store.Mover, error) { return sqlite.OpenToMove(t.Context(), path) },
		}
	})
}

// This version could destroy what a newer version wrote. So Open refuses a newer schema.
func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	s := open(t, path)
	if err := errors.Join(s.SetNewerSchema(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), path); err == nil {
		t.Error("Open succeeds")
		_ = s.Close()
	}
	if e, err := sqlite.Examine(t.Context(), path, time.Now()); err != nil || len(e.Remarks) != 1 || !e.Remarks[0].Broken {
		t.Errorf("Examine = %+v, %v", e, err)
	}
}

// Open keeps every record and entry of a file that has an older schema.
func TestOlderSchemaIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	db, err := sqlite.CreateAt(t.Context(), path, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`INSERT INTO head (one, epoch, seq, mark) VALUES (1, 7, 9, '')`,
		`INSERT INTO log VALUES (9, 'session', 'ses_0', 4000000000, 'logout')`,
		`INSERT INTO records VALUES ('session', 'ses_1', 'alice', 3, 4000000000, '{"grant":"g1","client":"web"}')`,
		`INSERT INTO records VALUES ('grant', 'g1', 'alice', 5, 0, '{"rotated":"now"}'), ('user', 'usr_1', '', 1, 0, '{"identifier":"alice"}')`,
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	defer s.Close()
	entries, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	if err != nil || head != (counterfoil.Cursor{Epoch: 7, Seq: 9}) || len(entries) != 1 {
		t.Errorf("Log = %v at %v, %v", entries, head, err)
	}
	want := store.Record{
		Key: store.Key{Kind: "session", ID: "ses_1"}, Owner: "alice", Rev: 3, Expires: time.Unix(4000000000, 0), Value: []byte(`{"grant":"g1","client":"web"}`),
	}
	if r, err := store.One(t.Context(), s, want.Key); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("Get = %+v, %v, want %+v", r, err, want)
	}
	for kind, owner := range map[store.Kind]string{"session": "alice", "grant": "alice", "user": ""} {
		n := 0
		for _, err := range s.List(t.Context(), kind, owner, "") {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != 1 {
			t.Errorf("List of %s = %d records, want 1", kind, n)
		}
	}
	if lastSeen, user, err := s.Views(t.Context()); err != nil || lastSeen != "now" || user != "alice" {
		t.Errorf("Views = %q, %q, %v, want the time of the last refresh and alice", lastSeen, user, err)
	}
}

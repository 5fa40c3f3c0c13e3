package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/store/sqlite"
)

// A database has one writer, by whatever name it is opened.
func TestOneWriterByAnyName(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	db := filepath.Join(real, "counterfoil.db")
	link, dir, hard := filepath.Join(folder, "link.db"), filepath.Join(folder, "dir"), filepath.Join(real, "hard.db")
	for name, target := range map[string]string{link: db, dir: real} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(path string, want error) {
		t.Helper()
		s, err := sqlite.Open(t.Context(), path)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("Open(%s) = %v, want %v", path, err, want)
		}
	}
	names := []string{db, link, filepath.Join(dir, "counterfoil.db")}
	for _, first := range names {
		s, err := sqlite.Open(t.Context(), first) // the first of all makes the file
		if err != nil {
			t.Fatal(err)
		}
		if file := s.Describe().File; filepath.Base(file) != "counterfoil.db" {
			t.Errorf("opened as %s, the file is %s", first, file)
		}
		for _, second := range names {
			refused(second, sqlite.ErrInUse)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := sqlite.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Link(db, hard); err != nil {
		t.Fatal(err)
	}
	refused(hard, sqlite.ErrManyNames)
	refused(db, sqlite.ErrManyNames)
}

// A symbolic link to a file that is not there yet names the file that is made.
func TestLinkToNothing(t *testing.T) {
	real, folder := t.TempDir(), t.TempDir()
	link := filepath.Join(folder, "link.db")
	if err := os.Symlink(filepath.Join(real, "new.db"), link); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(filepath.Join(real, "new.db.lock")); err != nil {
		t.Errorf("the lock is not beside the file: %v", err)
	}
}

package wholefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wholefile"
)

func TestFiles(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	holds := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("the file holds %q, %v, want %q", got, err, want)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the mode is %v, %v, want 0600", info.Mode(), err)
		}
		files, _ := os.ReadDir(folder)
		if len(files) != 1 {
			t.Errorf("the folder has %d files, want no temporary one", len(files))
		}
	}
	if err := wholefile.Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	holds("one")
	if err := wholefile.Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a file = %v, want fs.ErrExist", err)
	}
	holds("one")
	if err := wholefile.Replace(path, []byte("two")); err != nil {
		t.Fatal(err)
	}
	holds("two")
	if err := wholefile.Create(filepath.Join(folder, "absent", "key"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create in no folder = %v, want fs.ErrNotExist", err)
	}
}

// What a process that was killed has left is gone with a later write, and nothing else is: neither what another process
// writes now, nor files of other names.
func TestLeftFiles(t *testing.T) {
	folder := t.TempDir()
	long := time.Now().Add(-2 * time.Hour)
	for name, stays := range map[string]bool{
		".key.wholefile-123": false, ".key.wholefile-99": true, ".key.1.wholefile-123": true, ".key.wholefile-": true, ".key.wholefile-1a": true,
		".key.bak": true, ".key.1": true, ".key.20261130": true, "key.wholefile-123": true, ".keys.wholefile-123": true,
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != ".key.wholefile-99" { // which another process writes
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
		if err := wholefile.Replace(filepath.Join(folder, "key"), []byte("new")); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v, want that it stays: %v", name, err, stays)
		}
	}
}

package wholefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

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

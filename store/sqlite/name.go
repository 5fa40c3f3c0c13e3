package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// oneName returns the one path of the file at path, which it makes if there is none. The lock
// and the write-ahead log are files beside the database, so two processes that call the
// database by two names would not see each other. Symbolic links are followed. A file with
// several hard links has no one name: the answer is ErrManyNames.
//
// A file that exists is not opened: when a process closes a file, it gives up the locks that
// SQLite has on it in the same process (fcntl(2)).
func oneName(path string) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // no other user of the machine may read it
		if err != nil {
			return "", err
		}
		if err := f.Close(); err != nil {
			return "", err
		}
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(real)
	if err != nil {
		return "", err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Nlink > 1 {
		return "", fmt.Errorf("%s %w\nhint: find the others with find -samefile, and remove them", real, ErrManyNames)
	}
	return real, nil
}

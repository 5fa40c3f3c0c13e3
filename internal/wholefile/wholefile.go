// Package wholefile writes small files that only their owner may read, whole or not at
// all: a reader never finds a part of one, whenever the process or the machine stops.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Create writes a new file, and returns when its name is on the disk too. Its error is
// fs.ErrExist if there is a file at path.
func Create(path string, data []byte) error {
	if err := write(path, data, os.Link); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Replace writes the file at path, in place of the one that is there. After a power cut the
// file may be the one before, whole.
func Replace(path string, data []byte) error { return write(path, data, os.Rename) }

// write fills a temporary file in the same folder, and gives it its name when its content
// is on the disk. What an earlier write left that was killed is removed.
func write(path string, data []byte, place func(from, to string) error) error {
	removeLeft(path)
	temp, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after os.Rename
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return place(temp.Name(), path)
}

// tempPrefix is what names of temporary files for path begin with. A number follows. Nothing else names files so: some programs
// put a number or a date behind the name of a file to keep an earlier one.
func tempPrefix(path string) string { return "." + filepath.Base(path) + ".wholefile-" }

// leftAfter is how old a temporary file is that no process is writing any more.
const leftAfter = time.Hour

// removeLeft removes temporary files for path that are leftAfter old: they may hold a secret, such as one that was
// replaced meanwhile. It is best effort, as the write does not need it.
func removeLeft(path string) {
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, f := range files {
		number, ours := strings.CutPrefix(f.Name(), tempPrefix(path))
		if !ours || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > leftAfter {
			_ = os.Remove(filepath.Join(filepath.Dir(path), f.Name()))
		}
	}
}

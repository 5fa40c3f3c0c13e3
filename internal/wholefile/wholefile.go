// Package wholefile writes small files that only their owner may read, whole or not at
// all: a reader never finds a part of one, whenever the process or the machine stops.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
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
// is on the disk.
func write(path string, data []byte, place func(from, to string) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
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

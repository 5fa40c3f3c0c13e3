// Package wholefile writes small files that only their owner may read, whole or not at
// all: a reader never finds a part of one, whenever the process or the machine stops.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
)

// Create writes a new file. Its error is fs.ErrExist if there is a file at path.
func Create(path string, data []byte) error { return write(path, data, os.Link) }

// Replace writes the file at path, in place of the one that is there.
func Replace(path string, data []byte) error { return write(path, data, os.Rename) }

// write fills a temporary file in the same folder, and gives it its name when its content
// is on the disk. Then it does the same for the name, which is content of the folder.
func write(path string, data []byte, place func(from, to string) error) error {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after os.Rename
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := place(temp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

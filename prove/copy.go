package prove

import (
	"context"
	"errors"
	"os"
)

// CopyFolder copies a folder and returns a function that restores the copy. It is a
// [Place].Backup for a store that is one folder.
func CopyFolder(dir string) (restore func(context.Context) error, err error) {
	aside := dir + ".backup"
	if err := os.CopyFS(aside, os.DirFS(dir)); err != nil {
		return nil, err
	}
	return func(context.Context) error {
		return errors.Join(os.RemoveAll(dir), os.Rename(aside, dir))
	}, nil
}

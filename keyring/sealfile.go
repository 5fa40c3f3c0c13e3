package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/wholefile"
	"github.com/counterfoil/counterfoil/store"
)

// SealFileError means that a file cannot be trusted to hold a seal key, and how to mend it.
type SealFileError struct {
	Path    string
	Problem string
	Hint    string // what to do, or empty
}

func (e *SealFileError) Error() string {
	if e.Hint == "" {
		return e.Path + " " + e.Problem
	}
	return e.Path + " " + e.Problem + ": " + e.Hint
}

// SealFile returns the key in the file at path, for [Options.SealKey]. If there is no file and s
// has no ring yet, it makes the file with a new key. If s has a ring, only the key that sealed it
// is of use, so a missing file is a [*SealFileError]. So is a file that is not 32 bytes, or that
// others than its owner may read.
//
// Keep the file outside of the store and its backups, or a thief of the store can sign. Keep a copy
// of it elsewhere: without it the signing keys are lost, and with them every login.
func SealFile(ctx context.Context, s store.Store, path string) (key [32]byte, err error) {
	key, err = ReadSealFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	switch _, err := store.One(ctx, s, recordKey); {
	case err == nil:
		return [32]byte{}, &SealFileError{path, "is missing, and the store was sealed with its key", "put the file back, from another node or from where you keep a copy"}
	case !errors.Is(err, store.ErrNotFound):
		return [32]byte{}, fmt.Errorf("keyring: %w", err)
	}
	rand.Read(key[:])
	// Two processes may start at once: the one that comes second takes the key of the first.
	if err := NewSealFile(path, key); err != nil && !errors.Is(err, fs.ErrExist) {
		return [32]byte{}, err
	}
	return ReadSealFile(path)
}

// ReadSealFile is [SealFile] for a file that must be there: if it is not, the error is
// [fs.ErrNotExist].
func ReadSealFile(path string) (key [32]byte, err error) {
	if bad, ok := errors.AsType[*private.Error](private.Secret(path)); ok && !bad.Given {
		return [32]byte{}, &SealFileError{path, bad.Problem, bad.Hint}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return [32]byte{}, private.Unreadable(path, err)
	}
	if len(data) > len(key) { // a line end that an editor or a tool for secrets has added
		if rest := string(data[len(key):]); rest == "\n" || rest == "\r\n" {
			data = data[:len(key)]
		}
	}
	if len(data) != len(key) {
		return [32]byte{}, &SealFileError{Path: path, Problem: fmt.Sprintf("has %d bytes: want %d", len(data), len(key))}
	}
	return [32]byte(data), nil
}

// NewSealFile writes key to a new file at path. Its error is [fs.ErrExist] if there is a file.
func NewSealFile(path string, key [32]byte) error { return wholefile.Create(path, key[:]) }

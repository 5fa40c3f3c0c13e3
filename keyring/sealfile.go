package keyring

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/counterfoil/counterfoil/internal/wholefile"
)

// SealFileError means that a file cannot be trusted to hold a seal key, and how to mend it.
type SealFileError struct {
	Path    string
	Problem string
	Hint    string // a command, or empty
}

func (e *SealFileError) Error() string {
	if e.Hint == "" {
		return e.Path + " " + e.Problem
	}
	return e.Path + " " + e.Problem + ": " + e.Hint
}

// SealFile returns the key in the file at path, for [Options.SealKey]. If there is no file, it
// makes one with a new key. The file holds 32 bytes and is readable by its owner only; anything
// else is a [*SealFileError].
//
// Keep the file outside of the store and its backups, or a thief of the store can sign. Keep a copy
// of it elsewhere: without it the signing keys are lost, and with them every login.
func SealFile(path string) (key [32]byte, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		rand.Read(key[:])
		// Two processes may start at once: the one that comes second takes the key of the first.
		if err := NewSealFile(path, key); err != nil && !errors.Is(err, fs.ErrExist) {
			return [32]byte{}, err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return [32]byte{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return [32]byte{}, &SealFileError{path, "may be read by others", "chmod 600 " + path}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return [32]byte{}, err
	}
	if len(data) != len(key) {
		return [32]byte{}, &SealFileError{Path: path, Problem: fmt.Sprintf("has %d bytes: want %d", len(data), len(key))}
	}
	return [32]byte(data), nil
}

// NewSealFile writes key to a new file at path. Its error is [fs.ErrExist] if there is a file.
func NewSealFile(path string, key [32]byte) error { return wholefile.Create(path, key[:]) }

package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

// Processes that start at once agree on the key; a file that cannot be trusted is refused
// and left as it is.
func TestSealFile(t *testing.T) {
	path, s := filepath.Join(t.TempDir(), "seal.key"), memory.New()
	keys := make([][32]byte, 8)
	var starting sync.WaitGroup
	for n := range keys {
		starting.Go(func() {
			var err error
			if keys[n], err = keyring.SealFile(t.Context(), s, path); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, key := range keys {
		if key != keys[0] || key == [32]byte{} {
			t.Fatal("processes that start at once have different keys, or none")
		}
	}
	refused := func(why string) {
		t.Helper()
		key, err := keyring.SealFile(t.Context(), s, path)
		if _, ok := errors.AsType[*keyring.SealFileError](err); !ok || key != [32]byte{} {
			t.Errorf("%s: SealFile = %v, want a SealFileError and no key", why, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	refused("mode 0640")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("5 bytes")
	if left, _ := os.ReadFile(path); string(left) != "short" {
		t.Error("a refused file was written to")
	}
}

// A tool that keeps secrets as lines ends the file with one. It is no part of the key.
func TestSealFileWithLineEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	want := [32]byte([]byte("0123456789 123456789 123456789\r\n"))
	for end, ok := range map[string]bool{"": true, "\n": true, "\r\n": true, " ": false, "\n\n": false, "x": false} {
		if err := os.WriteFile(path, append(want[:], end...), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := keyring.ReadSealFile(path); (err == nil) != ok || ok && key != want {
			t.Errorf("a key and %q: %x, %v", end, key, err)
		}
	}
}

// Another key does not open a ring that was sealed. So none is made beside a store that has a
// ring: it would look like the right one, and might be copied over it.
func TestSealFileIsMissing(t *testing.T) {
	path, s := filepath.Join(t.TempDir(), "seal.key"), memory.New()
	key, err := keyring.SealFile(t.Context(), s, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: key}); err != nil {
		t.Fatal(err)
	}
	if again, err := keyring.SealFile(t.Context(), s, path); err != nil || again != key {
		t.Fatalf("SealFile = another key, %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	none, err := keyring.SealFile(t.Context(), s, path)
	if _, ok := errors.AsType[*keyring.SealFileError](err); !ok || none != [32]byte{} {
		t.Errorf("SealFile = %v, want a SealFileError and no key", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file now: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.SealFile(t.Context(), s, path); err == nil {
		t.Error("a key is made while the store cannot be read")
	}
}

package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/keyring"
)

// Processes that start at once agree on the key; a file that cannot be trusted is refused
// and left as it is.
func TestSealFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	keys := make([][32]byte, 8)
	var starting sync.WaitGroup
	for n := range keys {
		starting.Go(func() {
			var err error
			if keys[n], err = keyring.SealFile(path); err != nil {
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
		key, err := keyring.SealFile(path)
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

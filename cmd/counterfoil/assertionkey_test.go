package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// The gateway makes its key once, for its own user alone. A key that is added is published within a
// minute, and a file that cannot be read changes nothing.
func TestAssertionFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), assertionName)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		open := func() (*textfile.Followed[*gateway.AssertionKeys], error) {
			return openAssertionKeys(path, slog.New(slog.NewTextHandler(&log, nil)))
		}
		f, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(info.Mode(), err)
		}
		first := string(f.Current().JWKS())
		if other, err := open(); err != nil || string(other.Current().JWKS()) != first {
			t.Errorf("another gateway with the file: %v", err)
		}

		write := func(text []byte) {
			t.Helper()
			time.Sleep(59 * time.Second)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		one, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		two, err := gateway.NewAssertionKey()
		if err != nil {
			t.Fatal(err)
		}
		f.Current()
		write(slices.Concat(one, two))
		if got := string(f.Current().JWKS()); got != first {
			t.Errorf("the file is read more than once a minute: %s", got)
		}
		time.Sleep(time.Second)
		both := string(f.Current().JWKS())
		if strings.Count(both, `"kid"`) != 2 || !strings.HasPrefix(both, strings.TrimSuffix(first, "]}")) {
			t.Errorf("after a key was added: %s", both)
		}
		write([]byte("junk"))
		time.Sleep(time.Second)
		if got := string(f.Current().JWKS()); got != both || !strings.Contains(log.String(), "has no keys") {
			t.Errorf("after the file was damaged: %s\n%s", got, &log)
		}
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("a start with a damaged file: %v", err)
		}
		write(one)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a key that others may read: %v", err)
		}
		path = filepath.Join(t.TempDir(), "missing", assertionName)
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "assertion_key") {
			t.Errorf("a folder that is not there: %v", err)
		}
	})
}

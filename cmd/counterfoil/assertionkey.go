package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/wholefile"
)

// assertionName is the file of the keys of a gateway, in the folder of its routes, and of a server that
// answers proxies, in its data folder.
const assertionName = "assertion.key"

// assertionKeys returns what returns the keys at any time, or nil, with which nothing is signed. file is what
// the setting says: off, or a file, or nothing for the one in folder.
func assertionKeys(file, folder string, log *slog.Logger) (func() *gateway.AssertionKeys, error) {
	if file == "off" {
		return nil, nil
	}
	keys, err := openAssertionKeys(cmp.Or(file, filepath.Join(folder, assertionName)), log)
	if err != nil {
		return nil, err
	}
	return keys.Current, nil
}

// openAssertionKeys reads the file at path, which an operator may change while the gateway runs. If
// there is none, it makes it with a new key.
func openAssertionKeys(path string, log *slog.Logger) (*textfile.Followed[*gateway.AssertionKeys], error) {
	f := &textfile.Followed[*gateway.AssertionKeys]{
		Path: path, Read: func() (*gateway.AssertionKeys, error) { return readAssertionKeys(path) },
		Failed: func(err error) { log.Error("assertion key", "file", path, "error", err.Error()) },
	}
	err := f.Load()
	if errors.Is(err, fs.ErrNotExist) {
		// Two gateways may start at once: the one that comes second takes the key of the first.
		if err = newAssertionFile(path); err == nil || errors.Is(err, fs.ErrExist) {
			err = f.Load()
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func newAssertionFile(path string) error {
	key, err := gateway.NewAssertionKey()
	if err != nil {
		return err
	}
	if err = wholefile.Create(path, key); err != nil && !errors.Is(err, fs.ErrExist) {
		return config.Invalid{{Where: path, Problem: "cannot be made: " + err.Error(), Hint: "set assertion_key (gateway_assertion_key of a server) to a file in a folder that the gateway may write to, or to off"}}
	}
	return err
}

func readAssertionKeys(path string) (*gateway.AssertionKeys, error) {
	if bad, ok := errors.AsType[*private.Error](private.Secret(path)); ok && !bad.Given {
		return nil, config.Invalid{{Where: path, Problem: bad.Problem, Hint: bad.Hint}}
	}
	text, err := textfile.Read(path)
	if err != nil {
		return nil, private.Unreadable(path, err)
	}
	keys, err := gateway.ReadAssertionKeys(text)
	if err != nil {
		return nil, config.Invalid{{Where: path, Problem: fmt.Sprintf("has no keys for assertions: %v", err), Hint: "remove the file, and the gateway makes a new one"}}
	}
	return keys, nil
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/wholefile"
)

// assertionName is the file of the gateway's key, in the folder of the routes.
const assertionName = "assertion.key"

// assertionFile has the keys that sign assertions. An operator may change it while the gateway runs.
type assertionFile struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex // guards the fields below
	keys    *gateway.AssertionKeys
	changed time.Time // of the file, when keys were read
	looked  time.Time
}

// openAssertionKeys reads the file at path. If there is none, it makes it with a new key.
func openAssertionKeys(path string, log *slog.Logger) (*assertionFile, error) {
	f := &assertionFile{path: path, log: log, now: time.Now}
	err := f.load()
	if errors.Is(err, fs.ErrNotExist) {
		// Two gateways may start at once: the one that comes second takes the key of the first.
		if err = newAssertionFile(path); err == nil || errors.Is(err, fs.ErrExist) {
			err = f.load()
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
		return config.Invalid{{Where: path, Problem: "cannot be made: " + err.Error(), Hint: "set assertion_key to a file in a folder that the gateway may write to, or to off"}}
	}
	return err
}

// current returns the keys. It looks at the file once a minute. If the file cannot be used, it
// logs that and keeps the keys that it had.
func (f *assertionFile) current() *gateway.AssertionKeys {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now().Sub(f.looked).Abs() >= time.Minute {
		if err := f.loadLocked(); err != nil {
			f.log.Error("assertion key", "file", f.path, "error", err.Error())
		}
	}
	return f.keys
}

func (f *assertionFile) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loadLocked()
}

func (f *assertionFile) loadLocked() error {
	f.looked = f.now()
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.keys != nil && info.ModTime().Equal(f.changed) {
		return nil
	}
	if bad, ok := errors.AsType[*private.Error](private.Secret(f.path)); ok && !bad.Given {
		return config.Invalid{{Where: f.path, Problem: bad.Problem, Hint: bad.Hint}}
	}
	text, err := textfile.Read(f.path)
	if err != nil {
		return private.Unreadable(f.path, err)
	}
	keys, err := gateway.ReadAssertionKeys(text)
	if err != nil {
		return config.Invalid{{Where: f.path, Problem: fmt.Sprintf("has no keys for assertions: %v", err), Hint: "remove the file, and the gateway makes a new one"}}
	}
	f.keys, f.changed = keys, info.ModTime()
	return nil
}

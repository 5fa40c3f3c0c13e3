package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// secrets is what an app keeps of a login. All of it belongs in the keychain of the system.
type secrets struct {
	RefreshToken string `json:"refresh_token,omitempty"` // empty: nobody is signed in
	// Nonce goes with each attempt to use RefreshToken, so that the server knows who asks again because an
	// answer was lost. It is made and kept with the token: one that is made later differs after a crash.
	Nonce       string    `json:"refresh_nonce,omitempty"`
	AccessToken string    `json:"access_token,omitempty"`
	Expires     time.Time `json:"expires,omitzero"` // of AccessToken, by the clock of this machine
	Device      string    `json:"device,omitempty"` // stays after a sign-out: strangers' wrong guesses do not slow this device down
}

// keychain is a file of mode 0600, as a stand-in for the keychain of the system.
type keychain struct{ path string }

// lock keeps other processes, and other calls in this one, away until unlock is called. The system
// unlocks when a process is killed. It is a file of its own, because the other one is replaced.
func (k keychain) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("%w: another process has the keychain", errUnavailable)
		case <-again.C:
		}
	}
}

// load returns what is kept; nothing if there is no file.
func (k keychain) load() (s secrets, err error) {
	data, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return secrets{}, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// save replaces the file. A reader finds the one before or the new one, whole, and when save returns
// the new one outlives a power cut.
func (k keychain) save(s secrets) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	folder := filepath.Dir(k.path)
	file, err := os.CreateTemp(folder, ".keychain.*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // after the rename there is nothing to remove
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), k.path); err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

package store

import (
	"errors"
	"fmt"
)

// Limits of a record, in bytes.
const (
	maxID    = 200
	maxValue = 64 << 10
	maxTexts = 64 // in Index
)

// Check returns an error for a batch that no store may accept. Each Commit calls it first.
func (b Batch) Check() error {
	seen := make(map[Key]struct{}, len(b.Put))
	for _, r := range b.Put {
		if err := errors.Join(r.check(), checkID("owner", r.Owner, true)); err != nil {
			return err
		}
		if len(r.Value) > maxValue {
			return fmt.Errorf("store: value of %s %q is %d bytes, more than %d", r.Kind, r.ID, len(r.Value), maxValue)
		}
		if len(r.Index) > maxTexts {
			return fmt.Errorf("store: %s %q has %d index texts, more than %d", r.Kind, r.ID, len(r.Index), maxTexts)
		}
		for _, text := range r.Index {
			if err := checkID("index text", text, false); err != nil {
				return err
			}
		}
		if _, twice := seen[r.Key]; twice {
			return fmt.Errorf("store: %s %q is put twice in one batch", r.Kind, r.ID)
		}
		seen[r.Key] = struct{}{}
	}
	return nil
}

func (k Key) check() error {
	for _, c := range []byte(k.Kind) {
		if c < 'a' || c > 'z' {
			return fmt.Errorf("store: kind %q is not lower-case letters", k.Kind)
		}
	}
	if k.Kind == "" {
		return errors.New("store: a record needs a kind")
	}
	return checkID("id", k.ID, false)
}

func checkID(what, id string, empty bool) error {
	if (id == "" && !empty) || len(id) > maxID {
		return fmt.Errorf("store: %s must be 1 to %d bytes", what, maxID)
	}
	for _, c := range []byte(id) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("store: %s %q is not printable ASCII", what, id)
		}
	}
	return nil
}

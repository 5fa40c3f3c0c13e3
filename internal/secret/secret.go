// Package secret has a type for credentials that no log, error or dump prints (OPS-01). Call
// [New]. [String.Reveal] is the only method that returns the value, so all uses of the value
// are easy to find.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[secret]"

// String is a string that prints as [secret]. The zero String is empty.
type String struct{ reveal func() string }

// New hides s.
func New(s string) String { return String{func() string { return s }} }

// Reveal returns the hidden value.
func (s String) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Equal compares s and t. Its time depends on neither value (OPS-17).
func (s String) Equal(t String) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(t.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Format prints [secret] for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

func (s String) String() string               { return redacted }
func (s String) GoString() string             { return redacted }
func (s String) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Package check refuses arguments that nothing inside takes. Begin with [Text].
package check

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadRequest means that an argument is not acceptable; nothing was done. Packages
// that take arguments from outside name it as their own.
var ErrBadRequest = errors.New("bad request")

// Text refuses what could not stand as an id in a store, a log line or a header.
func Text(what, s string, limit int) error {
	if len(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%w: %s must be at most %d printable ASCII characters without spaces", ErrBadRequest, what, limit)
	}
	return nil
}

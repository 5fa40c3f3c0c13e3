// Package check says which texts may be ids and names, and which times can be written. Begin
// with [Text] for ids and [People] for names. [Clip] makes a text from elsewhere safe to show. It knows what a store, a log line, a header and a
// screen can hold, and not what an id means.
package check

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrBadRequest means that an argument is not acceptable; nothing was done. Packages
// that take arguments from outside name it as their own.
var ErrBadRequest = errors.New("bad request")

// Text refuses what could not stand as an id in a store, a log line or a header.
func Text(what, s string, limit int) error {
	has := ""
	if len(s) > limit {
		has = fmt.Sprint("has ", len(s))
	} else if err := ASCII(s); err != nil {
		has = err.Error()
	} else {
		return nil
	}
	return fmt.Errorf("%w: %s must be at most %d printable ASCII characters without spaces: it %s", ErrBadRequest, what, limit, has)
}

// ASCII returns nil if s is printable ASCII without spaces, or the first other character, as the
// rest of a sentence.
func ASCII(s string) error {
	at := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	if at < 0 {
		return nil
	}
	if r, size := utf8.DecodeRuneInString(s[at:]); r != utf8.RuneError || size > 1 {
		return fmt.Errorf("has %U as character %d", r, at+1)
	}
	return errors.New("is not UTF-8")
}

// Printable reports whether s is printable ASCII without spaces.
func Printable(s string) bool { return ASCII(s) == nil }

// Time refuses a time that JSON cannot carry in UTC: it has four digits for the year
// (RFC 3339). A text may be of the year 9999 in its own zone, and of 10000 in UTC.
func Time(what string, t time.Time) error {
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return fmt.Errorf("%w: %s must be a time in the years 0 to 9999", ErrBadRequest, what)
	}
	return nil
}

// Method reports whether s may name a way of signing in: 1 to 32 lower-case letters, digits
// and dashes. It is the kind of its credentials, too.
func Method(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

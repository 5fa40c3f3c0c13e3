package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/store"
)

// ErrBadFilter means that no user can be meant.
var ErrBadFilter = errors.New("filter is not acceptable")

// Filter says which users a search is for: those for which every field that is set holds. The
// zero Filter is for all.
type Filter struct {
	// Text has words. Each is the beginning of the identifier, of the address, of a word of the name, or of the
	// id, however they are spelled.
	Text     string
	Role     string
	Disabled *bool
	Since    time.Time // created then or later
	Before   time.Time // created before
}

// Bounds of a Filter.
const (
	maxFilter = 254 // bytes of Text
	maxWords  = 8
)

// Check refuses what no user can have, with ErrBadFilter.
func (f Filter) Check() error {
	if len(f.Text) > maxFilter || expands(f.Text) {
		return fmt.Errorf("%w: the text is longer than %d bytes", ErrBadFilter, maxFilter)
	}
	if len(words(f.Text)) > maxWords {
		return fmt.Errorf("%w: the text has more than %d words", ErrBadFilter, maxWords)
	}
	if f.Text != "" && len(words(f.Text)) == 0 {
		return fmt.Errorf("%w: the text has no visible character", ErrBadFilter)
	}
	if len(f.Role) > 64 || check.ASCII(f.Role) != nil {
		return fmt.Errorf("%w: a role is at most 64 printable ASCII characters without spaces", ErrBadFilter)
	}
	return nil
}

// fold returns the one spelling of s that all its aliases share, as [Canonical] does, whatever is
// in it.
func fold(s string) string {
	s = norm.NFKC.String(s)
	return norm.NFKC.String(strings.Map(foldCherokee, cases.Fold().String(strings.Map(visible, s))))
}

// words returns the folded words of s.
func words(s string) []string {
	return strings.FieldsFunc(fold(s), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// A user is found by these texts. Those with a time end with the time of the creation, counted
// backwards, so that the newest is first.
const (
	textsVersion = 1 // a change of the texts takes another

	wordText     = "q"
	allText      = "t"
	roleText     = "r"
	disabledText = "d"

	maxNameWords = 12 // of a name, each in two spellings at most
)

// names returns the words that u is found by.
func (u *User) names() []string {
	all := []string{u.Identifier, fold(u.ID)}
	if u.Address != "" {
		all = append(all, u.Address)
	}
	ofName := words(u.Name)
	for _, word := range ofName[:min(len(ofName), maxNameWords)] {
		plain := strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
		if all = append(all, word); plain != "" {
			all = append(all, plain)
		}
	}
	return longest(all)
}

// longest returns the words that no other begins with, in order. What begins with a word that is
// left out begins with another, too.
func longest(words []string) []string {
	slices.Sort(words)
	kept := slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		return slices.ContainsFunc(words, func(other string) bool { return other != word && strings.HasPrefix(other, word) })
	})
	return slices.Compact(kept)
}

// texts returns what u is found by. A damaged user is the last of all.
func (u *User) texts() []string {
	if u.Status == Damaged {
		return []string{allText + "|" + store.Backwards(time.Unix(0, 0))}
	}
	at := "|" + store.Backwards(u.Created)
	all := []string{allText + at}
	if u.Status == Disabled {
		all = append(all, disabledText+at)
	}
	for _, role := range u.Roles {
		all = append(all, store.Text(roleText, role, at))
	}
	for _, word := range u.names() {
		all = append(all, store.Text(wordText, word, ""))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// foundUser returns the user of a record without its password, and its texts.
func foundUser(rec store.Record) (*User, []string) {
	u := &User{}
	if err := json.Unmarshal(rec.Value, u); err != nil || check.Time("created", u.Created) != nil {
		u = &User{Status: Damaged}
	}
	u.ID = rec.ID
	return u, u.texts()
}

// record returns the record of u.
func (u *User) record() (store.Record, error) {
	kept := *u
	if kept.Address == kept.Identifier {
		kept.Address = ""
	}
	value, err := json.Marshal(kept)
	return store.Record{Key: userKey(u.ID), Rev: u.rev, Value: value, Index: u.texts()}, err
}

// holds reports whether every field of f that is set holds for u.
func (f Filter) holds(u *User) bool {
	if u.Status == Damaged { // it is found only where nothing of it is asked for
		return f == Filter{}
	}
	names := u.names()
	for _, word := range words(f.Text) {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, word) }) {
			return false
		}
	}
	return (f.Role == "" || slices.Contains(u.Roles, f.Role)) &&
		(f.Disabled == nil || *f.Disabled == (u.Status == Disabled)) &&
		(f.Since.IsZero() || !u.Created.Before(f.Since)) &&
		(f.Before.IsZero() || u.Created.Before(f.Before))
}

func (f Filter) query(after string) store.Query[*User] {
	q := store.Query[*User]{Kind: kindUser, Parse: foundUser, After: store.ParsePosition(after)}
	for _, word := range longest(words(f.Text)) {
		q.By = append(q.By, store.By{Prefix: store.Text(wordText, word, "")})
	}
	at := func(prefix string) {
		by := store.By{Prefix: prefix + "|"}
		if !f.Since.IsZero() {
			by.Last = by.Prefix + store.Backwards(f.Since)
		}
		q.By = append(q.By, by)
	}
	if f.Role != "" {
		at(store.Text(roleText, f.Role, ""))
	}
	if f.Disabled != nil && *f.Disabled {
		at(disabledText)
	}
	if q.By == nil {
		at(allText)
	}
	return q
}

// Found is a page of a search.
type Found struct {
	Users  []User
	Looked int    // records that were looked at
	Next   string // where the next page goes on; empty: this is the last
}

// Search returns a page of the users that f is for, after the position that Next of the page
// before said. If the store is Indexed, those with Text come in the order of what was found, all
// others the newest first. A limit of zero, and one above MaxPage, is MaxPage. A page may be short and not
// the last. Damaged users are among all, and in no other search.
func (d *Directory) Search(ctx context.Context, f Filter, after string, limit int) (found Found, err error) {
	if err := f.Check(); err != nil {
		return found, err
	}
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	var users []store.Record
	q := f.query(after)
	last, looks := "", q.Looks(d.store)
	for look, err := range store.Find(ctx, d.store, q) {
		if err != nil {
			return Found{}, err
		}
		if len(users) == limit || found.Looked == looks {
			found.Next = last
			break
		}
		found.Looked, last = found.Looked+1, look.At.String()
		if look.Matches && f.holds(look.Item) {
			users = append(users, look.Record)
		}
	}
	found.Users, err = d.withCredentials(ctx, users)
	if err != nil {
		return Found{}, err
	}
	return found, nil
}

// maxCount is how far Count counts.
const maxCount = 10_000

// Count returns how many users f is for, exactly up to maxCount if one index answers, and
// otherwise among the first that it looks at; more says that there may be others.
func (d *Directory) Count(ctx context.Context, f Filter) (n int, more bool, err error) {
	if err := f.Check(); err != nil {
		return 0, false, err
	}
	var also func(*User) bool
	if !f.Before.IsZero() || f.Disabled != nil && !*f.Disabled {
		also = f.holds
	}
	q := f.query("")
	return q.Tally(ctx, d.store, maxCount, q.Looks(d.store), also)
}

// Reindex makes users searchable that a version without the search has written, or a move.
func (d *Directory) Reindex(ctx context.Context, progress func(done int)) error {
	return store.Reindex(ctx, d.store, kindUser, textsVersion, func(rec store.Record) []string {
		_, texts := foundUser(rec)
		return texts
	}, progress)
}

package directory

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/counterfoil/counterfoil/store"
	"golang.org/x/text/unicode/norm"
)

// kindSkeleton has the hash of a skeleton as its ID; makes it unique.
const kindSkeleton store.Kind = "skeleton"

// ErrConfusable means that an identifier looks like the one of another user. It is ErrTaken, too.
var ErrConfusable = fmt.Errorf("identifier looks like the one of another user: %w", ErrTaken)

//go:embed confusables.txt
var confusables string

// prototypes is what characters look like. It is read at first use.
var prototypes = sync.OnceValue(func() map[rune]string {
	all := make(map[rune]string, strings.Count(confusables, "\n"))
	for line := range strings.Lines(confusables) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var runes []rune
		for code := range strings.FieldsSeq(line) {
			n, err := strconv.ParseUint(code, 16, 21)
			if err != nil {
				panic("directory: confusables.txt: " + err.Error())
			}
			runes = append(runes, rune(n))
		}
		all[runes[0]] = string(runes[1:])
	}
	return all
})

// blanks are characters without ink that Unicode counts as visible, so that no normalisation
// drops them: a Braille cell without dots, the head of no note, and fillers of two scripts.
const blanks = "\u2800\U0001d159\U00016fe4\U00013441\U00013442"

// Skeleton is what a canonical identifier looks like, as UTS 39 defines it: two identifiers
// with one skeleton can be taken for each other. It is compared, and never shown. It has neither
// blanks nor characters of private use, of which many programs show nothing.
func Skeleton(canonical string) string {
	all := prototypes()
	var seen strings.Builder
	for _, r := range norm.NFD.String(canonical) {
		if unicode.Is(unicode.Co, r) || strings.ContainsRune(blanks, r) {
			continue
		}
		if p, ok := all[r]; ok {
			seen.WriteString(p)
		} else {
			seen.WriteRune(r)
		}
	}
	return norm.NFD.String(seen.String())
}

func skeletonKey(canonical string) store.Key {
	return store.Key{Kind: kindSkeleton, ID: hashID(Skeleton(canonical))}
}

// Available returns nil if no user has the identifier, nor a verified address that is spelled so, or ErrTaken, or ErrConfusable with the id
// of a user whose identifier looks like it.
func (d *Directory) Available(ctx context.Context, identifier string) error {
	canonical, err := Canonical(identifier)
	if err != nil {
		return err
	}
	keys := []store.Key{identifierKey(canonical), addressKey(canonical)} // an address that somebody proved is no name of another
	recs, err := d.store.Get(ctx, keys...)
	if err != nil {
		return err
	}
	if recs[0].Rev != 0 || recs[1].Rev != 0 {
		return ErrTaken
	}
	of, at, err := d.looks(ctx, canonical)
	if err == nil && at.Rev != 0 {
		err = fmt.Errorf("%w (%s)", ErrConfusable, of)
	}
	return err
}

// looks returns the user whose identifier was the first to look like canonical, and the record
// that says so; its Rev is zero if there is none. One that cannot be read is nobody's, and
// stops no change of a user.
func (d *Directory) looks(ctx context.Context, canonical string) (user string, at store.Record, err error) {
	at, err = store.One(ctx, d.store, skeletonKey(canonical))
	if errors.Is(err, store.ErrNotFound) {
		return "", at, nil
	}
	var of pointer
	if err == nil {
		_ = json.Unmarshal(at.Value, &of)
	}
	return of.User, at, err
}

// pointer is the value of a record that makes something of a user unique.
type pointer struct {
	User   string `json:"user"`
	Former bool   `json:"former,omitempty"` // of an identifier that the user had before: nobody signs in with it, and nobody else gets it
}

// setSkeleton adds the record of u's skeleton, if there is none: u may be from a version that
// had none. An earlier user who looks the same keeps it.
func (d *Directory) setSkeleton(ctx context.Context, b *store.Batch, u *User) error {
	_, at, err := d.looks(ctx, u.Identifier)
	if err != nil || at.Rev != 0 {
		return err
	}
	value, err := json.Marshal(pointer{User: u.ID})
	b.Put = append(b.Put, store.Record{Key: skeletonKey(u.Identifier), Value: value})
	return err
}

// deleteSkeleton deletes the record of u's skeleton, if it is u's.
func (d *Directory) deleteSkeleton(ctx context.Context, b *store.Batch, u *User) error {
	of, at, err := d.looks(ctx, u.Identifier)
	if err != nil || of != u.ID {
		return err
	}
	b.Require = append(b.Require, store.Require{Key: at.Key, Rev: at.Rev})
	b.Delete = append(b.Delete, at.Key)
	return nil
}

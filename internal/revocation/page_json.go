package revocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

type wirePage struct {
	After   Cursor      `json:"after"`
	Upto    Cursor      `json:"upto"`
	Head    Cursor      `json:"head"`
	Time    time.Time   `json:"time"`
	Proof   string      `json:"proof"`
	Entries []wireEntry `json:"entries"`
}

type wireEntry struct {
	Seq   uint64 `json:"seq"`
	Scope Scope  `json:"scope"`
	ID    string `json:"id,omitempty"`
	Exp   int64  `json:"exp"`
}

// MarshalJSON writes the page as GET /v1/log answers it. Reasons stay at the issuer.
func (p Page) MarshalJSON() ([]byte, error) {
	w := wirePage{p.After, p.Upto, p.Head, p.Time, p.Proof, make([]wireEntry, len(p.Entries))}
	for n, e := range p.Entries {
		// Rounded up: an entry is never dropped early.
		w.Entries[n] = wireEntry{e.At.Seq, e.Scope, e.ID, e.Expires.Add(time.Second - 1).Unix()}
	}
	return json.Marshal(w)
}

// Limits of a page that is read. An issuer sends 5,000 entries at most.
const (
	MaxPage    = 16 << 20 // bytes
	maxEntries = 20_000
	maxID      = 256 // bytes
	maxProof   = 64  // bytes
)

// UnmarshalJSON reads what MarshalJSON writes, and refuses everything else: what
// is skipped here could be a revocation. A member that is missing, twice, spelled
// otherwise or not known is an error. It reads each byte once: a verifier that starts reads the
// whole log.
func (p *Page) UnmarshalJSON(data []byte) error {
	if len(data) > MaxPage {
		return fmt.Errorf("%w: %d bytes", ErrPage, len(data))
	}
	var read Page
	found := 0
	err := token.ReadObject(data, func(name string, v *token.Value) error {
		found++ // none is twice, so as many as there are names are all
		switch name {
		case "after":
			return into(v, read.After.UnmarshalText)
		case "upto":
			return into(v, read.Upto.UnmarshalText)
		case "head":
			return into(v, read.Head.UnmarshalText)
		case "time":
			return into(v, read.Time.UnmarshalText)
		case "proof":
			return into(v, func(text []byte) error {
				read.Proof = string(text)
				return within(len(text) <= maxProof, "proof", len(text))
			})
		case "entries":
			return v.Array(func(v *token.Value) error {
				e, err := readEntry(v)
				read.Entries = append(read.Entries, e)
				return errors.Join(err, within(len(read.Entries) <= maxEntries, "entries", len(read.Entries)))
			})
		}
		return fmt.Errorf("member %.50q", name)
	})
	if err == nil {
		err = within(found == 6, "members", found)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPage, err)
	}
	for n := range read.Entries {
		read.Entries[n].At.Epoch = read.Upto.Epoch
	}
	*p = read
	return nil
}

// readEntry returns an entry whose epoch only the page knows.
func readEntry(v *token.Value) (e Revocation, err error) {
	found := 0
	err = v.Object(func(name string, v *token.Value) error {
		found++
		switch name {
		case "seq":
			n, err := v.Integer()
			e.At.Seq = uint64(n)
			return errors.Join(err, within(n >= 0 && n < 1<<53, "seq", n))
		case "scope":
			text, err := v.Text()
			e.Scope = scopeOf(text)
			return errors.Join(err, within(len(text) <= maxID, "scope", len(text)))
		case "id":
			found--
			text, err := v.Text()
			e.ID = strings.Clone(text)
			return errors.Join(err, within(len(text) > 0 && len(text) <= maxID, "id", len(text)))
		case "exp":
			n, err := v.Integer()
			e.Expires = time.Unix(n, 0)
			return errors.Join(err, within(n >= 0 && n < maxUnix, "exp", n))
		}
		return fmt.Errorf("member %.50q of an entry", name)
	})
	return e, errors.Join(err, within(found == 3, "members of an entry", found))
}

// scopeOf returns one text for all entries of a scope that is known.
func scopeOf(text string) Scope {
	for _, known := range scopes {
		if text == string(known) {
			return known
		}
	}
	return Scope(strings.Clone(text))
}

// maxUnix is the year 10000, beyond which times are not written in JSON.
const maxUnix = 253402300800

func into(v *token.Value, unmarshal func([]byte) error) error {
	text, err := v.Text()
	if err != nil {
		return err
	}
	return unmarshal([]byte(text))
}

func within[T int | int64](ok bool, what string, is T) error {
	if ok {
		return nil
	}
	return fmt.Errorf("out of range: %s %d", what, is)
}

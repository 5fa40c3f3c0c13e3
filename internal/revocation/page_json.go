package revocation

import (
	"encoding/json"
	"fmt"
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
// otherwise or not known is an error.
func (p *Page) UnmarshalJSON(data []byte) error {
	if len(data) > MaxPage {
		return fmt.Errorf("%w: %d bytes", ErrPage, len(data))
	}
	if err := token.CheckJSON(data); err != nil {
		return fmt.Errorf("%w: %w", ErrPage, err)
	}
	var read Page
	var entries []map[string]json.RawMessage
	err := members(data, map[string]any{"after": &read.After, "upto": &read.Upto, "head": &read.Head, "time": &read.Time, "proof": &read.Proof, "entries": &entries})
	if err != nil {
		return err
	}
	if len(read.Proof) > maxProof {
		return fmt.Errorf("%w: proof of %d bytes", ErrPage, len(read.Proof))
	}
	if len(entries) > maxEntries || entries == nil {
		return fmt.Errorf("%w: %d entries", ErrPage, len(entries))
	}
	for _, raw := range entries {
		var w wireEntry
		if _, ok := raw["id"]; !ok {
			raw["id"] = json.RawMessage(`""`)
		} else if string(raw["id"]) == `""` {
			return fmt.Errorf("%w: id is empty", ErrPage)
		}
		if err := bind(raw, map[string]any{"seq": &w.Seq, "scope": &w.Scope, "id": &w.ID, "exp": &w.Exp}); err != nil {
			return err
		}
		if w.Seq >= 1<<53 || w.Exp < 0 || w.Exp >= maxUnix || len(w.ID) > maxID || len(w.Scope) > maxID {
			return fmt.Errorf("%w: an entry is out of range", ErrPage)
		}
		read.Entries = append(read.Entries, Revocation{At: Cursor{read.Upto.Epoch, w.Seq}, Scope: w.Scope, ID: w.ID, Expires: time.Unix(w.Exp, 0)})
	}
	*p = read
	return nil
}

// maxUnix is the year 10000, beyond which times are not written in JSON.
const maxUnix = 253402300800

// members reads an object whose member names are exactly those of into. The
// decoder of encoding/json alone would let "Exp" stand for "exp" (TOK-12).
func members(data []byte, into map[string]any) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("%w: %w", ErrPage, err)
	}
	return bind(raw, into)
}

func bind(raw map[string]json.RawMessage, into map[string]any) error {
	if len(raw) != len(into) {
		return fmt.Errorf("%w: %d members, want %d", ErrPage, len(raw), len(into))
	}
	for name, value := range into {
		text, ok := raw[name]
		if !ok || string(text) == "null" {
			return fmt.Errorf("%w: no %s", ErrPage, name)
		}
		if err := json.Unmarshal(text, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrPage, name, err)
		}
	}
	return nil
}

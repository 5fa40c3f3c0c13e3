package audit

import (
	"encoding/json"
	"time"

	"github.com/counterfoil/counterfoil/source"
)

// wrote is an entry of the revocation log that the commit of an Entry wrote. Where in the log it stands is not
// known before the commit. When it expires takes that place: stores keep it in seconds.
type wrote struct {
	Scope   source.Scope `json:"scope"`
	ID      string       `json:"id,omitempty"`
	Expires int64        `json:"expires"` // Unix time
}

// kept is an Entry as it is kept. A program that does not know what it wrote reads the rest.
type kept struct {
	*Entry
	Wrote []wrote `json:"wrote,omitempty"`
}

func parse(value []byte) (e Entry, err error) {
	k := kept{Entry: &e}
	err = json.Unmarshal(value, &k)
	e.wrote = k.Wrote
	return e, err
}

// maxWrote is how many entries of the log one Entry keeps. More are in a commit of two kinds. A job that ends sessions
// by a filter names itself in its entries of the log. The first login of a subject after Options.MaxSessions of the issuer
// was lowered may end more than 32 sessions: those beyond have no author.
const maxWrote = 32

// link notes in the entries of a commit which entries of the log it writes. Each is told by one: by the one that is
// about that session, if there is one, and otherwise by the last.
func link(entries []Entry, revoked []source.Revocation) {
	for n := range entries {
		entries[n].wrote = nil
	}
	for _, r := range revoked {
		var teller *Entry
		for n := range entries {
			e := &entries[n]
			if e.Action == "" {
				continue
			}
			if teller = e; r.Scope == source.ScopeSession && e.Session == r.ID {
				break
			}
		}
		if teller != nil && len(teller.wrote) < maxWrote {
			teller.wrote = append(teller.wrote, wrote{r.Scope, r.ID, r.Expires.Unix()})
		}
	}
}

// Wrote returns the scope, the id and the expiry of each entry of the revocation log that the commit of e wrote, to the
// second. An earlier version kept none.
func (e *Entry) Wrote() (entries []source.Revocation) {
	for _, w := range e.wrote {
		entries = append(entries, source.Revocation{Scope: w.Scope, ID: w.ID, Expires: time.Unix(w.Expires, 0)})
	}
	return entries
}

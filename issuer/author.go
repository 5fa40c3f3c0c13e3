package issuer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
)

// authorWithin is how far the time of a log entry and that of its audit entry may be apart: clocks
// of nodes that issue agree by half a minute.
const authorWithin = time.Minute

// maxAuthors is how many audit entries Authors looks at.
const maxAuthors = 1000

// line is what names an entry of the log in the audit trail. Two of the same scope and id in one second have the same.
type line struct {
	scope   source.Scope
	id      string
	expires int64
}

func lineOf(r source.Revocation) line { return line{r.Scope, r.ID, r.Expires.Unix()} }

// Authors returns the audit entry that tells who made each entry of the log, and when: it was kept in the commit that
// wrote the entry, and says so. One that is not found is zero: it has expired, is one of very many, is of a
// version that did not say so, or is one of two of the same name, of one second and of different actors.
func (i *Issuer) Authors(ctx context.Context, entries []source.Revocation) ([]audit.Entry, error) {
	authors := make([]audit.Entry, len(entries))
	if len(entries) == 0 {
		return authors, nil
	}
	at := func(e source.Revocation) time.Time {
		made := revlog.CommittedAt(e)
		if now := i.opts.Now(); made.After(now) {
			return now
		}
		return made
	}
	byTime := func(a, b source.Revocation) int { return at(a).Compare(at(b)) }
	told, _, err := i.opts.Audit.List(ctx, audit.Query{
		From: at(slices.MinFunc(entries, byTime)).Add(-authorWithin), To: at(slices.MaxFunc(entries, byTime)).Add(authorWithin), Limit: maxAuthors,
	})
	if err != nil {
		return nil, err
	}
	wrote, ordered := make(map[line]audit.Entry), make(map[string]audit.Entry) // by what they wrote, and by the job that they are of
	for _, e := range told {
		for _, r := range e.Wrote() {
			if other, twice := wrote[lineOf(r)]; !twice {
				wrote[lineOf(r)] = e
			} else if other.By != e.By {
				wrote[lineOf(r)] = audit.Entry{}
			}
		}
		if id, is := jobOf(&e); is {
			ordered[id] = e
		}
	}
	for n, entry := range entries {
		e, found := wrote[lineOf(entry)]
		if id, by := strings.CutSuffix(entry.Reason, byFilter); by && !found {
			e = ordered[id]
		}
		authors[n] = e
	}
	return authors, nil
}

// Places returns where in the log the entry stands that each of told tells of, which is [Issuer.Authors]
// the other way round. A place is zero if that wrote none, if the log holds it no more, because nothing
// that it covers can be alive, or if a later one of the same name has taken its place.
func (i *Issuer) Places(ctx context.Context, told []audit.Entry) ([]counterfoil.Cursor, error) {
	if _, err := i.log.Head(ctx); err != nil { // what was committed until now is applied
		return nil, err
	}
	places := make([]counterfoil.Cursor, len(told))
	for n := range told {
		for _, wrote := range told[n].Wrote() {
			entry, held := i.log.Find(wrote.Scope, wrote.ID)
			if !held || lineOf(entry) != lineOf(wrote) {
				continue
			}
			if places[n] == (counterfoil.Cursor{}) || places[n].Before(entry.At) {
				places[n] = entry.At
			}
		}
	}
	return places, nil
}

package issuer

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/store"
)

// Filter says which sessions a search is for: those for which every field that is set holds. The
// zero Filter is for all.
type Filter struct {
	Subject string              `json:"user,omitempty"`
	Client  string              `json:"client,omitempty"` // the session's own, or one that has a grant of it
	Carrier counterfoil.Carrier `json:"carrier,omitzero"` // of the session's own client
	Address netip.Addr          `json:"address,omitzero"` // of the login, or the last one that the session's row has
	Device  string              `json:"device,omitempty"` // a part of the User-Agent, in letters of either case
	ACR     string              `json:"acr,omitempty"`
	Since   time.Time           `json:"since,omitzero"` // the session is not older
}

// Check refuses what no session can have, with ErrBadRequest.
func (f Filter) Check() error {
	if f.Subject == "*" {
		return fmt.Errorf("%w: * is no user", ErrBadRequest)
	}
	for name, text := range map[string]string{"user": f.Subject, "client": f.Client, "acr": f.ACR} {
		if len(text) > 200 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("%w: %s is at most 200 printable ASCII characters", ErrBadRequest, name)
		}
	}
	if len(f.Device) > 256 {
		return fmt.Errorf("%w: device is at most 256 bytes", ErrBadRequest)
	}
	return nil
}

// holds reports whether every field of f that is set holds for r.
func (f Filter) holds(r *SessionRow) bool {
	if r.Damaged { // it is found only where nothing of it is asked for
		return f.Client == "" && f.Carrier == (counterfoil.Carrier{}) && !f.Address.IsValid() && f.Device == "" && f.ACR == "" && f.Since.IsZero()
	}
	return (f.Client == "" || slices.ContainsFunc(r.grants(), func(g Grant) bool { return g.Client == f.Client })) &&
		(f.Carrier == counterfoil.Carrier{} || f.Carrier == r.Carrier) &&
		(!f.Address.IsValid() || f.Address == r.FirstAddress || f.Address == r.LastAddress) &&
		(f.Device == "" || strings.Contains(strings.ToLower(r.Device), strings.ToLower(f.Device))) &&
		(f.ACR == "" || f.ACR == r.ACR) &&
		(f.Since.IsZero() || !r.Created.Before(f.Since.Truncate(time.Second)))
}

// narrow reports whether f asks for something that no text has.
func (f Filter) narrow() bool {
	return f.Carrier != counterfoil.Carrier{} || f.Device != "" || f.ACR != ""
}

// A session is found by these texts. Each ends with the time of the login, counted backwards, so
// that the newest is first. A refresh changes none of them.
const (
	textsVersion = 1 // a change of the texts takes another

	allText     = "t"
	clientText  = "c"
	addressText = "a"
)

// texts returns what r is found by. A damaged session is the last of all.
func (r *SessionRow) texts() []string {
	if r.Damaged {
		return []string{store.Text(allText, "", "|"+store.Backwards(time.Unix(0, 0)))}
	}
	at := store.Backwards(r.Created)
	all := []string{store.Text(allText, "", "|"+at)}
	for _, g := range r.grants() {
		all = append(all, store.Text(clientText, g.Client, "|"+at))
	}
	for _, a := range []netip.Addr{r.FirstAddress, r.LastAddress} {
		if a.IsValid() {
			all = append(all, store.Text(addressText, a.String(), "|"+at))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// foundRow returns the session of a record as a search shows it, and its texts.
func foundRow(rec store.Record) (*SessionRow, []string) {
	row, err := parseRow(rec)
	if err != nil || !row.showable() {
		row = &SessionRow{ID: rec.ID, Subject: rec.Owner, Damaged: true}
	}
	return row, row.texts()
}

func (f Filter) query(after string) store.Query[*SessionRow] {
	q := store.Query[*SessionRow]{Kind: kindSession, Owner: f.Subject, Parse: foundRow, After: store.ParsePosition(after)}
	by := func(begin, value string) {
		prefix, last := store.Text(begin, value, "|"), ""
		if !f.Since.IsZero() {
			last = prefix + store.Backwards(f.Since)
		}
		q.By = append(q.By, store.By{Prefix: prefix, Last: last})
	}
	if f.Address.IsValid() {
		by(addressText, f.Address.String())
	}
	if f.Client != "" {
		by(clientText, f.Client)
	}
	if q.By == nil {
		by(allText, "")
	}
	return q
}

// walkLooks is how many rows a page looks at that nobody waits for: each page has a cost of its own.
const walkLooks = 1000

// Found is a page of a search.
type Found struct {
	Sessions []SessionRow
	Looked   int    // rows that were looked at
	Next     string // where the next page goes on; empty: this is the last
}

// Indexed reports whether sessions are found by an index. Otherwise a page of a search without
// a subject looks at a bounded number of sessions, in no order, and may be empty and not the last.
func (i *Issuer) Indexed() bool { return i.store.Describe().Indexed }

// Search returns a page of the living sessions that f is for, after the position that Next of
// the page before said: those of a subject by ID; all others the newest first, if the store is
// Indexed. A limit of zero, and one above MaxPage, is MaxPage. A page may be short and not the last.
func (i *Issuer) Search(ctx context.Context, f Filter, after string, limit int) (found Found, err error) {
	return i.search(ctx, f, after, limit, f.query("").Looks(i.store))
}

// search is Search, and looks at looks rows.
func (i *Issuer) search(ctx context.Context, f Filter, after string, limit, looks int) (found Found, err error) {
	if err := f.Check(); err != nil {
		return found, err
	}
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	more, last := false, ""
	var chunk []store.Record
	judge := func() error {
		page, err := i.judged(ctx, chunk)
		found.Sessions, chunk = append(found.Sessions, page...), chunk[:0]
		return err
	}
	for look, err := range store.Find(ctx, i.store, f.query(after)) {
		if err != nil {
			return Found{}, unavailable(err)
		}
		if len(found.Sessions)+len(chunk) == limit { // some of them may have ended
			if err := judge(); err != nil {
				return Found{}, err
			}
		}
		if more = len(found.Sessions) == limit || found.Looked == looks; more {
			break
		}
		found.Looked, last = found.Looked+1, look.At.String()
		if look.Matches && f.holds(look.Item) {
			chunk = append(chunk, look.Record)
		}
	}
	if err := judge(); err != nil {
		return Found{}, err
	}
	if more {
		found.Next = last
	}
	return found, nil
}

// All yields the living sessions that f is for, in the order of Search.
func (i *Issuer) All(ctx context.Context, f Filter) iter.Seq2[SessionRow, error] {
	return func(yield func(SessionRow, error) bool) {
		for after := ""; ; {
			found, err := i.search(ctx, f, after, MaxPage, walkLooks)
			if err != nil {
				yield(SessionRow{}, err)
				return
			}
			for _, row := range found.Sessions {
				if !yield(row, nil) {
					return
				}
			}
			if after = found.Next; after == "" {
				return
			}
		}
	}
}

// MaxCount is how far Count counts.
const MaxCount = 10_000

// Count returns how many stored sessions f is for, exactly up to MaxCount if one index answers,
// and otherwise among the first that it looks at; more says that there are others. A session that
// has ended counts until its row is swept.
func (i *Issuer) Count(ctx context.Context, f Filter) (n int, more bool, err error) {
	if err := f.Check(); err != nil {
		return 0, false, err
	}
	var also func(*SessionRow) bool
	if f.narrow() {
		also = f.holds
	}
	q := f.query("")
	n, more, err = q.Tally(ctx, i.store, MaxCount, q.Looks(i.store), also)
	return n, more, unavailable(err)
}

// judged returns those of records that live, as Sessions shows them. It asks the store twice.
func (i *Issuer) judged(ctx context.Context, records []store.Record) (page []SessionRow, err error) {
	bases, err := i.basesOf(ctx, records)
	if err != nil {
		return nil, err
	}
	for _, rec := range records {
		row, err := bases[rec.Owner].alive(ctx, rec)
		if err == nil {
			page = append(page, *row)
		} else if !isInvalid(err) {
			return nil, err
		}
	}
	return i.shown(ctx, page)
}

// basesOf reads what the sessions of records rest on, all at once: for many sessions of many
// subjects a question for each would take longer than everything else. What cannot be read is
// left to [basis.dependencies], which says why.
func (i *Issuer) basesOf(ctx context.Context, records []store.Record) (map[string]*basis, error) {
	bases := map[string]*basis{}
	keys, at := []store.Key{cutoffKey}, map[store.Key]int{}
	want := func(k store.Key) {
		if _, has := at[k]; !has {
			at[k] = len(keys)
			keys = append(keys, k)
		}
	}
	rows := make([]*SessionRow, 0, len(records))
	for _, rec := range records {
		if bases[rec.Owner] == nil {
			bases[rec.Owner] = i.basisOf(rec.Owner)
		}
		if row, err := parseRow(rec); err == nil {
			want(subjectKey(rec.Owner))
			want(clients.RevisionKey(row.Client))
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return bases, nil
	}
	recs, err := i.store.Get(ctx, keys...)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, row := range rows {
		on := dependencies{all: recs[0].Rev}
		if on.subject, err = parseSubject(recs[at[subjectKey(row.Subject)]]); err != nil {
			continue
		}
		if on.client, err = i.clients.Under(ctx, row.Client, recs[at[clients.RevisionKey(row.Client)]]); err == nil {
			bases[row.Subject].of[row.Client] = on
		}
	}
	return bases, nil
}

// Reindex makes sessions searchable that a version without the search has written, or a move.
// It does nothing if all are. A server calls it before it answers, and then from time to time.
func (i *Issuer) Reindex(ctx context.Context, progress func(done int)) error {
	return unavailable(store.Reindex(ctx, i.store, kindSession, textsVersion, func(rec store.Record) []string {
		_, texts := foundRow(rec)
		return texts
	}, progress))
}

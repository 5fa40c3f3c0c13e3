package kept

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Incident is a time in which a check was down, or what an operator calls one.
type Incident struct {
	ID     string         `json:"id"`              // sorts newest first
	Check  string         `json:"check,omitempty"` // empty: an operator has made it
	Title  string         `json:"title"`
	Began  time.Time      `json:"began"`
	Ended  time.Time      `json:"ended,omitzero"` // zero: it is open
	Reason monitor.Reason `json:"reason,omitempty"`
	Notes  []Note         `json:"notes,omitempty"`

	rev     uint64
	expires time.Time
}

// Note is what an operator says of an incident, for everybody who may see the status page.
type Note struct {
	At   time.Time `json:"at"`
	By   string    `json:"by,omitempty"` // for operators
	Text string    `json:"text"`
}

// The limits of what operators write.
const (
	MaxTitle = 120  // characters
	MaxNote  = 2000 // characters
	maxNotes = 50   // of one incident
)

// ErrBadText means that a title or a note is empty, too long, or has characters that cannot be shown.
var ErrBadText = errors.New("the text is empty, too long, or has characters that cannot be shown")

func checkText(text string, most int) error {
	if strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > most || !utf8.ValidString(text) {
		return ErrBadText
	}
	for _, r := range text {
		if r != '\n' && check.Harm(r) != "" {
			return ErrBadText
		}
	}
	return nil
}

// newIncident is the record of i, which gets an id.
func (k *Keeper) newIncident(i *Incident) (store.Record, error) {
	i.ID = fmt.Sprintf("%016x%s", math.MaxInt64-i.Began.UnixNano(), strings.ToLower(rand.Text()[:8]))
	i.expires = k.opts.Now().Add(keepYear).Truncate(time.Second)
	return i.record()
}

func (i *Incident) record() (store.Record, error) {
	value, err := json.Marshal(i)
	return store.Record{Key: store.Key{Kind: kindIncident, ID: i.ID}, Owner: i.Check, Rev: i.rev, Expires: i.expires, Value: value}, err
}

// openIncident is the record of the incident that e begins.
func (k *Keeper) openIncident(e monitor.Event) (store.Record, string, error) {
	i := Incident{Check: e.Check, Title: e.Title, Began: e.Since.UTC(), Reason: e.Reason}
	if i.Began.IsZero() {
		i.Began = e.At.UTC()
	}
	rec, err := k.newIncident(&i)
	return rec, i.ID, err
}

// endIncident is the record of an incident that has ended at a time. It may be one that b begins.
func (k *Keeper) endIncident(ctx context.Context, b store.Batch, id string, at time.Time) (store.Record, error) {
	for _, rec := range b.Put {
		if rec.Kind == kindIncident && rec.ID == id {
			i, err := parseIncident(rec)
			if err != nil {
				return store.Record{}, err
			}
			i.rev, i.Ended = rec.Rev, at.UTC()
			return i.record()
		}
	}
	i, err := k.Incident(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Record{}, nil
	}
	if err != nil {
		return store.Record{}, err
	}
	if !i.Ended.IsZero() { // an operator has ended it
		return store.Record{}, nil
	}
	i.Ended = at.UTC()
	return i.record()
}

func parseIncident(rec store.Record) (i Incident, err error) {
	err = json.Unmarshal(rec.Value, &i)
	i.ID, i.rev, i.expires = rec.ID, rec.Rev, rec.Expires
	return i, err
}

// Incident returns the incident with that id, or store.ErrNotFound.
func (k *Keeper) Incident(ctx context.Context, id string) (Incident, error) {
	if len(id) == 0 || len(id) > 64 || strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return Incident{}, store.ErrNotFound
	}
	rec, err := store.One(ctx, k.opts.Store, store.Key{Kind: kindIncident, ID: id})
	if err != nil {
		return Incident{}, store.Outage(err)
	}
	return parseIncident(rec)
}

// Incidents returns up to limit incidents after the one with an id, newest first. more says that
// others follow.
func (k *Keeper) Incidents(ctx context.Context, after string, limit int) (all []Incident, more bool, err error) {
	for rec, err := range k.opts.Store.List(ctx, kindIncident, "*", after) {
		if err != nil {
			return nil, false, store.Outage(err)
		}
		if len(all) == limit {
			return all, true, nil
		}
		if i, err := parseIncident(rec); err == nil {
			all = append(all, i)
		}
	}
	return all, false, nil
}

// Announce makes an incident that no check has found. who must have the right Write, or it is [rights.Forbidden].
func (k *Keeper) Announce(ctx context.Context, who rights.Actor, title, text string, act audit.Act) (Incident, error) {
	if err := who.Need(rights.Write); err != nil {
		return Incident{}, err
	}
	if err := errors.Join(checkText(title, MaxTitle), checkText(text, MaxNote)); err != nil {
		return Incident{}, ErrBadText
	}
	now := k.opts.Now().UTC()
	i := Incident{Title: title, Began: now, Notes: []Note{{now, act.By, text}}}
	rec, err := k.newIncident(&i)
	if err != nil {
		return Incident{}, err
	}
	note := act.Entry(audit.ChangeIncident, "")
	note.Target, note.Detail = i.ID, "title="+title
	_, err = k.opts.Audit.Commit(ctx, k.opts.Store, store.Batch{Put: []store.Record{rec}}, note)
	return i, store.Outage(err)
}

// ErrManyNotes means that an incident has as many notes as it can have.
var ErrManyNotes = fmt.Errorf("an incident has at most %d notes", maxNotes)

// Say adds a note to an incident, and ends it if ended is set; text may be empty then. One of a check
// ends by itself when the check is up: an operator ends it if the check is not run any more. who must have the right Write.
func (k *Keeper) Say(ctx context.Context, who rights.Actor, id, text string, ended bool, act audit.Act) (Incident, error) {
	if err := who.Need(rights.Write); err != nil {
		return Incident{}, err
	}
	if text != "" || !ended {
		if err := checkText(text, MaxNote); err != nil {
			return Incident{}, err
		}
	}
	for {
		i, err := k.Incident(ctx, id)
		if err != nil {
			return Incident{}, err
		}
		now := k.opts.Now().UTC()
		if text != "" && len(i.Notes) >= maxNotes {
			return Incident{}, ErrManyNotes
		}
		if text != "" {
			i.Notes = append(i.Notes, Note{now, act.By, text})
		}
		if ended && i.Ended.IsZero() {
			i.Ended = now
		}
		rec, err := i.record()
		if err != nil {
			return Incident{}, err
		}
		note := act.Entry(audit.ChangeIncident, "")
		note.Target = i.ID
		_, err = k.opts.Audit.Commit(ctx, k.opts.Store, store.Batch{Put: []store.Record{rec}}, note)
		if !errors.Is(err, store.ErrConflict) {
			return i, store.Outage(err)
		}
	}
}

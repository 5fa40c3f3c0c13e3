package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// State is which items are listed.
type State string

// The states of an item that is listed.
const (
	Waiting State = ownerWaiting
	Dead    State = ownerDead
)

// Entry is an item in a list. It does not show what is delivered.
type Entry struct {
	ID      string
	Kind    string
	Lane    string
	About   string
	Subject string
	Created time.Time
	Due     time.Time // of a waiting one: when it is tried, or when the lease of the node ends that delivers it
	Expires time.Time // zero: see Draft
	Tries   int
	Reason  string    // of the last failure
	Died    time.Time // zero: it waits
	Useless bool      // it has expired: it can be dropped alone

	at string
}

// At is the place of e for [Outbox.List].
func (e Entry) At() string { return e.at }

// ErrExpired means that an item is of no use any more, and is not delivered again.
var ErrExpired = errors.New("what the item says is out of date")

// List returns up to limit items of a state after the place of one: dead letters with the newest
// first, waiting ones by lane and when they are due. more says that others follow.
func (o *Outbox) List(ctx context.Context, state State, after string, limit int) (page []Entry, more bool, err error) {
	for rec, err := range o.opts.Store.List(ctx, kind, string(state), after) {
		if err != nil {
			return nil, false, store.Outage(err)
		}
		if len(page) == limit {
			return page, true, nil
		}
		h, err := parse(rec)
		if err != nil {
			continue
		}
		page = append(page, o.entry(&h))
	}
	return page, false, nil
}

// Letter returns a dead letter, or store.ErrNotFound.
func (o *Outbox) Letter(ctx context.Context, id string) (Entry, error) {
	rec, err := o.letter(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	h, err := parse(rec)
	if err != nil {
		return Entry{}, err
	}
	return o.entry(&h), nil
}

func (o *Outbox) entry(h *held) Entry {
	return Entry{
		ID: h.ID, Kind: h.Kind, Lane: h.Lane, About: h.About, Subject: h.Subject, Created: h.Created, Due: h.Due, Expires: h.Expires,
		Tries: h.Tries, Reason: h.Reason, Died: h.Died, Useless: o.useless(&h.row), at: h.at.Key.ID,
	}
}

// trim drops the oldest dead letters beyond deadMost of a lane: who has many mails sent to where they are refused must not fill the
// store, nor take its place from alerts.
// It reads the list, so it waits for trimAfter new ones of this node; others may add as many meanwhile.
func (o *Outbox) trim(ctx context.Context) error {
	o.mu.Lock()
	died := o.died
	o.mu.Unlock()
	if died < trimAfter {
		return nil
	}
	many, err := o.moreDead(ctx)
	if err != nil {
		return err
	}
	more := false
	if many {
		if more, err = o.dropOldest(ctx); err != nil {
			return err
		}
	}
	if more {
		o.Wake()
		return nil
	}
	o.mu.Lock()
	o.died -= died
	o.mu.Unlock()
	return nil
}

// moreDead reports whether there are more dead letters than are kept of one lane.
func (o *Outbox) moreDead(ctx context.Context) (bool, error) {
	n := 0
	for _, err := range o.opts.Store.List(ctx, kind, ownerDead, "") {
		if err != nil {
			return false, err
		}
		if n++; n > deadMost {
			return true, nil
		}
	}
	return false, nil
}

// dropOldest drops some of those that are too many. more says that there are others, or that it has to be tried again.
func (o *Outbox) dropOldest(ctx context.Context) (more bool, err error) {
	var b store.Batch
	var kinds []string
	of := map[string]int{}
	for rec, err := range o.opts.Store.List(ctx, kind, ownerDead, "") { // the newest first
		if err != nil {
			return false, err
		}
		h, _ := parse(rec) // those that cannot be read are a lane of their own
		if of[h.lane()]++; of[h.lane()] <= deadMost {
			continue
		}
		if more = len(b.Delete) == buriedAtOnce; more {
			break
		}
		b.Require, b.Delete, kinds = append(b.Require, store.Require{Key: rec.Key, Rev: rec.Rev}), append(b.Delete, rec.Key), append(kinds, h.Kind)
	}
	if len(b.Delete) == 0 {
		return false, nil
	}
	_, err = o.opts.Store.Commit(ctx, b)
	if errors.Is(err, store.ErrConflict) {
		return true, nil // another node drops them, or somebody delivers one again
	}
	if err != nil {
		return false, err
	}
	for _, kind := range kinds {
		o.tell(kind, Dropped)
	}
	o.opts.Logger.Warn("outbox: the oldest dead letters were dropped", "dropped", len(kinds), "kept", deadMost)
	return more, nil
}

func (o *Outbox) useless(w *row) bool {
	return w.Sealed == nil || !w.Expires.IsZero() && !o.opts.Now().Before(w.Expires)
}

// Redeliver has a dead letter delivered as if it were new. It fails with store.ErrNotFound, or with
// ErrExpired. who must have the right Write, or it is [rights.Forbidden].
func (o *Outbox) Redeliver(ctx context.Context, who rights.Actor, id string, act audit.Act) error {
	return o.change(ctx, who, id, act, audit.Redeliver, func(h held) (store.Batch, error) {
		if o.useless(&h.row) {
			return store.Batch{}, ErrExpired
		}
		next := h.row
		now := o.opts.Now().UTC()
		next.Died, next.Due, next.Until, next.Tries = time.Time{}, now, now.Add(retry.For), 0
		b, _, err := h.move(next)
		return b, err
	})
}

// Drop deletes a dead letter. It fails with store.ErrNotFound. who must have the right Write.
func (o *Outbox) Drop(ctx context.Context, who rights.Actor, id string, act audit.Act) error {
	return o.change(ctx, who, id, act, audit.DropLetter, func(h held) (store.Batch, error) {
		return store.Batch{Require: []store.Require{h.at}, Delete: []store.Key{h.at.Key}}, nil
	})
}

func (o *Outbox) change(ctx context.Context, who rights.Actor, id string, act audit.Act, action audit.Action, how func(held) (store.Batch, error)) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	for {
		rec, err := o.letter(ctx, id)
		if err != nil {
			return err
		}
		h, err := parse(rec)
		if err != nil {
			return err
		}
		b, err := how(h)
		if err != nil {
			return err
		}
		note := act.Entry(action, h.Subject)
		note.Target, note.Detail = h.ID, fmt.Sprintf("kind=%s about=%s", h.Kind, h.About)
		_, err = o.opts.Audit.Commit(ctx, o.opts.Store, b, note)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err == nil {
			o.Wake()
		}
		return store.Outage(err)
	}
}

// letter returns the record of a dead letter. A waiting record has another key.
func (o *Outbox) letter(ctx context.Context, id string) (store.Record, error) {
	if len(id) != idLength {
		return store.Record{}, store.ErrNotFound
	}
	rec, err := store.One(ctx, o.opts.Store, store.Key{Kind: kind, ID: id})
	return rec, store.Outage(err)
}

// Counts is how many items there are. A number that reaches 10,000 may be larger.
type Counts struct {
	Waiting, Dead int
	Oldest        time.Time // when the oldest waiting one was made; zero: none waits
}

// Counts reads how many there are. In a store without an index it reads the items.
func (o *Outbox) Counts(ctx context.Context) (c Counts, err error) {
	if o.opts.Store.Describe().Indexed {
		c, err = o.countIndexed(ctx)
	} else {
		c, err = o.countAll(ctx)
	}
	return c, store.Outage(err)
}

func (o *Outbox) countIndexed(ctx context.Context) (c Counts, err error) {
	if c.Waiting, _, err = o.opts.Store.Count(ctx, kind, textWaiting, countedTo); err != nil {
		return c, err
	}
	if c.Dead, _, err = o.opts.Store.Count(ctx, kind, textDead, countedTo); err != nil {
		return c, err
	}
	for m, err := range o.opts.Store.Search(ctx, kind, textWaiting, store.Position{}) {
		if err != nil {
			return c, err
		}
		h, err := parse(m.Record)
		if err == nil {
			c.Oldest = h.Created
			break
		}
	}
	return c, nil
}

// countAll counts in a store without an index.
func (o *Outbox) countAll(ctx context.Context) (c Counts, err error) {
	for rec, err := range o.opts.Store.List(ctx, kind, ownerWaiting, "") {
		if err != nil {
			return c, err
		}
		if h, err := parse(rec); err == nil && (c.Waiting == 0 || h.Created.Before(c.Oldest)) {
			c.Oldest = h.Created
		}
		if c.Waiting++; c.Waiting == countedTo {
			break
		}
	}
	for _, err := range o.opts.Store.List(ctx, kind, ownerDead, "") {
		if err != nil {
			return c, err
		}
		if c.Dead++; c.Dead == countedTo {
			break
		}
	}
	return c, nil
}

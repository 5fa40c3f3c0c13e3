package audit

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

const (
	movePage  = 50                     // entries that are moved in one commit
	moveEvery = 100 * time.Millisecond // at most so often, so that many go together
	retryMove = time.Second
)

// Run moves entries soon after they were kept, until ctx ends, and once more then. It
// is for a Trail with Options.Beside; for any other it does nothing.
func (t *Trail) Run(ctx context.Context) {
	if t.opts.Beside == nil {
		return
	}
	for {
		wait := moveEvery
		if err := t.Move(ctx); err != nil {
			wait = retryMove
			select {
			case t.kept <- struct{}{}: // try again, whether more are kept or not
			default:
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*retryMove)
			defer cancel()
			_ = t.Move(last) // what stays behind is moved at the next start
			return
		case <-t.kept:
		}
	}
}

// Move takes the entries that were kept in Options.Beside to Store: they are there
// before they are gone here. Several programs may move at the same time.
func (t *Trail) Move(ctx context.Context) error {
	if t.opts.Beside == nil {
		return nil
	}
	var page []store.Record
	for rec, err := range t.opts.Beside.List(ctx, kind, "*") {
		if err != nil {
			return err
		}
		if page = append(page, rec); len(page) == movePage {
			if err := t.move(ctx, page); err != nil {
				return err
			}
			page = page[:0]
		}
	}
	return t.move(ctx, page)
}

func (t *Trail) move(ctx context.Context, page []store.Record) error {
	if len(page) == 0 {
		return nil
	}
	var gone store.Batch
	missing := make([]store.Record, len(page))
	for i, rec := range page {
		gone.Delete = append(gone.Delete, rec.Key)
		missing[i] = rec
		missing[i].Rev = 0
	}
	for len(missing) > 0 {
		_, err := t.opts.Store.Commit(ctx, store.Batch{Put: missing})
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if missing, err = t.absent(ctx, missing); err != nil { // somebody else moved some of them
			return err
		}
	}
	_, err := t.opts.Beside.Commit(ctx, gone)
	return err
}

// absent returns those of the records that Store does not have.
func (t *Trail) absent(ctx context.Context, records []store.Record) (absent []store.Record, err error) {
	for _, rec := range records {
		if _, err := store.One(ctx, t.opts.Store, rec.Key); errors.Is(err, store.ErrNotFound) {
			absent = append(absent, rec)
		} else if err != nil {
			return nil, err
		}
	}
	return absent, nil
}

// records yields what was kept, in order of id: also what was not moved yet. Beside is
// read first, so that nothing is missed that moves meanwhile.
func (t *Trail) records(ctx context.Context, owner string) iter.Seq2[store.Record, error] {
	if t.opts.Beside == nil {
		return t.opts.Store.List(ctx, kind, owner)
	}
	return func(yield func(store.Record, error) bool) {
		var waiting []store.Record
		for rec, err := range t.opts.Beside.List(ctx, kind, owner) {
			if err != nil {
				yield(rec, err)
				return
			}
			waiting = append(waiting, rec)
		}
		for rec, err := range t.opts.Store.List(ctx, kind, owner) {
			for err == nil && len(waiting) > 0 && waiting[0].ID <= rec.ID {
				if waiting[0].ID < rec.ID && !yield(waiting[0], nil) {
					return
				}
				waiting = waiting[1:]
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
		for _, rec := range waiting {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

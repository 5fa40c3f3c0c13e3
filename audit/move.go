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

// moves moves entries soon after they were kept, until ctx ends, and then once more. Without
// Options.Beside it does nothing.
func (t *Trail) moves(ctx context.Context) {
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

// Move moves the entries that were kept in Options.Beside to Store. It deletes them in
// Beside when Store has them. Several programs may move at the same time.
func (t *Trail) Move(ctx context.Context) error {
	if t.opts.Beside == nil {
		return nil
	}
	var page []store.Record
	for rec, err := range t.opts.Beside.List(ctx, kind, "*", "") {
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
		if missing, err = t.absent(ctx, missing); err != nil { // another program moved some of them
			return err
		}
	}
	_, err := t.opts.Beside.Commit(ctx, gone)
	return err
}

// absent returns those of the records that Store does not have.
func (t *Trail) absent(ctx context.Context, records []store.Record) (absent []store.Record, err error) {
	keys := make([]store.Key, len(records))
	for i, rec := range records {
		keys[i] = rec.Key
	}
	found, err := t.opts.Store.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i, rec := range found {
		if rec.Rev == 0 {
			absent = append(absent, records[i])
		}
	}
	return absent, nil
}

// records yields the entries that were kept after the one of that id, in order of id, also those that were not
// moved yet. It reads Beside first, so that it misses no entry that is moved meanwhile.
func (t *Trail) records(ctx context.Context, owner, after string) iter.Seq2[store.Record, error] {
	if t.opts.Beside == nil {
		return t.opts.Store.List(ctx, kind, owner, after)
	}
	return func(yield func(store.Record, error) bool) {
		var waiting []store.Record
		for rec, err := range t.opts.Beside.List(ctx, kind, owner, after) {
			if err != nil {
				yield(rec, err)
				return
			}
			waiting = append(waiting, rec)
		}
		for rec, err := range t.opts.Store.List(ctx, kind, owner, after) {
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

package nodetime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// record is what all nodes of a store know of the time together.
type record struct {
	// Horizon is later than anything was ever dated. It never goes back.
	Horizon time.Time `json:"horizon"`

	// Remembered is a time that has surely passed. Nothing that expires later was swept.
	Remembered time.Time `json:"remembered,omitzero"`

	rev uint64
}

var recordKey = store.Key{Kind: "time", ID: "node"}

// read reads the record. The caller is looking.
func (c *Clock) read(ctx context.Context) error {
	recs, err := c.opts.Store.Get(ctx, recordKey)
	if err != nil {
		return err
	}
	r := &record{rev: recs[0].Rev}
	if r.rev > 0 {
		if err := json.Unmarshal(recs[0].Value, r); err != nil {
			return fmt.Errorf("record of the time: %w", err)
		}
	}
	c.record.Store(r)
	return nil
}

// due reports whether the horizon is near.
func (c *Clock) due() bool { return c.Now().Add(Ahead / 2).After(c.record.Load().Horizon) }

// keep moves the horizon and the remembered time up to the present. The caller is looking,
// and the clocks agree.
func (c *Clock) keep(ctx context.Context) error {
	for {
		done, err := c.write(ctx, func(r *record) {
			if certain := c.certain(); certain.After(r.Remembered) {
				r.Remembered = certain
			}
		})
		if done || err != nil || !c.due() { // another node may have done it
			return err
		}
	}
}

// certain is a time that has surely passed; zero: none is known.
func (c *Clock) certain() time.Time {
	v := c.verdict.Load()
	if v == nil || c.believe {
		return time.Time{}
	}
	at := v.certain(c.elapsed())
	if wall := c.opts.Now(); wall.Before(at) {
		return wall
	}
	return at
}

// Forget is for a clock that was set back: the remembered time is the present again.
func (c *Clock) Forget(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	for {
		done, err := c.write(ctx, func(r *record) { r.Remembered = c.Now() })
		if done || err != nil {
			return store.Outage(err)
		}
	}
}

// write moves the horizon and makes a change to the record. If another node has written it
// meanwhile, write reads it and does nothing. The caller is looking.
func (c *Clock) write(ctx context.Context, change func(*record)) (done bool, err error) {
	if c.record.Load() == nil {
		if err := c.read(ctx); err != nil {
			return false, err
		}
	}
	r := *c.record.Load()
	if until := c.Now().Add(Ahead); until.After(r.Horizon) {
		r.Horizon = until
	}
	change(&r)
	r.Horizon, r.Remembered = r.Horizon.UTC().Round(0), r.Remembered.UTC().Round(0)
	value, err := json.Marshal(&r)
	if err != nil {
		return false, err
	}
	_, err = c.opts.Store.Commit(ctx, store.Batch{Put: []store.Record{{Key: recordKey, Rev: r.rev, Value: value}}})
	if errors.Is(err, store.ErrConflict) {
		return false, c.read(ctx)
	}
	if err != nil {
		return false, err
	}
	r.rev++
	c.record.Store(&r)
	return true, nil
}

// Horizon returns a time that nothing dated so far is later than, and the condition under
// which this holds when a commit is done.
func (c *Clock) Horizon(ctx context.Context) (time.Time, store.Require, error) {
	if c.record.Load() == nil {
		if _, err := c.Changed(ctx, store.Require{}); err != nil {
			return time.Time{}, store.Require{}, err
		}
	}
	r := c.record.Load()
	return r.Horizon, store.Require{Key: recordKey, Rev: r.rev}, nil
}

// Changed reads whether the condition of Horizon no longer holds: that is why a commit was
// in conflict, and the caller does it again by another horizon.
func (c *Clock) Changed(ctx context.Context, since store.Require) (bool, error) {
	if err := c.begin(ctx); err != nil {
		return false, err
	}
	defer c.end()
	if err := c.read(ctx); err != nil {
		return false, store.Outage(err)
	}
	return c.record.Load().rev != since.Rev, nil
}

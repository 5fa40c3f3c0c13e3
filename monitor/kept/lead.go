package kept

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

var leaseKey = store.Key{Kind: kindLease, ID: "lease"}

// leaseRecord says which process leads.
type leaseRecord struct {
	Holder string `json:"holder"` // empty: it was given back
	Node   string `json:"node,omitempty"`
}

// Lead runs the monitor while this node leads, again and again until ctx ends: run is called when
// the node has got the lease, and its context ends when the lease is lost.
func (k *Keeper) Lead(ctx context.Context, run func(context.Context) error) {
	for ctx.Err() == nil {
		if !k.acquire(ctx) {
			return
		}
		k.opts.Logger.Info("this node leads the monitor")
		k.lead(ctx, run)
		k.leading.Store(false)
		k.forget()
		if ctx.Err() != nil {
			k.giveBack(ctx)
			return
		}
		k.opts.Logger.Warn("this node leads the monitor no longer")
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery): // a run that ends at once is not begun again and again
		}
	}
}

// acquire waits until this node has the lease. It reports false when ctx ends.
func (k *Keeper) acquire(ctx context.Context) bool {
	var seen uint64     // revision of the lease that another process has
	var since time.Time // when it was first seen; by a clock that nobody sets
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-wait.C:
			wait.Reset(lookEvery)
		}
		lease, rev, err := k.readLease(ctx)
		k.tell(ctx, err)
		if err != nil {
			since = time.Time{} // the leader could not renew either
			continue
		}
		free := rev == 0 || lease.Holder == "" || lease.Holder == k.self || k.opts.Store.Describe().Exclusive
		if !free && (rev != seen || since.IsZero()) {
			seen, since = rev, time.Now()
		}
		if !free && time.Since(since) < Lease {
			continue
		}
		got, err := k.take(ctx, rev)
		k.tell(ctx, err)
		if got {
			return true
		}
		since = time.Time{}
	}
}

// tell logs an outage, once until it is over.
func (k *Keeper) tell(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = "the store of the monitor cannot be reached"
	}
	k.mu.Lock()
	changed := text != k.tried
	k.tried = text
	k.mu.Unlock()
	switch {
	case changed && err != nil:
		k.opts.Logger.Warn(text, "error", err.Error())
	case changed:
		k.opts.Logger.Info("the store of the monitor can be reached again")
	}
}

func (k *Keeper) readLease(ctx context.Context) (l leaseRecord, rev uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	records, err := k.opts.Store.Get(ctx, leaseKey)
	if err != nil {
		return l, 0, store.Outage(err)
	}
	if rev = records[0].Rev; rev > 0 {
		_ = json.Unmarshal(records[0].Value, &l) // one that cannot be read is held by nobody
	}
	return l, rev, nil
}

// record is the lease as this process writes it in place of revision rev.
func (k *Keeper) record(rev uint64, holder string) store.Record {
	value, _ := json.Marshal(leaseRecord{holder, k.opts.Node})
	return store.Record{Key: leaseKey, Rev: rev, Value: value}
}

func (k *Keeper) take(ctx context.Context, rev uint64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := k.begin(ctx); err != nil {
		return false, err
	}
	defer k.end()
	_, err := k.opts.Store.Commit(ctx, store.Batch{Put: []store.Record{k.record(rev, k.self)}})
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, store.Outage(err)
	}
	k.lease = rev + 1
	clear(k.revs)
	k.leading.Store(true)
	return true, nil
}

// giveBack lets another node lead at once.
func (k *Keeper) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within/2)
	defer cancel()
	if k.begin(ctx) != nil {
		return
	}
	defer k.end()
	_, _ = k.opts.Store.Commit(ctx, store.Batch{Put: []store.Record{k.record(k.lease, "")}}) // without it another node waits
}

// lead runs run, and meanwhile renews the lease and flushes, until ctx ends or the lease is lost.
func (k *Keeper) lead(ctx context.Context, run func(context.Context) error) {
	leading, lost := context.WithCancel(ctx)
	defer lost()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(leading); err != nil && leading.Err() == nil {
			k.opts.Logger.Error("the monitor has stopped", "error", err.Error())
		}
	}()
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		k.each(leading, flushEvery, func() error { return k.flush(leading, false) })
	}()
	defer func() { <-flushed }()
	defer lost()
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		if k.opts.Store.Describe().Exclusive {
			<-flushed // no other process can lead: nothing is renewed
			return
		}
		k.each(leading, renewEvery, func() error { return k.renew(leading) })
	}()
	select {
	case <-done: // it has ended by itself
		lost()
	case <-renewing: // the lease is lost, or ctx has ended
		lost()
		<-done
	}
	<-renewing
}

// each calls do again and again until ctx ends or this node leads no longer.
func (k *Keeper) each(ctx context.Context, pause time.Duration, do func() error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for k.leading.Load() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := do(); !errors.Is(err, ErrNotLeading) {
			k.tell(ctx, err)
		}
	}
}

// renew writes the lease again. An outage is no loss: no other node can take it meanwhile.
func (k *Keeper) renew(ctx context.Context) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.end()
	return k.commit(ctx, func() (store.Batch, error) {
		return store.Batch{Put: []store.Record{k.record(k.lease, k.self)}}, nil
	})
}

// commit does the batch that build makes, under the lease. After a conflict it reads the lease: if this
// process still has it, an earlier commit of unknown outcome was done, and build is called again. The
// caller holds turn, and build names revisions by [Keeper.put].
func (k *Keeper) commit(ctx context.Context, build func() (store.Batch, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for range 3 {
		if !k.leading.Load() {
			return ErrNotLeading
		}
		b, err := build()
		if err != nil {
			return err
		}
		renews := false
		for _, rec := range b.Put {
			renews = renews || rec.Key == leaseKey
		}
		if !renews {
			b.Require = append(b.Require, store.Require{Key: leaseKey, Rev: k.lease})
		}
		_, err = k.opts.Store.Commit(ctx, b)
		switch {
		case err == nil:
			for _, rec := range b.Put {
				if _, own := k.revs[rec.Key]; own {
					k.revs[rec.Key] = rec.Rev + 1
				}
			}
			if k.away = (time.Time{}); renews {
				k.lease++
			}
			return nil
		case !errors.Is(err, store.ErrConflict):
			k.away = time.Now()
			return store.Outage(err)
		}
		lease, rev, err := k.readLease(ctx)
		if err != nil {
			return err
		}
		if lease.Holder != k.self {
			k.leading.Store(false)
			return ErrNotLeading
		}
		k.lease = rev
		if err := k.refresh(ctx, b); err != nil {
			return err
		}
	}
	return store.Outage(errors.New("the records of the monitor change again and again"))
}

// refresh reads the revisions of what b puts.
func (k *Keeper) refresh(ctx context.Context, b store.Batch) error {
	var keys []store.Key
	for _, rec := range b.Put {
		switch rec.Kind {
		case kindState, kindRaw, kindDay, kindYear:
			keys = append(keys, rec.Key)
		}
	}
	found, err := k.read(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		k.revs[key] = found[key].Rev
	}
	return nil
}

package kept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/store"
)

// memory is what the leader knows of a check.
type memory struct {
	stateRecord
	history
	changes uint64 // how often Keep was called
	written uint64 // changes of the last flush
	flushed time.Time
	doubt   bool // the outcome of a commit of events is unknown: what the store has is read before anything is written
}

// stateRecord is the record of a check.
type stateRecord struct {
	State    monitor.State `json:"state"`
	Incident string        `json:"incident,omitempty"` // id of the one that is open
	Told     []string      `json:"told,omitempty"`     // ids of the last events
}

// mostTold is how many events are remembered, so that one which was committed is not committed again.
const mostTold = 16

func stateKey(check string) store.Key { return store.Key{Kind: kindState, ID: check} }

// Load implements monitor.Keeper.
func (k *Keeper) Load(ctx context.Context) (monitor.Kept, error) {
	if err := k.begin(ctx); err != nil {
		return monitor.Kept{}, err
	}
	defer k.end()
	if !k.leading.Load() {
		return monitor.Kept{}, ErrNotLeading
	}
	all := monitor.Kept{States: map[string]monitor.State{}}
	checks := map[string]*memory{}
	clear(k.revs)
	for rec, err := range k.opts.Store.List(ctx, kindState, "*", "") {
		if err != nil {
			return monitor.Kept{}, store.Outage(err)
		}
		m := &memory{flushed: k.opts.Now()}
		if err := json.Unmarshal(rec.Value, &m.stateRecord); err != nil {
			k.opts.Logger.Error("the state of a check cannot be read, and begins anew", "check", rec.ID, "error", err.Error())
			m.stateRecord = stateRecord{}
		} else {
			all.States[rec.ID] = m.State
		}
		checks[rec.ID], k.revs[rec.Key] = m, rec.Rev
	}
	if err := k.loadHistory(ctx, checks); err != nil {
		return monitor.Kept{}, err
	}
	mutes, err := k.Mutes(ctx)
	if err != nil {
		return monitor.Kept{}, err
	}
	all.Mutes = mutes
	k.mu.Lock()
	k.checks = checks
	k.mu.Unlock()
	return all, nil
}

// forget drops what only the leader knows. Events that wait for the store are the next leader's.
func (k *Keeper) forget() {
	k.turn <- struct{}{}
	defer k.end()
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.revs)
	clear(k.checks)
	clear(k.direct)
}

// Keep implements monitor.Keeper.
func (k *Keeper) Keep(ctx context.Context, s monitor.Step) error {
	if !k.leading.Load() {
		return ErrNotLeading
	}
	check := s.State.Check
	k.mu.Lock()
	m := k.checks[check]
	if m == nil {
		m = &memory{}
		k.checks[check] = m
	}
	s.State.Changes = slices.Clone(s.State.Changes)
	m.State = s.State
	m.changes++
	lost := len(m.lost)
	for _, r := range s.Results {
		m.add(r, s.State.Every)
	}
	k.lost.Add(uint64(len(m.lost) - lost))
	k.mu.Unlock()
	if len(s.Events) == 0 {
		return nil
	}
	err := k.keepEvents(ctx, check, s.Events)
	if err == nil {
		if k.opts.Wake != nil {
			k.opts.Wake()
		}
		return nil
	}
	if !errors.Is(err, ErrNotLeading) {
		k.sendDirect(s.Events)
	}
	return err
}

// sendDirect tells people of events that the store did not take, each once.
func (k *Keeper) sendDirect(events []monitor.Event) {
	if k.opts.Direct == nil {
		return
	}
	for _, e := range events {
		k.mu.Lock()
		t, known := k.direct[e.ID]
		if !known {
			t = &told{}
			k.direct[e.ID] = t
		} else if e.Channels = t.only; len(t.only) == 0 {
			t = nil // nobody is left
		}
		send := t != nil && !t.handed
		if send {
			t.handed = true
		}
		k.mu.Unlock()
		if send {
			k.opts.Direct(e)
		}
	}
}

// takeBack takes an event from Direct, because a commit will tell of it, and reports whether anybody
// is left to be told.
func (k *Keeper) takeBack(e *monitor.Event) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.direct[e.ID]
	if t == nil {
		return true
	}
	if t.handed {
		t.handed, t.only = false, k.opts.Withdraw(e.ID)
	}
	e.Channels = t.only
	return len(t.only) > 0
}

// keepEvents commits the state of a check with its events.
func (k *Keeper) keepEvents(ctx context.Context, check string, events []monitor.Event) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.end()
	if time.Since(k.away) < probeEvery {
		return fmt.Errorf("%w: the store did not answer a moment ago", counterfoil.ErrUnavailable)
	}
	var next stateRecord
	err := k.commit(ctx, func() (store.Batch, error) {
		if err := k.reread(ctx, check); err != nil {
			return store.Batch{}, err
		}
		k.mu.Lock()
		k.checks[check].doubt = true // from here on, until it has returned
		next = k.checks[check].stateRecord
		k.mu.Unlock()
		next.Told = slices.Clone(next.Told)
		var b store.Batch
		for _, e := range events {
			if slices.Contains(next.Told, e.ID) {
				continue
			}
			if err := k.event(ctx, &b, &next, e); err != nil {
				return b, err
			}
		}
		rec, err := k.put(stateKey(check), "", keepState, next)
		b.Put = append(b.Put, rec)
		return b, err
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.checks[check].Incident, k.checks[check].Told, k.checks[check].doubt = next.Incident, next.Told, false
	for _, e := range events {
		delete(k.direct, e.ID)
	}
	return nil
}

// reread takes over what the store has of the events of a check, if that is in doubt.
func (k *Keeper) reread(ctx context.Context, check string) error {
	k.mu.Lock()
	m := k.checks[check]
	doubt := m.doubt
	k.mu.Unlock()
	if !doubt {
		return nil
	}
	key := stateKey(check)
	found, err := k.read(ctx, []store.Key{key})
	if err != nil {
		return err
	}
	var r stateRecord
	rec := found[key]
	if rec.Rev > 0 {
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return err
		}
	}
	k.revs[key] = rec.Rev
	k.mu.Lock()
	defer k.mu.Unlock()
	m.Incident, m.Told, m.doubt = r.Incident, r.Told, false
	return nil
}

// event adds to b what e means: the alerts, and the incident that it begins or ends.
func (k *Keeper) event(ctx context.Context, b *store.Batch, next *stateRecord, e monitor.Event) error {
	if next.Told = append(next.Told, e.ID); len(next.Told) > mostTold {
		next.Told = next.Told[len(next.Told)-mostTold:]
	}
	switch {
	case next.Incident == "" && (e.Kind == monitor.WentDown || e.Kind == monitor.Flaps):
		rec, id, err := k.openIncident(e)
		if err != nil {
			return err
		}
		next.Incident, b.Put = id, append(b.Put, rec)
	case next.Incident != "" && e.Kind == monitor.WentUp:
		rec, err := k.endIncident(ctx, *b, next.Incident, e.Since)
		if err != nil {
			return err
		}
		if rec.ID != "" {
			b.Put = slices.DeleteFunc(b.Put, func(other store.Record) bool { return other.Key == rec.Key })
			b.Put = append(b.Put, rec)
		}
		next.Incident = ""
	}
	if k.opts.Alerts == nil {
		return nil
	}
	if !k.takeBack(&e) {
		return nil
	}
	alerts, err := k.opts.Alerts(e)
	if err != nil {
		return fmt.Errorf("alerts of %s: %w", e.ID, err)
	}
	b.Put = append(b.Put, alerts...)
	return nil
}

// put is a record that only the leader writes, with the revision that the store has.
func (k *Keeper) put(key store.Key, owner string, keep time.Duration, value any) (store.Record, error) {
	text, err := json.Marshal(value)
	rev := k.revs[key]
	k.revs[key] = rev // from now on it is one of ours
	return store.Record{Key: key, Owner: owner, Rev: rev, Expires: k.opts.Now().Add(keep).Truncate(time.Second), Value: text}, err
}

// Flush implements monitor.Keeper.
func (k *Keeper) Flush(ctx context.Context) error {
	if !k.leading.Load() {
		return nil
	}
	return k.flush(ctx, true)
}

// flush writes the states and results that are not written, those of checks that are not well first of
// all. all: of every check.
func (k *Keeper) flush(ctx context.Context, all bool) error {
	if !all && k.rests() {
		return nil
	}
	for _, part := range k.due(all) {
		if err := k.flushPart(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// rests reports whether the store did not answer of late. A renewal, which is cheaper, finds out first that it
// does again.
func (k *Keeper) rests() bool {
	k.turn <- struct{}{}
	defer k.end()
	return time.Since(k.away) < flushAgain
}

// flushPart is one commit of flush. Between two of them the lease can be renewed.
func (k *Keeper) flushPart(ctx context.Context, part []string) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.end()
	versions := make([]uint64, len(part))
	err := k.commit(ctx, func() (b store.Batch, err error) {
		for n, check := range part {
			if versions[n], err = k.records(ctx, &b, check); err != nil {
				return b, err
			}
		}
		return b, nil
	})
	if err != nil {
		return err
	}
	k.tellLost()
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, check := range part {
		m := k.checks[check]
		m.written, m.flushed = versions[n], k.opts.Now()
		for _, old := range m.wrote() {
			delete(k.revs, old)
		}
	}
	return nil
}

// due returns the checks to write, in parts of one commit each.
func (k *Keeper) due(all bool) (parts [][]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.opts.Now()
	var checks []string
	for check, m := range k.checks {
		if m.changes != m.written && (all || !m.State.Last.OK || m.State.Last.Maintenance || now.Sub(m.flushed) >= flushWithin) {
			checks = append(checks, check)
		}
	}
	slices.Sort(checks)
	for part := range slices.Chunk(checks, chunk/5) {
		parts = append(parts, part)
	}
	return parts
}

// forgetLost forgets the revisions of what m has dropped. The caller holds turn and mu.
func (k *Keeper) forgetLost(m *memory) {
	for _, key := range m.lost {
		delete(k.revs, key)
	}
	m.lost = nil
}

// Lost is how many hours of single results, and days of five-minute parts, of all checks were dropped because
// the store was away for longer than this node keeps them. Days still count in the uptime.
func (k *Keeper) Lost() uint64 { return k.lost.Load() }

// tellLost says in the log what was lost since it last did. The caller holds turn.
func (k *Keeper) tellLost() {
	if n := k.lost.Load(); n != k.told {
		k.opts.Logger.Warn("results were dropped while the store was away: hours of single results, and days of five-minute parts", "parts", n-k.told)
		k.told = n
	}
}

// records adds what is not written of a check, and says what of it that is.
func (k *Keeper) records(ctx context.Context, b *store.Batch, check string) (changes uint64, err error) {
	if err := k.reread(ctx, check); err != nil {
		return 0, err
	}
	k.mu.Lock()
	m := k.checks[check]
	state, changes := m.stateRecord, m.changes
	pages, closed := m.pages(check)
	k.forgetLost(m)
	k.mu.Unlock()
	rec, err := k.put(stateKey(check), "", keepState, state)
	if err != nil {
		return 0, err
	}
	b.Put = append(b.Put, rec)
	for _, p := range pages {
		rec, err := k.put(p.key, check, p.keep, p.value)
		if err != nil {
			return 0, err
		}
		b.Put = append(b.Put, rec)
	}
	return changes, k.closeDays(ctx, b, check, closed)
}

// Push implements monitor.Keeper.
func (k *Keeper) Push(ctx context.Context, check string, p monitor.Pushed) error {
	return k.replace(ctx, store.Key{Kind: kindPush, ID: check}, k.opts.Now().Add(keepState), p, audit.Entry{})
}

// LastPush implements monitor.Keeper.
func (k *Keeper) LastPush(ctx context.Context, check string) (p monitor.Pushed, err error) {
	key := store.Key{Kind: kindPush, ID: check}
	found, err := k.read(ctx, []store.Key{key})
	if err != nil {
		return p, err
	}
	if rec, is := found[key]; is {
		err = json.Unmarshal(rec.Value, &p)
	}
	return p, err
}

// replace writes a record that any node writes, in place of what is there.
func (k *Keeper) replace(ctx context.Context, key store.Key, expires time.Time, value any, note audit.Entry) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	for {
		records, err := k.opts.Store.Get(ctx, key)
		if err != nil {
			return store.Outage(err)
		}
		rec := store.Record{Key: key, Rev: records[0].Rev, Expires: expires.Truncate(time.Second), Value: text}
		if _, err = k.opts.Audit.Commit(ctx, k.opts.Store, store.Batch{Put: []store.Record{rec}}, note); !errors.Is(err, store.ErrConflict) {
			return store.Outage(err)
		}
	}
}

// SetMute implements monitor.Keeper. A mute that has ended ends the one that is there.
func (k *Keeper) SetMute(ctx context.Context, m monitor.Mute) error {
	note := audit.Act{By: m.By}.Entry(audit.MuteCheck, "")
	note.Target, note.Detail = m.Check, "until="+m.Until.UTC().Format(time.RFC3339)+" why="+m.Why
	return k.replace(ctx, muteKey(m.Check), m.Until.Add(time.Hour), m, note)
}

// Mutes implements monitor.Keeper.
func (k *Keeper) Mutes(ctx context.Context) (map[string]monitor.Mute, error) {
	all, now := map[string]monitor.Mute{}, k.opts.Now()
	for rec, err := range k.opts.Store.List(ctx, kindMute, "*", "") {
		if err != nil {
			return nil, store.Outage(err)
		}
		if m := muteOf(rec, now); m != nil {
			all[rec.ID] = *m
		}
	}
	return all, nil
}

func muteKey(check string) store.Key { return store.Key{Kind: kindMute, ID: check} }

// muteOf is the mute of a record; nil: there is none, or it has ended.
func muteOf(rec store.Record, now time.Time) *monitor.Mute {
	m := new(monitor.Mute)
	if json.Unmarshal(rec.Value, m) != nil || !m.Until.After(now) {
		return nil
	}
	return m
}

package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// A Seal is one link of a hash chain over the entries that are kept. Each covers the entries of
// a span of time, and the seal before it. So an entry that was changed, taken out or put in
// later shows, and so does a seal that was. Somebody who can write to the store could make all
// seals anew. That shows where the seals are logged: see [Anchor].
type Seal struct {
	N     uint64    `json:"n"`     // 1 is the first
	From  time.Time `json:"from"`  // it covers the entries after this time,
	Upto  time.Time `json:"upto"`  // up to this one
	Count int       `json:"count"` // of entries
	Hash  string    `json:"hash"`  // SHA-256 in hex, over the hash of the seal before and the entries

	// Options.Keep when it was made, and when the seal before it was; zero in seals of earlier
	// versions. The hash covers both: they say what may have expired.
	Keep   time.Duration `json:"keep,omitempty"`
	Before time.Duration `json:"keep_before,omitempty"`
}

// kept is how long the entries of s, and the seal before it, stay at least. present is
// Options.Keep now.
func (s Seal) kept(present time.Duration) time.Duration {
	least := present
	for _, k := range []time.Duration{s.Keep, s.Before} {
		if k > 0 {
			least = min(least, k)
		}
	}
	return least
}

const (
	kindSeal     store.Kind = "auditseal" // ID: N in 16 hex digits
	kindSealHead store.Kind = "auditsealhead"

	// sealLag is how old an entry is when it is sealed. By then every commit that was under way
	// has ended (15 s at most), the clocks of nodes that issue agree (30 s at most), and entries
	// of another store have been moved.
	sealLag   = 2 * time.Minute
	sealEvery = time.Minute
	// sealSpan bounds what one seal covers, so that sealing after a long stop needs little memory
	// and can be interrupted.
	sealSpan = time.Hour
)

var sealHead = store.Key{Kind: kindSealHead, ID: "last"}

func sealKey(n uint64) store.Key { return store.Key{Kind: kindSeal, ID: fmt.Sprintf("%016x", n)} }

// seals seals entries each minute until ctx ends.
func (t *Trail) seals(ctx context.Context) {
	if t.opts.Keep < 0 {
		return
	}
	ticker := time.NewTicker(sealEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			more, err = t.Seal(ctx)
			if err != nil {
				break // an outage, or another node did it: in a minute again
			}
		}
	}
}

// Seal seals the entries that are old enough, and reports whether there may be more of them. One
// node does it for all on the store: of two at once, one gets store.ErrConflict.
func (t *Trail) Seal(ctx context.Context) (more bool, err error) {
	rec, err := store.One(ctx, t.opts.Store, sealHead)
	var last Seal
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return false, err
	default:
		if err := json.Unmarshal(rec.Value, &last); err != nil {
			return false, fmt.Errorf("audit: the last seal: %w", err)
		}
	}
	upto := t.opts.Now().Add(-sealLag).UTC()
	if last.N == 0 { // what was kept before there were seals is not sealed: it may have expired in part
		last.Upto = upto.Add(-sealEvery)
	}
	if more = upto.Sub(last.Upto) > sealSpan; more {
		upto = last.Upto.Add(sealSpan)
	}
	if !upto.After(last.Upto) {
		return false, nil // the clock was set back: wait
	}
	next := Seal{N: last.N + 1, From: last.Upto, Upto: upto, Keep: t.opts.Keep, Before: last.Keep}
	entries, err := t.digests(ctx, last.Hash, next)
	if err != nil {
		return false, err
	}
	next.Count, next.Hash = entries[0].count, entries[0].hash()
	value, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	// A seal stays while an entry of its span or of the one after may be there.
	_, err = t.opts.Store.Commit(ctx, store.Batch{Put: []store.Record{
		{Key: sealHead, Rev: rec.Rev, Value: value},
		{Key: sealKey(next.N), Value: value, Expires: next.Upto.Add(t.opts.Keep + 2*sealSpan)},
	}})
	if err != nil {
		return false, err
	}
	t.opts.Anchor(next)
	return more, nil
}

// digest is what is hashed for a seal.
type digest struct {
	sum        hash.Hash
	count      int    // of entries
	upto, from string // the ids of its entries are between these
}

// begin begins the digest of s, which comes after a seal with the hash before.
func begin(before string, s Seal) digest {
	d := digest{sum: sha256.New(), upto: idAt(s.Upto), from: idAt(s.From)}
	d.write(before)
	d.write(s.From.UTC().Format(time.RFC3339Nano) + " " + s.Upto.UTC().Format(time.RFC3339Nano))
	if s.Keep != 0 || s.Before != 0 {
		d.write(s.Keep.String() + " " + s.Before.String())
	}
	return d
}

func (d *digest) add(rec store.Record) {
	d.write(rec.ID)
	d.write(rec.Owner)
	d.write(string(rec.Value))
	d.count++
}

func (d *digest) write(text string) {
	d.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
	d.sum.Write([]byte(text))
}

func (d *digest) hash() string { return hex.EncodeToString(d.sum.Sum(nil)) }

// digests computes seals, oldest first, from the entries that are there. before is the hash of
// the seal before them. It reads the entries once: a trail of 90 days has 130,000 seals.
func (t *Trail) digests(ctx context.Context, before string, seals ...Seal) ([]digest, error) {
	all := make([]digest, len(seals))
	for i, s := range seals {
		all[i] = begin(before, s)
		before = s.Hash
	}
	i := len(seals) - 1 // of the seal that is read
	if i < 0 {
		return nil, nil
	}
	for rec, err := range t.records(ctx, "*", all[i].upto) {
		if err != nil {
			return nil, err
		}
		for i >= 0 && rec.ID > all[i].from {
			i--
		}
		if i < 0 {
			break
		}
		if rec.ID > all[i].upto {
			all[i].add(rec)
		}
	}
	return all, nil
}

// Anchor is what was written down of a seal outside of the store, such as a line of the log.
type Anchor struct {
	N    uint64 `json:"n"`
	Hash string `json:"hash"`
}

// Verification is what [Trail.Verify] found.
type Verification struct {
	Seals    int       `json:"seals"`         // that were checked
	Entries  int       `json:"entries"`       // that they cover
	From     time.Time `json:"from,omitzero"` // of the first seal that was checked
	Upto     time.Time `json:"upto,omitzero"` // of the last: what is younger is not sealed yet
	Anchors  int       `json:"anchors"`       // that agree with their seals
	Expired  int       `json:"expired"`       // anchors whose seals have expired
	Problems []string  `json:"problems"`      // at most maxProblems; empty: all is as it was sealed
	More     bool      `json:"more_problems"`
}

const maxProblems = 20

func (v *Verification) problem(format string, args ...any) {
	if v.More = len(v.Problems) == maxProblems; !v.More {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify computes the seals anew from the entries that are there, and compares them with each
// other and with anchors. An outage is its error; what it found is in the answer.
func (t *Trail) Verify(ctx context.Context, anchors []Anchor) (Verification, error) {
	v := Verification{Problems: []string{}}
	if err := t.verify(ctx, &v, anchors); err != nil {
		return v, fmt.Errorf("%w: audit trail: %w", counterfoil.ErrUnavailable, err)
	}
	return v, nil
}

func (t *Trail) verify(ctx context.Context, v *Verification, anchors []Anchor) error {
	var seals []Seal
	for rec, err := range t.opts.Store.List(ctx, kindSeal, "*", "") {
		if err != nil {
			return err
		}
		var s Seal
		if json.Unmarshal(rec.Value, &s) != nil || sealKey(s.N) != rec.Key {
			v.problem("the seal %s cannot be read", rec.ID)
			continue
		}
		seals = append(seals, s)
	}
	entries, err := t.digests(ctx, "", seals...)
	if err != nil {
		return err
	}
	known := map[uint64]Seal{}
	for i, s := range seals {
		known[s.N] = s
		var before *Seal
		if i > 0 {
			before = &seals[i-1]
		}
		// Entries from before this time may have expired, and may have been swept or not.
		whole := t.opts.Now().Add(-s.kept(t.opts.Keep))
		if v.follows(s, before, whole) && !s.From.Before(whole) {
			v.seal(s, entries[i].count, entries[i].hash())
		}
	}
	head, err := store.One(ctx, t.opts.Store, sealHead)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var last Seal
	if err != nil && len(seals) > 0 {
		v.problem("which seal is the last is not known any more: its note is missing")
	} else if err == nil && json.Unmarshal(head.Value, &last) != nil {
		v.problem("the last seal cannot be read")
	} else if err == nil && known[last.N] != last {
		v.problem("the last seal, %d, is not in the chain", last.N)
	}
	v.anchored(known, last, anchors)
	return nil
}

// follows compares s with the seal before it, which is nil for the first that is there. It
// reports whether the entries of s are known to be those between the two.
func (v *Verification) follows(s Seal, before *Seal, whole time.Time) bool {
	switch {
	case before != nil && (s.N != before.N+1 || !s.From.Equal(before.Upto)):
		v.problem("after the seal %d comes the seal %d", before.N, s.N)
		return false
	case before == nil && s.N != 1:
		if s.From.After(whole) {
			v.problem("the seals before %d are missing, and have not expired", s.N)
		}
		return false
	}
	return true
}

// seal compares s with the entries that are there.
func (v *Verification) seal(s Seal, count int, hash string) {
	if v.Seals++; v.From.IsZero() {
		v.From = s.From
	}
	v.Upto, v.Entries = s.Upto, v.Entries+count
	switch {
	case count < s.Count:
		v.problem("seal %d: %d of %d entries are missing, %s to %s", s.N, s.Count-count, s.Count, stamp(s.From), stamp(s.Upto))
	case count > s.Count:
		v.problem("seal %d: %d entries were added later, %s to %s", s.N, count-s.Count, stamp(s.From), stamp(s.Upto))
	case hash != s.Hash:
		v.problem("seal %d: an entry was changed or replaced, %s to %s", s.N, stamp(s.From), stamp(s.Upto))
	}
}

// anchored compares the seals with anchors.
func (v *Verification) anchored(known map[uint64]Seal, last Seal, anchors []Anchor) {
	for _, a := range anchors {
		s, ok := known[a.N]
		switch {
		case ok && s.Hash == a.Hash:
			v.Anchors++
		case ok:
			v.problem("seal %d has another hash than its anchor: the chain was made anew", a.N)
		case a.N > last.N:
			v.problem("there is an anchor of seal %d, and the last seal is %d: seals are missing", a.N, last.N)
		default:
			v.Expired++
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

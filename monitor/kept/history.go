package kept

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/store"
)

// A result counts for the time since the result before it, but for no longer than the check's Every: so
// a check that is run more often while it fails is not down for longer. Time without results is no time.

// count is what is kept of an hour's part, of a day, and of a bucket of five minutes.
type count struct {
	up, down, maintenance int32 // seconds
	runs                  int32
	took, longest         int32 // milliseconds: of all runs together, and of one
}

// bucketTime is the length of a bucket; bucketsOfDay is how many a day has.
const (
	bucketTime   = 5 * time.Minute
	bucketsOfDay = int(24 * time.Hour / bucketTime)

	// mostResults of an hour are kept one by one; sums count the others too. A program that calls for a push
	// check all the time could otherwise fill a record beyond what a store takes (64 KiB).
	mostResults = 1200

	// Of a check, so much waits in memory while the store is away. The oldest is dropped. The sums of days that
	// have ended are all kept.
	mostHours = 6
	mostDays  = 2
)

func (c *count) add(d count) {
	c.up, c.down, c.maintenance = c.up+d.up, c.down+d.down, c.maintenance+d.maintenance
	c.runs, c.took, c.longest = c.runs+d.runs, c.took+d.took, max(c.longest, d.longest)
}

func (c count) array() [6]int32 {
	return [6]int32{c.up, c.runs, c.took, c.longest, c.down, c.maintenance}
}

func countOf(fields [6]int32) count {
	return count{up: fields[0], runs: fields[1], took: fields[2], longest: fields[3], down: fields[4], maintenance: fields[5]}
}

// MarshalJSON writes c as an array without the zeros at its end. Most have no time down.
func (c count) MarshalJSON() ([]byte, error) {
	fields := c.array()
	end := len(fields)
	for end > 0 && fields[end-1] == 0 {
		end--
	}
	return json.Marshal(fields[:end])
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *count) UnmarshalJSON(text []byte) error {
	var all []int32
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	*c = countOf([6]int32(append(all, make([]int32, 6)...)))
	return nil
}

// sample is one result: seconds since the hour began, milliseconds, and what it was.
type sample struct {
	second uint16
	kind   uint8
	took   uint32
}

// The kinds of a sample.
const (
	failed     = 1
	maintained = 2
)

// rawRecord is the results of one hour.
type rawRecord struct {
	Results samples                   `json:"results"`
	Reasons map[uint16]monitor.Reason `json:"reasons,omitempty"` // of those that failed, by second
}

// dayRecord is a day in buckets. The last ones are absent until they begin.
type dayRecord struct {
	Buckets parts `json:"buckets"`
}

// yearRecord is a year in days, by month and day.
type yearRecord struct {
	Days map[string]count `json:"days"`
}

// history is what is not closed of a check: its hour and its day.
type history struct {
	last time.Time // of the last result
	hour time.Time
	raw  rawRecord
	day  time.Time
	days dayRecord

	past   []page      // of hours and days that have ended, to be written
	closed []closedDay // for the record of the year
	out    int         // how many of past and of closed are being written
	outDay int
	lost   []store.Key // of past, dropped; until the keeper has forgotten their revisions
}

// page is a record to be written.
type page struct {
	key   store.Key
	keep  time.Duration
	value any
}

type closedDay struct {
	day time.Time
	sum count
}

func rawKey(check string, hour time.Time) store.Key {
	return store.Key{Kind: kindRaw, ID: check + "/" + hour.UTC().Format("2006-01-02T15")}
}

func dayKey(check string, day time.Time) store.Key {
	return store.Key{Kind: kindDay, ID: check + "/" + day.UTC().Format(time.DateOnly)}
}

func yearKey(check string, day time.Time) store.Key {
	return store.Key{Kind: kindYear, ID: check + "/" + day.UTC().Format("2006")}
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// add takes a result. One that was taken before is dropped.
func (h *history) add(r monitor.Result, every time.Duration) {
	at := r.At.UTC()
	if !at.After(h.last) && !h.last.IsZero() {
		return // it comes again; or the clock was set back, and until it has passed nothing is counted
	}
	h.turnTo(r.Check, at)
	weight := int32(1) // the first result says something, too
	if !h.last.IsZero() {
		weight = int32(min(at.Unix()-h.last.Unix(), int64(every/time.Second)))
	}
	h.last = at
	second := uint16(at.Sub(h.hour) / time.Second)
	took := int32(min(r.Took/time.Millisecond, math.MaxInt32))
	c := count{runs: 1, took: took, longest: took}
	kind := uint8(0)
	kept := h.raw.Results.n < mostResults
	if !r.OK {
		kind |= failed
		if h.raw.Reasons == nil {
			h.raw.Reasons = map[uint16]monitor.Reason{}
		}
		if kept {
			h.raw.Reasons[second] = r.Reason
		}
	}
	switch {
	case r.Maintenance:
		kind |= maintained
		c.maintenance = weight
	case r.OK:
		c.up = weight
	default:
		c.down = weight
	}
	if kept {
		h.raw.Results.add(sample{second, kind, uint32(took)})
	}
	h.days.Buckets.add(int(at.Sub(h.day)/bucketTime), c)
}

// turnTo begins the hour and the day of at, and puts those before aside.
func (h *history) turnTo(check string, at time.Time) {
	if hour := at.Truncate(time.Hour); !hour.Equal(h.hour) {
		if h.raw.Results.n > 0 {
			h.past = append(h.past, page{rawKey(check, h.hour), keepRaw, h.raw})
			h.drop(kindRaw, mostHours)
		}
		h.hour, h.raw = hour, rawRecord{}
	}
	if day := dayOf(at); !day.Equal(h.day) {
		if h.days.Buckets.n > 0 {
			h.past = append(h.past, page{dayKey(check, h.day), keepDay, h.days})
			h.drop(kindDay, mostDays)
			h.closed = append(h.closed, closedDay{h.day, h.days.sum()})
		}
		h.day, h.days = day, dayRecord{}
	}
}

// drop drops the oldest of past, if it has more than most of a kind.
func (h *history) drop(kind store.Kind, most int) {
	of := func(p page) bool { return p.key.Kind == kind }
	n := 0
	for _, p := range h.past {
		if of(p) {
			n++
		}
	}
	if n <= most {
		return
	}
	at := slices.IndexFunc(h.past, of)
	h.lost = append(h.lost, h.past[at].key)
	h.past = slices.Delete(slices.Clone(h.past), at, at+1)
	if at < h.out {
		h.out--
	}
}

func (d dayRecord) sum() (all count) {
	for _, b := range d.Buckets.all() {
		all.add(b)
	}
	return all
}

// pages returns what is to be written, as it is now. The caller calls wrote when it is.
func (h *history) pages(check string) (all []page, closed []closedDay) {
	all = append(all, h.past...)
	h.out, h.outDay = len(h.past), len(h.closed)
	if h.raw.Results.n > 0 {
		copied := rawRecord{h.raw.Results, map[uint16]monitor.Reason{}}
		for at, why := range h.raw.Reasons {
			copied.Reasons[at] = why
		}
		all = append(all, page{rawKey(check, h.hour), keepRaw, copied})
	}
	if h.days.Buckets.n > 0 {
		all = append(all, page{dayKey(check, h.day), keepDay, h.days})
	}
	return all, append([]closedDay(nil), h.closed...)
}

// wrote drops what pages has returned of hours and days that have ended, and returns the keys.
func (h *history) wrote() (done []store.Key) {
	for _, p := range h.past[:h.out] {
		done = append(done, p.key)
	}
	h.past, h.closed, h.out, h.outDay = h.past[h.out:], h.closed[h.outDay:], 0, 0
	return done
}

// closeDays adds days that have ended to the records of their years.
func (k *Keeper) closeDays(ctx context.Context, b *store.Batch, check string, closed []closedDay) error {
	for _, c := range closed {
		key := yearKey(check, c.day)
		var year yearRecord
		at := -1
		for n, rec := range b.Put {
			if rec.Key == key {
				at = n
				if err := json.Unmarshal(rec.Value, &year); err != nil {
					return err
				}
			}
		}
		if at < 0 {
			found, err := k.read(ctx, []store.Key{key})
			if err != nil {
				return err
			}
			rec := found[key]
			k.revs[key] = rec.Rev
			if rec.Rev > 0 {
				if err := json.Unmarshal(rec.Value, &year); err != nil {
					year = yearRecord{} // it cannot be read, and the days to come shall be
				}
			}
		}
		if year.Days == nil {
			year.Days = map[string]count{}
		}
		year.Days[c.day.Format("01-02")] = c.sum
		rec, err := k.put(key, check, keepYear, year)
		if err != nil {
			return err
		}
		if at >= 0 {
			b.Put[at] = rec
		} else {
			b.Put = append(b.Put, rec)
		}
	}
	return nil
}

// loadHistory reads the hour and the day of the last result of each check, so that a node that takes
// over goes on with them. The caller holds turn.
func (k *Keeper) loadHistory(ctx context.Context, checks map[string]*memory) error {
	var keys []store.Key
	for check, m := range checks {
		if last := m.State.Last.At.UTC(); !last.IsZero() {
			m.last, m.hour, m.day = last, last.Truncate(time.Hour), dayOf(last)
			keys = append(keys, rawKey(check, m.hour), dayKey(check, m.day))
		}
	}
	found, err := k.read(ctx, keys)
	if err != nil {
		return err
	}
	for check, m := range checks {
		if m.last.IsZero() {
			continue
		}
		if rec, is := found[rawKey(check, m.hour)]; is {
			k.revs[rec.Key] = rec.Rev
			_ = json.Unmarshal(rec.Value, &m.raw) // what cannot be read begins anew
		}
		if rec, is := found[dayKey(check, m.day)]; is {
			k.revs[rec.Key] = rec.Rev
			_ = json.Unmarshal(rec.Value, &m.days)
		}
	}
	return nil
}

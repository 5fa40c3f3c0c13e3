// Package outbox sends what must leave this program because of a commit: a mail, an alert.
//
// Begin with [New]. [Outbox.Record] makes a record, which the caller puts into the batch of
// the commit that causes it. So nothing is sent for a commit that failed, and nothing is lost
// that was acknowledged. [Outbox.Run] delivers: it calls the [Deliver] of the kind, which
// [Outbox.Handle] names, until that succeeds. What cannot be delivered becomes a dead letter,
// which [Outbox.List] shows, and [Outbox.Redeliver] sends again. Some 10,000 of each kind are kept.
//
//   - At least once. If a process is killed during a delivery, another one delivers the item
//     again, once, after [Lease]. Its ID is the same, so that the receiver can notice.
//   - Items of one kind and lane have one destination. A lane that is slow or that nobody can
//     reach holds up no other one. Their order is not kept.
//   - Any number of nodes may run on one store. The key of a waiting record begins with its lane
//     and the time at which it is due, so nodes find what is due without reading what is not, and
//     take an item by moving it to the time at which their lease ends.
//   - What is delivered is sealed at rest. It is deleted with the delivery.
//
// It knows no users and no sessions, and delivers nothing itself.
package outbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/store"
)

const (
	// Lease is how long an item belongs to a node that has stopped. A node that delivers for
	// longer renews it.
	Lease = 15 * time.Second

	// MaxPayload is how many bytes one item may deliver: sealed and written as JSON it fits into
	// a record.
	MaxPayload = 32 << 10

	deadKept = 30 * 24 * time.Hour // a dead letter
	deadMost = 10_000              // dead letters of a lane; see trim

	every        = 3 * time.Second  // so often a node looks for what other nodes have left, while something waits
	everyIdle    = 15 * time.Second // and while nothing does
	othersTry    = 2 * time.Minute  // a node that does not know a lane leaves the last try to others for so long
	deliverFor   = 2 * time.Minute  // time for one delivery
	stopFor      = 5 * time.Second  // a delivery under way goes on for so long when the program stops
	perLane      = 4                // deliveries at a time on this node, of one lane
	perNode      = 128              // of all lanes
	ahead        = 32               // items of a lane that are read at a time
	buriedAtOnce = 100
	trimAfter    = 100 // dead letters of this node
	countedTo    = 10_000
)

// Options of New. Store, Key and Audit are required.
type Options struct {
	Store store.Store
	Key   func(label string) []byte // derives 32 secret bytes: keyring.Keyring.Derive
	Audit *audit.Trail

	// Hook hears how each delivery went. It must be quick, and safe for concurrent use. nil: nobody
	// does.
	Hook func(Told)

	Logger *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
}

// Outcome says how a delivery went.
type Outcome string

// The outcomes of a delivery.
const (
	Sent    Outcome = "sent"
	Retried Outcome = "retried" // it failed, and another follows
	Died    Outcome = "dead"    // it failed for good
	Dropped Outcome = "dropped" // it was a dead letter, and there are too many newer ones
)

// Told is how one delivery went.
type Told struct {
	Kind    string
	Outcome Outcome
}

// Outbox keeps and delivers items. It is safe for concurrent use.
type Outbox struct {
	opts Options
	node string
	wake chan struct{} // holds a token when there may be something to deliver

	mu       sync.Mutex // guards what follows: Run, its deliveries and Handle share it
	handlers map[string]handler
	lanes    map[string]*lane
	busy     int // deliveries under way
	died     int // dead letters since the last trim
}

// New checks o.
func New(o Options) (*Outbox, error) {
	if o.Store == nil || o.Key == nil || o.Audit == nil {
		return nil, errors.New("outbox: Options.Store, Options.Key and Options.Audit are required")
	}
	if o.Hook == nil {
		o.Hook = func(Told) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Outbox{
		opts: o, node: strings.ToLower(rand.Text()[:10]), wake: make(chan struct{}, 1),
		handlers: map[string]handler{}, lanes: map[string]*lane{}, died: trimAfter,
	}, nil
}

// Draft is what is to be delivered.
type Draft struct {
	Kind    string    // which Deliver: lower-case letters, digits and "-"; at most 32
	Lane    string    // destination, if the kind has several: as Kind, and "." and "_"; at most 64
	About   string    // what it is, for lists and logs: no secret, and no address of a person
	Subject string    // whose account it is about; may be empty
	Payload []byte    // for Deliver; at most MaxPayload
	Expires time.Time // of no use from then on: never delivered later, and not kept. Zero: it is tried for 24 hours
}

var (
	kinds = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	lanes = regexp.MustCompile(`^[a-z0-9._-]{0,64}$`)
)

const maxText = 200 // bytes of About and Subject

func (d Draft) check() error {
	switch {
	case !kinds.MatchString(d.Kind):
		return fmt.Errorf("outbox: Draft.Kind is %q", d.Kind)
	case !lanes.MatchString(d.Lane):
		return fmt.Errorf("outbox: Draft.Lane is %q", d.Lane)
	case len(d.About) > maxText || len(d.Subject) > maxText || strings.ContainsFunc(d.About+d.Subject, func(r rune) bool { return check.Harm(r) != "" }):
		return errors.New("outbox: Draft.About or Draft.Subject cannot be printed, or is longer than 200 bytes")
	case len(d.Payload) > MaxPayload:
		return fmt.Errorf("outbox: Draft.Payload has %d bytes, and at most %d are delivered", len(d.Payload), MaxPayload)
	}
	return nil
}

// Record makes the record of d, due at once, for the batch of a commit to Options.Store. It does
// no I/O. Call [Outbox.Wake] after the commit.
func (o *Outbox) Record(d Draft) (store.Record, error) {
	if err := d.check(); err != nil {
		return store.Record{}, err
	}
	now := o.opts.Now().UTC()
	w := row{
		ID: newID(now), Kind: d.Kind, Lane: d.Lane, About: d.About, Subject: d.Subject,
		Created: now, Due: now, Until: now.Add(retry.For), Expires: d.Expires.UTC(),
	}
	if d.Expires.IsZero() {
		w.Expires = time.Time{}
	}
	a, err := o.aead(&w)
	if err != nil {
		return store.Record{}, err
	}
	w.Sealed = a.Seal(nil, nil, d.Payload, nil)
	return w.record()
}

// Wake says that a record may have been committed. Without it, a node looks every three seconds while
// anything waits, and otherwise every 15.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

const idLength = 32

// newID returns the id of an item that was made at now: it sorts newest first.
func newID(now time.Time) string {
	return fmt.Sprintf("%016x%s", math.MaxInt64-now.UnixNano(), strings.ToLower(rand.Text()[:16]))
}

// aead seals what w delivers. The key is of this item and its kind alone: a payload that was put
// into another record does not open.
func (o *Outbox) aead(w *row) (cipher.AEAD, error) {
	block, err := aes.NewCipher(o.opts.Key("outbox " + w.Kind + " " + w.ID))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (o *Outbox) open(w *row) ([]byte, error) {
	a, err := o.aead(w)
	if err != nil {
		return nil, err
	}
	return a.Open(nil, nil, w.Sealed, nil)
}

const kind store.Kind = "outbox"

// The owners of records: what is in either state is listed without the other.
const (
	ownerWaiting = "waiting" // ID: lane, when it is due, id of the item
	ownerDead    = "dead"    // ID: that of the item
)

// row is the JSON of a record.
type row struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Lane    string    `json:"lane,omitempty"`
	About   string    `json:"about,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Sealed  []byte    `json:"sealed,omitempty"`
	Created time.Time `json:"created"`
	Due     time.Time `json:"due"`              // when it is tried again; of one that a node delivers: when the lease ends
	Until   time.Time `json:"until"`            // a failure from then on is the last
	Expires time.Time `json:"expires,omitzero"` // see Draft
	Tries   int       `json:"tries"`
	Node    string    `json:"node,omitempty"`   // which delivers it now
	Reason  string    `json:"reason,omitempty"` // of the last failure
	Died    time.Time `json:"died,omitzero"`    // zero: it waits
}

// lane is the name of the lane of w among those of all kinds.
func (w *row) lane() string {
	if w.Lane == "" {
		return w.Kind
	}
	return w.Kind + "." + w.Lane
}

// The ID of a waiting record is the lane, the time in milliseconds, and the id of the item, with
// this between them. It sorts before all that is in the name of a lane, so no record of another
// lane stands between two of one lane.
const between = "!"

func (w *row) key() store.Key {
	if !w.Died.IsZero() {
		return store.Key{Kind: kind, ID: w.ID}
	}
	return store.Key{Kind: kind, ID: fmt.Sprintf("%s%s%012x%s%s", w.lane(), between, w.Due.UnixMilli(), between, w.ID)}
}

// afterLane sorts after each record of a lane, and before those of the next.
func afterLane(name string) string { return name + string(between[0]+1) }

// parseKey reads the ID of a waiting record.
func parseKey(id string) (name string, due time.Time, ok bool) {
	parts := strings.Split(id, between)
	if len(parts) != 3 {
		return "", due, false
	}
	ms, err := strconv.ParseInt(parts[1], 16, 64)
	return parts[0], time.UnixMilli(ms), err == nil
}

// The index texts count records, and find the oldest. No delivery depends on them: a store
// need not keep them.
const (
	textWaiting = "waiting "
	textDead    = "dead "
)

func (w *row) record() (store.Record, error) {
	value, err := json.Marshal(w)
	rec := store.Record{Key: w.key(), Owner: ownerWaiting, Value: value, Index: []string{fmt.Sprintf("%s%012x", textWaiting, w.Created.UnixMilli())}}
	if !w.Died.IsZero() {
		rec.Owner, rec.Expires, rec.Index = ownerDead, w.Died.Add(deadKept), []string{textDead}
	}
	return rec, err
}

// held is a record as it was read or written.
type held struct {
	row
	at store.Require
}

func parse(rec store.Record) (held, error) {
	h := held{at: store.Require{Key: rec.Key, Rev: rec.Rev}}
	if err := json.Unmarshal(rec.Value, &h.row); err != nil {
		return h, fmt.Errorf("outbox record %s is damaged: %w", rec.ID, err)
	}
	return h, nil
}

// move is the batch that replaces h by next. If it is committed, next is held at the returned place.
func (h *held) move(next row) (b store.Batch, at store.Require, err error) {
	rec, err := next.record()
	if err != nil {
		return b, at, err
	}
	if rec.Key == h.at.Key {
		rec.Rev = h.at.Rev
		return store.Batch{Put: []store.Record{rec}}, store.Require{Key: rec.Key, Rev: h.at.Rev + 1}, nil
	}
	return store.Batch{Require: []store.Require{h.at}, Delete: []store.Key{h.at.Key}, Put: []store.Record{rec}}, store.Require{Key: rec.Key, Rev: 1}, nil
}

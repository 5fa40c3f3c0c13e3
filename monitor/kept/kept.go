// Package kept keeps what a monitor knows in a store, for several nodes. Begin with [New], and run
// the monitor with [Keeper.Lead]: one node at a time leads, and another takes over when that one
// stops. [Keeper.Board] reads what a status page shows.
//
//   - The state of a check and the alerts of its change are one commit. The commit requires the lease,
//     so a node that has lost it changes nothing and tells nobody. No alert is lost or doubled.
//   - Nothing here compares clocks of two nodes. A node takes the lease over when it has seen no
//     renewal for [Lease] by its own clock. Two nodes that believe they lead are told apart by the
//     revision of the lease.
//   - An outage of the store does not stop the checks. Alerts are then sent from memory.
//
// It runs no check and sends nothing to people itself.
package kept

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/store"
)

// Lease is how long a node leads that does not renew.
const Lease = 15 * time.Second

// The times of a lease and of flushes.
const (
	renewEvery  = Lease / 3
	lookEvery   = 3 * time.Second  // of a node that does not lead
	flushEvery  = 2 * time.Second  // of checks that are not well
	flushWithin = 60 * time.Second // of all others
	flushAgain  = 20 * time.Second // after a commit that the store did not take, if none was taken since
	within      = 10 * time.Second // what a commit may take
	chunk       = 100              // records of one commit
	probeEvery  = 3 * time.Second  // of a store that does not answer: what comes between two tries fails at once
)

// The kinds of records.
const (
	kindLease    store.Kind = "monitorlease"
	kindState    store.Kind = "monitorstate"    // ID: check
	kindRaw      store.Kind = "monitorraw"      // ID: check, hour; owner: check
	kindDay      store.Kind = "monitorday"      // ID: check, day; owner: check
	kindYear     store.Kind = "monitoryear"     // ID: check, year; owner: check
	kindIncident store.Kind = "monitorincident" // ID: newest first; owner: check
	kindMute     store.Kind = "monitormute"     // ID: check
	kindPush     store.Kind = "monitorpush"     // ID: check
)

// How long each is kept. A state whose check is not run any more goes after a while.
const (
	keepRaw   = 48 * time.Hour
	keepDay   = 90 * 24 * time.Hour
	keepYear  = 2 * 366 * 24 * time.Hour
	keepState = 30 * 24 * time.Hour
)

// ErrNotLeading means that another node leads.
var ErrNotLeading = errors.New("another node leads the monitor")

// Options of [New].
type Options struct {
	Store store.Store  // required
	Audit *audit.Trail // required: hears of what operators change
	Node  string       // name of this node, for operators; may be empty

	// Alerts makes the records by which people are told of an event, for the commit that changes the
	// state. Wake is called after the commit. nil: nobody is told.
	Alerts func(monitor.Event) ([]store.Record, error)
	Wake   func()

	// Direct tells people at once, from memory, while the store is away. Withdraw takes an event back,
	// and returns the names of the channels that have not got it. nil: people are told when the store
	// is back. Both or neither are set.
	Direct   func(monitor.Event)
	Withdraw func(id string) (waiting []string)

	Now    func() time.Time // of what is kept; nil: time.Now
	Logger *slog.Logger     // nil: slog.Default()
}

// Keeper is the monitor.Keeper of one node. Its methods are safe for concurrent use.
type Keeper struct {
	opts Options
	self string // names this process in the lease

	turn    chan struct{}        // holds a token during each commit of the leader, so that its revisions are those of the store
	lease   uint64               // revision of the lease; guarded by turn
	revs    map[store.Key]uint64 // of the records that only the leader writes; guarded by turn
	away    time.Time            // when the store last did not answer; guarded by turn
	told    uint64               // how much of lost is in the log; guarded by turn
	leading atomic.Bool
	lost    atomic.Uint64

	mu     sync.Mutex // guards the fields below; held for a moment only
	checks map[string]*memory
	direct map[string]*told // events that the store did not take at first, by ID
	tried  string           // what the log said last of the store
}

var _ monitor.Keeper = (*Keeper)(nil)

// told is an event that was given to Direct.
type told struct {
	handed bool     // Direct has it
	only   []string // when Direct has it no longer: the channels that have not got it
}

// New returns a keeper. It reads nothing yet.
func New(o Options) (*Keeper, error) {
	if o.Store == nil || o.Audit == nil {
		return nil, errors.New("kept: Options.Store and Options.Audit are required")
	}
	if (o.Direct == nil) != (o.Withdraw == nil) {
		return nil, errors.New("kept: Options.Direct and Options.Withdraw go together")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Keeper{
		opts: o, self: rand.Text(), turn: make(chan struct{}, 1), revs: map[store.Key]uint64{}, checks: map[string]*memory{}, direct: map[string]*told{},
	}, nil
}

// Leading reports whether this node leads, as far as it knows.
func (k *Keeper) Leading() bool { return k.leading.Load() }

// begin waits for the turn to commit; end gives it back.
func (k *Keeper) begin(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return store.Outage(ctx.Err())
	}
}

func (k *Keeper) end() { <-k.turn }

// read gets records, in chunks.
func (k *Keeper) read(ctx context.Context, keys []store.Key) (map[store.Key]store.Record, error) {
	all := make(map[store.Key]store.Record, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		records, err := k.opts.Store.Get(ctx, keys[:n]...)
		if err != nil {
			return nil, store.Outage(err)
		}
		for i, rec := range records {
			if rec.Rev > 0 {
				all[keys[i]] = rec
			}
		}
		keys = keys[n:]
	}
	return all, nil
}

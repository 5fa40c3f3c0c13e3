// Package store defines what Counterfoil asks of a database: ten methods
// over opaque records and one revocation log. The engines are in the folders
// below; each is held to this contract by storetest.
//
// The contract:
//
//   - Commit is all or nothing. When it returns, the commit is durable, in the class that
//     Describe states.
//   - Revisions: Put with Rev 0 creates. Put with Rev n replaces revision n and makes
//     revision n+1. Anything else is ErrConflict, and nothing happens. Require is the same
//     check without a write.
//   - Log entries are numbered in the order of commits: a reader that saw entry n never
//     finds a new entry before n later (REV-02).
//   - A commit that revokes is serial against every other commit. So the head that Commit
//     returns orders the commit against all revocations: it is what goes into rv.
//   - Log and Commit read the head from the authoritative copy (REV-03).
//   - When a commit returns, everything that its caller read before is durable too, also
//     if the commit is empty. Without that, a reader may have seen a commit whose writer
//     was told that the outcome is unknown.
//   - Only Time reads a clock. The store may drop a record after its expiry, at Sweep, and
//     callers compare expiries themselves.
//   - A store that may have lost what it acknowledged begins another epoch by itself. A
//     store that has certainly lost something answers Log and Commit with ErrLost and does
//     nothing, until a Commit begins an epoch: the caller that begins it also ends what may
//     be back. Remember gives the store the knowledge of an earlier process.
//   - An absent record has revision 0. An outage is an error, never an absent record.
//   - All methods are safe for concurrent use, and honour their context.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// What callers branch on. Any other error is an outage or a bug, and says
// nothing about the record.
var (
	ErrNotFound = errors.New("record not found")
	ErrConflict = errors.New("record was changed by somebody else")

	// ErrLost means that the store has lost what it had acknowledged.
	ErrLost = errors.New("store has lost acknowledged entries: a new epoch must begin")
)

// Outage marks an error of a store as counterfoil.ErrUnavailable, which says nothing about
// any credential. ErrNotFound and ErrConflict are answers, and pass as they are.
func Outage(err error) error {
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) || errors.Is(err, counterfoil.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err)
}

// Kind names a class of records, in lower-case letters: "session", "grant", "user", …
type Kind string

// Key names a record. IDs are at most 200 bytes of printable ASCII.
type Key struct {
	Kind Kind
	ID   string
}

// Record is one opaque value with what the store needs to know of it.
type Record struct {
	Key
	Owner   string    // records are listed and deleted by kind and owner; may be empty
	Rev     uint64    // revision that is stored; in Put: the one to replace, 0 to create
	Expires time.Time // when it may be swept, to the second; zero: never
	Value   []byte    // JSON of the kind's owner; the SQL views read it; at most 64 KiB
}

// Require is a condition of a Batch: the record is at Rev, or absent if Rev is 0.
type Require struct {
	Key
	Rev uint64
}

// Owned names all records of a kind that have an owner.
type Owned struct {
	Kind  Kind
	Owner string
}

// Batch is what one Commit does, in this order: all conditions are checked
// (Require, and the revisions of Put), then DeleteOwned, Delete, Put, then Revoke.
// So a Put survives a DeleteOwned of the same batch. Deleting what is
// absent is no error. Keys may not repeat within Put.
type Batch struct {
	Require     []Require
	DeleteOwned []Owned
	Delete      []Key
	Put         []Record
	Revoke      []source.Revocation // At is set by the store

	// NewEpoch drops the log and begins another under a new random epoch, before
	// Revoke: for the day a verifier shows that acknowledged entries were lost
	// (REV-09).
	NewEpoch bool
}

// Durability is the class that "durable" means for a store.
type Durability string

// The classes.
const (
	Lossy   Durability = "lossy"   // what was acknowledged may be gone after a restart
	Durable Durability = "durable" // on disk, flushed, before Commit returns
)

// Description is what a store promises beyond the contract.
type Description struct {
	Durability Durability
	WhyLossy   string // why it is not Durable, for people; empty if it is
	Exclusive  bool   // no other process can have the same database open
	File       string // the path of the file that holds the store; empty: it is no file
}

// Store is one database. It has ten methods, three more than we like: everything that an
// engine can do is required, so a store that wraps another cannot hide a part of it.
type Store interface {
	// Describe says what the store promises. The answer may change while the store is
	// open: an operator may change the settings of a database server.
	Describe() Description

	// Get returns a record for each key, in order, in one round trip. A record that is
	// absent has Rev 0; see One. The records need not be of one moment: a caller that
	// writes on the strength of them requires their revisions.
	Get(ctx context.Context, keys ...Key) ([]Record, error)

	// List yields the records of kind that belong to owner and whose ID is greater than
	// after, in order of ID; after is empty for all of them. It reads only records of the
	// owner, however many others the store holds, and reads ahead a little: a caller that
	// stops after n records has caused the work of some 2n, besides what it costs to find
	// the first. With owner "*" it yields all records of the kind, in pages that need no
	// long lock. After an error it stops.
	List(ctx context.Context, kind Kind, owner, after string) iter.Seq2[Record, error]

	// Commit does b, or returns an error and does nothing. The head it returns is
	// the log's after this commit. An error other than ErrConflict leaves the
	// outcome unknown: the caller reads, or does the same again.
	Commit(ctx context.Context, b Batch) (head counterfoil.Cursor, err error)

	// Log returns up to limit entries after the cursor in order, and the head,
	// read no earlier than the entries. A cursor of another epoch counts as zero.
	// The entries read are complete up to the last one returned, or up to head
	// when fewer than limit came back.
	Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error)

	// Wait returns nil when the head may differ from after, or earlier; it is a
	// hint, and the log is the truth. It returns ctx.Err() when ctx ends first.
	Wait(ctx context.Context, after counterfoil.Cursor) error

	// Remember shows the store the latest head that an earlier process was told. If
	// entries up to seen are lost the answer is ErrLost, as it is of Log and Commit from
	// then on, until a Commit begins an epoch. It writes nothing.
	Remember(ctx context.Context, seen counterfoil.Cursor) error

	// Time reads the clock of the engine: the same for every process that has the store
	// open. It is zero if the engine has no clock of its own, because it runs in this process.
	Time(ctx context.Context) (time.Time, error)

	// Sweep drops records and log entries whose expiry is before the given time,
	// in batches that do not block other callers for long. It returns how many
	// records it dropped.
	Sweep(ctx context.Context, before time.Time) (int, error)

	// Close gives back what the store holds and ends each Wait. Every later call is an
	// outage; a second Close does nothing.
	Close() error
}

// One returns the record of k, or ErrNotFound.
func One(ctx context.Context, s Store, k Key) (Record, error) {
	records, err := s.Get(ctx, k)
	if err != nil {
		return Record{}, err
	}
	if records[0].Rev == 0 {
		return Record{}, ErrNotFound
	}
	return records[0], nil
}

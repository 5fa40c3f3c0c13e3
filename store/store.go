// Package store defines what Counterfoil needs from a database: a [Store] has twelve methods
// on opaque records and one revocation log. Each engine is in a folder of its own below
// this one. Package storetest tests every engine against this contract:
//
//   - Commit does all of a batch or nothing. When it returns, the commit is durable, in the
//     class that Describe returns.
//   - Put with Rev 0 creates a record. Put with Rev n replaces revision n by revision n+1. If
//     the store has another revision, Commit does nothing and returns ErrConflict. Require is
//     the same check without a write.
//   - The numbers of log entries follow the order of commits. A reader that saw entry n never
//     finds a new entry with a smaller number later (REV-02).
//   - A commit that revokes is serial with every other commit. So the head that Commit returns
//     says which revocations came before the commit. The issuer signs this head as rv.
//   - Log and Commit read the head from the authoritative copy (REV-03).
//   - When a commit returns, everything that its caller read before is durable too, even if the
//     commit is empty. Otherwise a caller could act on another commit that the store then
//     loses: readers may see a commit before it is durable.
//   - Put replaces the index texts of a record, and each removal of a record removes them. So
//     Search and Count of an indexed store show each commit that has returned, whole.
//   - Only Time reads a clock. Sweep may drop a record after its expiry. Callers compare
//     expiries themselves.
//   - A store that may have lost acknowledged commits begins a new epoch by itself. A store
//     that has certainly lost some does nothing: Log and Commit return ErrLost until a Commit
//     begins an epoch. The caller of that Commit also ends everything that may have come back.
//     Remember tells the store what an earlier process saw.
//   - An absent record has revision 0. An outage is an error, never an absent record.
//   - All methods are safe for concurrent use, and end when their context ends.
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

// Errors that callers branch on. Any other error is an outage or a bug, and says nothing about
// the record.
var (
	ErrNotFound = errors.New("record not found")
	ErrConflict = errors.New("record was changed by somebody else")

	// ErrNotIndexed is the error of Count in a store that is not Indexed.
	ErrNotIndexed = errors.New("the store has no index")

	// ErrLost means that the store has lost acknowledged commits.
	ErrLost = errors.New("store has lost acknowledged entries: a new epoch must begin")
)

// Outage marks an error of a store as [counterfoil.ErrUnavailable], which says nothing about
// any credential. ErrNotFound and ErrConflict are answers, so Outage returns them unchanged.
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

// Record is one opaque value, with the fields that the store itself needs.
type Record struct {
	Key
	Owner   string    // records are listed and deleted by kind and owner; may be empty
	Rev     uint64    // its revision; in Put: the revision to replace, 0 to create
	Expires time.Time // from when Sweep may drop it, in whole seconds; zero: never
	Value   []byte    // JSON of the package that owns the kind; the SQL views read it; at most 64 KiB

	// Index has the texts that Search finds the record by. Only Put reads it: a caller that writes the
	// record again gives the texts again. At most 64 texts of at most 200 bytes of printable ASCII.
	Index []string
}

// Position is a place in a search: after the record ID under the text Text. The zero Position is
// before the first.
type Position struct{ Text, ID string }

// Match is what a search yields: a record, and the text that it was found by. Its Index is nil.
type Match struct {
	Text string
	Record
}

// At is the position of m.
func (m Match) At() Position { return Position{m.Text, m.ID} }

// Require is a condition of a [Batch]: the record has the revision Rev, or is absent if Rev is 0.
type Require struct {
	Key
	Rev uint64
}

// Owned names all records of a kind that have an owner.
type Owned struct {
	Kind  Kind
	Owner string
}

// Batch is the work of one Commit. Commit first checks all conditions: Require, and the
// revisions of Put. Then it does DeleteOwned, Delete, Put and Revoke, in this order. So a Put
// survives a DeleteOwned of the same batch. To delete an absent record is no error. A key
// occurs only once in Put.
type Batch struct {
	Require     []Require
	DeleteOwned []Owned
	Delete      []Key
	Put         []Record
	Revoke      []source.Revocation // At is set by the store

	// NewEpoch drops the log before Revoke, and begins another with a new random epoch. It
	// is for a loss of acknowledged entries, which a verifier can show (REV-09).
	NewEpoch bool
}

// Durability says what a store means by durable.
type Durability string

// The values of Durability.
const (
	Lossy   Durability = "lossy"   // acknowledged commits may be lost at a restart
	Durable Durability = "durable" // a commit is on disk, flushed, before Commit returns
)

// Description is what a store promises in addition to the contract.
type Description struct {
	Durability Durability
	WhyLossy   string // why the store is not Durable, for operators; empty if it is
	Exclusive  bool   // no other process can have the same database open
	File       string // path of the file that holds the store; empty: it is not a file
	Indexed    bool   // Search finds records by their texts; see there
}

// Store is one database. All twelve methods are required, although an interface should have seven
// at most: a store that wraps another could otherwise hide an optional method of it.
type Store interface {
	// Describe returns what the store promises. This may change while the store is open, when
	// an operator changes the settings of a database server.
	Describe() Description

	// Get returns a record for each key, in the same order, in one round trip. An absent
	// record has Rev 0; see [One]. The records may be from different moments: a caller whose
	// write depends on them must require their revisions.
	Get(ctx context.Context, keys ...Key) ([]Record, error)

	// List yields the records of kind that belong to owner and whose ID is greater than
	// after, in order of ID. An empty after yields all of them. List reads only records of
	// the owner, even if the store has many others. It reads ahead a little: if the caller
	// stops after n records, List has read about 2n, plus the work to find the first. With
	// owner "*" it yields all records of the kind, in pages that need no long lock. It stops
	// after an error.
	List(ctx context.Context, kind Kind, owner, after string) iter.Seq2[Record, error]

	// Search yields the records of kind under each of their index texts that begins with prefix,
	// in order of text and ID, from the first that is greater than after. It reads ahead as List
	// does, and reads nothing that the prefix does not cover.
	//
	// A store that is not Indexed keeps no texts: it yields every record of the kind once, in an
	// order of its own, whatever the prefix is. Text is then where the store has the record. The
	// caller decides what matches, and how much it looks at: the work before the first record
	// does not grow with the number of records much.
	Search(ctx context.Context, kind Kind, prefix string, after Position) iter.Seq2[Match, error]

	// Count returns how many records of kind have a text that begins with prefix. It looks at the
	// first limit of these texts; more says that there are others.
	Count(ctx context.Context, kind Kind, prefix string, limit int) (n int, more bool, err error)

	// Commit does b and returns the head of the log after it, or does nothing and returns
	// ErrConflict. After any other error the outcome is unknown: the caller reads the records,
	// or commits the same again.
	Commit(ctx context.Context, b Batch) (head counterfoil.Cursor, err error)

	// Log returns up to limit entries after the cursor, in order, and the head, which it
	// reads at the same time as the entries or later. A cursor of another epoch counts as
	// zero. No entry is missing before the last one returned. If there are fewer than limit,
	// none is missing before the head.
	Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error)

	// Wait returns nil when the head may differ from after. It may return too early, so the
	// caller reads the log. It returns ctx.Err() if ctx ends first.
	Wait(ctx context.Context, after counterfoil.Cursor) error

	// Remember gives the store the latest head that an earlier process saw. If entries up to
	// seen are lost, it returns ErrLost, and Log and Commit do too until a Commit begins an
	// epoch. So does a store with the mark Copied, whatever seen is, and the epoch ends the mark.
	// It writes nothing.
	Remember(ctx context.Context, seen counterfoil.Cursor) error

	// Time returns the time of the engine's clock, which is the same clock for all processes
	// that have the store open. It is zero if the engine runs in this process: it then has no
	// clock of its own.
	Time(ctx context.Context) (time.Time, error)

	// Sweep drops records and log entries whose expiry is before the given time,
	// in batches that do not block other callers for long. It returns how many
	// records it dropped.
	Sweep(ctx context.Context, before time.Time) (int, error)

	// Close releases the resources of the store and ends each Wait. Every later call returns
	// an outage. A second Close does nothing.
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

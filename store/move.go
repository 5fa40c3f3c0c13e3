package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// Mover is the source or the target of a [Move]: a store that only this process has open, to
// read or to fill it. An engine that can be moved has a function OpenToMove that returns a
// Mover. No server can use the store until the Mover is closed.
type Mover interface {
	// All yields the records of all kinds with their revisions, in order of kind and ID.
	All(ctx context.Context) iter.Seq2[Record, error]

	// Log is the method of [Store].
	Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error)

	// Mark returns the mark of the store. SetMark replaces it, durably.
	Mark(ctx context.Context) (Mark, error)
	SetMark(ctx context.Context, m Mark) error

	// Begin drops all records and entries and sets mark and head, in one commit.
	Begin(ctx context.Context, m Mark, head counterfoil.Cursor) error

	// Fill adds records with their revisions, and entries with their numbers, in one commit.
	Fill(ctx context.Context, records []Record, entries []source.Revocation) error

	Close() error
}

// Mark says why a store must not be used as it is. The zero Mark says that it may be used.
type Mark struct {
	State string // Filling, Moved, Copied, or empty
	Move  string // id of the move
	Note  string // for operators, in one line: the other store, and the time
}

// The states of a Mark.
const (
	Filling = "filling" // a move to this store has begun and is not finished
	Moved   = "moved"   // the data was moved to another store, which is in use now
	Copied  = "copied"  // a backup: a store that has this mark was put back, and may be used after a loss
)

// Errors of a function that opens a store with a mark.
var (
	ErrFilling = errors.New("a move to this store was not finished")
	ErrMoved   = errors.New("this store was moved to another")

	// ErrCopied is the error of a move of a backup that no server has used yet.
	ErrCopied = errors.New("this is a backup that was put back: start the server on it once")

	// ErrNotEmpty is the error of a move to a store that has data.
	ErrNotEmpty = errors.New("the store to move to is not empty")
)

// String returns the text that an engine stores for m. [ParseMark] reads it.
func (m Mark) String() string {
	if m == (Mark{}) {
		return ""
	}
	return m.State + " " + m.Move + " " + m.Note
}

// ParseMark reads the text of [Mark.String].
func ParseMark(text string) Mark {
	state, rest, _ := strings.Cut(text, " ")
	move, note, _ := strings.Cut(rest, " ")
	return Mark{state, move, note}
}

// Err returns nil if the store may be used, if it is Copied after the loss that [Store.Remember]
// tells of. Each engine calls it when it opens a store.
func (m Mark) Err() error {
	switch m.State {
	case "", Copied:
		return nil
	case Moved:
		return fmt.Errorf("%w: %s", ErrMoved, m.Note)
	}
	return fmt.Errorf("%w: %s", ErrFilling, m.Note)
}

// Contents is a summary of the data in a store.
type Contents struct {
	Records map[Kind]int
	Entries int // number of entries in the log
	Head    counterfoil.Cursor
	Digest  [sha256.Size]byte // of all records and entries, in order
}

// MoveOptions of Move.
type MoveOptions struct {
	From, To string // for operators, in the marks: the names of the stores, and the time
	Replace  bool   // the target may have the mark Moved: its data is dropped

	// Progress is told what Move does, and of how many records and entries it has done it. all
	// is how many there are; 0 while that is not known. nil: nobody is told.
	Progress func(what string, done, all int)
}

// moveBatch is the number of records or entries in one commit of a move.
const moveBatch = 1000

// Move copies everything from one store to another: records with their revisions, and the log
// with its epoch and numbers. So every copy and every cursor stays good, and revoked
// credentials stay revoked.
//
//  1. Move gives the target the mark Filling, so that no server uses it, and fills it.
//  2. It gives the source the mark Moved. Nothing else changes in the source.
//  3. It removes the mark of the target.
//
// The process may be killed at any time; then call Move again. The two stores can never be used
// at the same time: two logs with one epoch would break every promise of the contract.
func Move(ctx context.Context, from, to Mover, o MoveOptions) (Contents, error) {
	move, err := mayMove(ctx, from, to, o)
	if err != nil {
		return Contents{}, err
	}
	_, head, err := from.Log(ctx, counterfoil.Cursor{}, 1)
	if err != nil {
		return Contents{}, err
	}
	if err := to.Begin(ctx, Mark{Filling, move, "from " + o.From}, head); err != nil {
		return Contents{}, err
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	copied := 0
	sent, err := read(ctx, from, func(ctx context.Context, records []Record, entries []source.Revocation) error {
		o.Progress("copied", copied, 0)
		copied += len(records) + len(entries)
		return to.Fill(ctx, records, entries)
	})
	if err != nil {
		return Contents{}, err
	}
	arrived, err := Inventory(ctx, to, func(done int) { o.Progress("checked", done, copied) })
	if err != nil {
		return Contents{}, err
	}
	if arrived.Digest != sent.Digest {
		return Contents{}, fmt.Errorf("store: what arrived is not what was sent: %v, want %v", arrived, sent)
	}
	if err := from.SetMark(ctx, Mark{Moved, move, "to " + o.To}); err != nil {
		return Contents{}, err
	}
	return sent, to.SetMark(ctx, Mark{})
}

// mayMove returns the id of the move. It refuses a move that would mix two stores or lose data.
func mayMove(ctx context.Context, from, to Mover, o MoveOptions) (string, error) {
	was, err := from.Mark(ctx)
	if err != nil {
		return "", err
	}
	there, err := to.Mark(ctx)
	if err != nil {
		return "", err
	}
	goesOn := was.State == Moved && there.State == Filling && was.Move == there.Move
	if was.State == Copied {
		return "", fmt.Errorf("the store to move from: %w", ErrCopied)
	}
	if was != (Mark{}) && !goesOn {
		return "", fmt.Errorf("the store to move from: %w", was.Err())
	}
	if there.State == "" || there.State == Copied || there.State == Moved && !o.Replace {
		held, err := empty(ctx, to)
		if err != nil {
			return "", err
		}
		if !held {
			return "", ErrNotEmpty
		}
	}
	if goesOn {
		return was.Move, nil
	}
	return rand.Text(), nil
}

func empty(ctx context.Context, m Mover) (bool, error) {
	for _, err := range m.All(ctx) {
		return false, err
	}
	entries, _, err := m.Log(ctx, counterfoil.Cursor{}, 1)
	return len(entries) == 0, err
}

// Inventory reads all of m. It tells progress how many records and entries it has read.
func Inventory(ctx context.Context, m Mover, progress func(done int)) (Contents, error) {
	done := 0
	return read(ctx, m, func(_ context.Context, records []Record, entries []source.Revocation) error {
		done += len(records) + len(entries)
		progress(done)
		return nil
	})
}

// read reads all of m and calls each with one batch after the other.
func read(ctx context.Context, m Mover, each func(context.Context, []Record, []source.Revocation) error) (Contents, error) {
	c := Contents{Records: map[Kind]int{}}
	digest := sha256.New()
	batch := make([]Record, 0, moveBatch)
	for r, err := range m.All(ctx) {
		if err != nil {
			return c, err
		}
		if r.Kind == kindTexts {
			continue // the target gets its texts at its first start
		}
		c.Records[r.Kind]++
		digestRecord(digest, r)
		if batch = append(batch, r); len(batch) == moveBatch {
			if err := each(ctx, batch, nil); err != nil {
				return c, err
			}
			batch = make([]Record, 0, moveBatch)
		}
	}
	if err := each(ctx, batch, nil); err != nil {
		return c, err
	}
	for after := (counterfoil.Cursor{}); ; {
		entries, head, err := m.Log(ctx, after, moveBatch)
		if err != nil {
			return c, err
		}
		c.Head = head
		c.Entries += len(entries)
		for _, e := range entries {
			digestEntry(digest, e)
		}
		if err := each(ctx, nil, entries); err != nil {
			return c, err
		}
		if len(entries) < moveBatch {
			break
		}
		after = entries[len(entries)-1].At
	}
	digestNumbers(digest, c.Head.Epoch, c.Head.Seq)
	digest.Sum(c.Digest[:0])
	return c, nil
}

func digestRecord(h hash.Hash, r Record) {
	digestTexts(h, string(r.Kind), r.ID, r.Owner, string(r.Value))
	digestNumbers(h, r.Rev, uint64(r.Expires.Unix()))
}

func digestEntry(h hash.Hash, e source.Revocation) {
	digestTexts(h, string(e.Scope), e.ID, e.Reason)
	digestNumbers(h, e.At.Epoch, e.At.Seq, uint64(e.Expires.Unix()))
}

// digestTexts hashes each text with its length, so that different lists have different digests.
func digestTexts(h hash.Hash, texts ...string) {
	for _, s := range texts {
		digestNumbers(h, uint64(len(s)))
		h.Write([]byte(s))
	}
}

func digestNumbers(h hash.Hash, numbers ...uint64) {
	for _, n := range numbers {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
}

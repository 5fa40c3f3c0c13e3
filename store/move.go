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

// Mover is one end of a move: a store that this process alone has open, to read all of it
// or to fill it. An engine that can be moved has a function OpenToMove that returns one.
// No server can use the store meanwhile.
type Mover interface {
	// All yields every record of every kind, in order of kind and ID, as it is
	// stored: Rev is its revision.
	All(ctx context.Context) iter.Seq2[Record, error]

	// Log is that of Store.
	Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error)

	// Mark says what stands in the way of using the store; SetMark replaces it,
	// durably.
	Mark(ctx context.Context) (Mark, error)
	SetMark(ctx context.Context, m Mark) error

	// Begin drops all records and entries, and sets mark and head, in one commit.
	Begin(ctx context.Context, m Mark, head counterfoil.Cursor) error

	// Fill adds records at the revisions that they have, and entries at their
	// numbers, in one commit.
	Fill(ctx context.Context, records []Record, entries []source.Revocation) error

	Close() error
}

// Mark says why a store must not be used. Zero: nothing is in the way.
type Mark struct {
	State string // Filling, Moved, or empty
	Move  string // which move it was
	Note  string // for people: from where or to where, and when; one line
}

// The states of a Mark.
const (
	Filling = "filling" // a move to this store has begun, and is not done
	Moved   = "moved"   // what is here lives on in another store
)

// What a store that is marked answers when it is opened.
var (
	ErrFilling = errors.New("a move to this store was not finished")
	ErrMoved   = errors.New("this store was moved to another")

	// ErrNotEmpty refuses to move anything to a store that holds something.
	ErrNotEmpty = errors.New("the store to move to is not empty")
)

// String is what an engine keeps of m; ParseMark reads it.
func (m Mark) String() string {
	if m == (Mark{}) {
		return ""
	}
	return m.State + " " + m.Move + " " + m.Note
}

// ParseMark reads what String wrote.
func ParseMark(text string) Mark {
	state, rest, _ := strings.Cut(text, " ")
	move, note, _ := strings.Cut(rest, " ")
	return Mark{state, move, note}
}

// Err is nil if the store may be used. Every engine asks it when it is opened.
func (m Mark) Err() error {
	switch m.State {
	case "":
		return nil
	case Moved:
		return fmt.Errorf("%w: %s", ErrMoved, m.Note)
	}
	return fmt.Errorf("%w: %s", ErrFilling, m.Note)
}

// Contents is what a store holds.
type Contents struct {
	Records map[Kind]int
	Entries int // of the log
	Head    counterfoil.Cursor
	Digest  [sha256.Size]byte // of everything, in order
}

// MoveOptions of Move.
type MoveOptions struct {
	From, To string // for people, in the marks: the names of the stores, and the time
	Replace  bool   // the target may be a store that was moved away from: what it holds is dropped
}

// moveBatch is how many records or entries go at a time.
const moveBatch = 1000

// Move copies all of from to to: records with their revisions, the log with its epoch and
// numbers. So every copy and every cursor stays good, and what was revoked stays revoked.
//
// The process may be killed at any time, and Move called again:
//
//  1. Move marks the target Filling, so that no server uses half of it, and fills it.
//  2. It marks the source Moved. Nothing else changes in the source.
//  3. It takes the mark of the target away.
//
// At no time can both stores be used: two logs of one epoch would break every promise.
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
	sent, err := read(ctx, from, to.Fill)
	if err != nil {
		return Contents{}, err
	}
	arrived, err := Inventory(ctx, to)
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

// mayMove refuses what would mix or lose something, and names the move.
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
	if was != (Mark{}) && !goesOn {
		return "", fmt.Errorf("the store to move from: %w", was.Err())
	}
	if there.State == "" || there.State == Moved && !o.Replace {
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

// Inventory reads all of m.
func Inventory(ctx context.Context, m Mover) (Contents, error) {
	return read(ctx, m, func(context.Context, []Record, []source.Revocation) error { return nil })
}

// read reads all of m and gives it to each, a batch at a time.
func read(ctx context.Context, m Mover, each func(context.Context, []Record, []source.Revocation) error) (Contents, error) {
	c := Contents{Records: map[Kind]int{}}
	digest := sha256.New()
	batch := make([]Record, 0, moveBatch)
	for r, err := range m.All(ctx) {
		if err != nil {
			return c, err
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

// digestTexts hashes each with its length, so that no two lists look the same.
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

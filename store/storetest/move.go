package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Place is one database of an engine that can be moved.
type Place struct {
	Open  func() (store.Store, error)
	Mover func() (store.Mover, error)
}

// RunMove tests an engine against the contract of [store.Mover]. place returns an empty
// database at each call.
func RunMove(t *testing.T, place func(t *testing.T) Place) {
	for name, test := range map[string]func(t *testing.T, from, to Place){
		"all records and entries arrive":           moveAll,
		"the target must be empty":                 moveEmpty,
		"stopped at any step, and done again":      moveStopped,
		"moved back, over the old source":          moveBack,
		"a store that is being moved is not used":  moveInUse,
		"a store that is half full is not a store": moveHalf,
	} {
		t.Run(name, func(t *testing.T) { test(t, place(t), place(t)) })
	}
}

// fill puts more records and entries into p than one batch of a move takes.
func (p Place) fill(t *testing.T) {
	t.Helper()
	s := p.open(t)
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	b := store.Batch{}
	for n := range 1203 {
		r := store.Record{Key: store.Key{Kind: "thing", ID: fmt.Sprintf("i%04d", n)}, Owner: fmt.Sprint("o", n%7), Expires: ends, Value: []byte(fmt.Sprint(n))}
		b.Put = append(b.Put, r)
		b.Revoke = append(b.Revoke, source.Revocation{Scope: source.ScopeSession, ID: r.ID, Expires: ends, Reason: "why"})
	}
	_, err := s.Commit(t.Context(), b)
	must(t, err)
	must(t, put(s, store.Record{Key: store.Key{Kind: "zebra", ID: "~"}, Value: nil}))
	for rev := range uint64(3) {
		must(t, put(s, store.Record{Key: store.Key{Kind: "art", ID: "a b"}, Rev: rev, Value: []byte{0, 255}}))
	}
	must(t, s.Close())
}

func (p Place) open(t *testing.T) store.Store {
	t.Helper()
	s, err := p.Open()
	must(t, err)
	return s
}

func (p Place) mover(t *testing.T) store.Mover {
	t.Helper()
	m, err := p.Mover()
	must(t, err)
	return m
}

// move moves from one place to the other. wrap may replace the two movers.
func move(t *testing.T, from, to Place, replace bool, wrap func(from, to store.Mover) (store.Mover, store.Mover)) (store.Contents, error) {
	t.Helper()
	a, b := from.mover(t), to.mover(t)
	defer func() { must(t, errors.Join(a.Close(), b.Close())) }()
	if wrap != nil {
		a, b = wrap(a, b)
	}
	return store.Move(t.Context(), a, b, store.MoveOptions{From: "here", To: "there", Replace: replace})
}

// refuses fails the test unless opening p returns want.
func (p Place) refuses(t *testing.T, want error) {
	t.Helper()
	s, err := p.Open()
	if err == nil {
		must(t, s.Close())
	}
	if !errors.Is(err, want) {
		t.Errorf("Open = %v, want %v", err, want)
	}
}

func moveAll(t *testing.T, from, to Place) {
	from.fill(t)
	done, err := move(t, from, to, false, nil)
	must(t, err)
	if done.Records["thing"] != 1203 || done.Records["art"] != 1 || done.Records["zebra"] != 1 || done.Entries != 1203 {
		t.Errorf("Move = %+v", done)
	}
	from.refuses(t, store.ErrMoved)
	s := to.open(t)
	entries, head, err := s.Log(t.Context(), counterfoil.Cursor{Epoch: done.Head.Epoch}, 2000)
	must(t, err)
	if head != done.Head || len(entries) != 1203 || entries[1202].At != head || entries[7].ID != "i0007" || entries[7].Reason != "why" {
		t.Errorf("Log = %d entries at %v, want those of the source at %v", len(entries), head, done.Head)
	}
	r, err := store.One(t.Context(), s, store.Key{Kind: "art", ID: "a b"})
	must(t, err)
	if r.Rev != 3 || string(r.Value) != "\x00\xff" || !r.Expires.IsZero() {
		t.Errorf("Get = %+v", r)
	}
	r.Value = []byte("4")
	must(t, put(s, r)) // a caller that read the record at the source goes on with its revision
	if after := revoke(t, s, "next", time.Now().Add(time.Hour)); after.Epoch != head.Epoch || !head.Before(after) {
		t.Errorf("the next entry is %v, want one after %v", after, head)
	}
	must(t, s.Close())
}

func moveEmpty(t *testing.T, from, to Place) {
	from.fill(t)
	s := to.open(t)
	must(t, put(s, rec("mine", "o", 0)))
	must(t, s.Close())
	if _, err := move(t, from, to, true, nil); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("Move = %v, want ErrNotEmpty", err)
	}
	for _, p := range []Place{from, to} {
		must(t, p.open(t).Close())
	}
}

var errStopped = errors.New("stopped")

// stopper stops a move after the given number of writes, as a kill would.
type stopper struct {
	store.Mover
	left *int
}

func (s stopper) stop() bool { *s.left--; return *s.left < 0 }

func (s stopper) Begin(ctx context.Context, m store.Mark, head counterfoil.Cursor) error {
	if s.stop() {
		return errStopped
	}
	return s.Mover.Begin(ctx, m, head)
}

func (s stopper) Fill(ctx context.Context, r []store.Record, e []source.Revocation) error {
	if s.stop() {
		return errStopped
	}
	return s.Mover.Fill(ctx, r, e)
}

func (s stopper) SetMark(ctx context.Context, m store.Mark) error {
	if s.stop() {
		return errStopped
	}
	return s.Mover.SetMark(ctx, m)
}

// A move is stopped after each step. At no step can both stores be opened, and at every step
// one of them has everything.
func moveStopped(t *testing.T, from, to Place) {
	from.fill(t)
	for steps := 0; ; steps++ {
		left := steps
		_, err := move(t, from, to, false, func(a, b store.Mover) (store.Mover, store.Mover) {
			return stopper{a, &left}, stopper{b, &left}
		})
		if err == nil {
			break
		}
		if !errors.Is(err, errStopped) {
			t.Fatalf("after %d steps: Move = %v", steps, err)
		}
		if steps == 0 { // the move wrote nothing
			must(t, to.open(t).Close())
			continue
		}
		to.refuses(t, store.ErrFilling)
		if s, err := from.Open(); err == nil {
			must(t, s.Close())
		} else if !errors.Is(err, store.ErrMoved) {
			t.Errorf("after %d steps: the source = %v", steps, err)
		}
	}
	from.refuses(t, store.ErrMoved)
	must(t, to.open(t).Close())
}

func moveBack(t *testing.T, from, to Place) {
	from.fill(t)
	there, err := move(t, from, to, false, nil)
	must(t, err)
	if _, err := move(t, to, from, false, nil); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("Move back = %v, want ErrNotEmpty", err)
	}
	back, err := move(t, to, from, true, nil)
	must(t, err)
	if back.Digest != there.Digest {
		t.Errorf("Move back = %+v, want the same contents: %+v", back, there)
	}
	to.refuses(t, store.ErrMoved)
	must(t, from.open(t).Close())
	if _, err := move(t, to, from, true, nil); !errors.Is(err, store.ErrMoved) {
		t.Errorf("Move from a store that was moved away = %v, want ErrMoved", err)
	}
}

func moveInUse(t *testing.T, from, _ Place) {
	s := from.open(t)
	if m, err := from.Mover(); err == nil {
		t.Error("a store in use can be moved")
		must(t, m.Close())
	}
	must(t, s.Close())
	m := from.mover(t)
	if s, err := from.Open(); err == nil {
		t.Error("a store that is being moved can be used")
		must(t, s.Close())
	}
	must(t, m.Close())
	must(t, from.open(t).Close())
}

func moveHalf(t *testing.T, from, to Place) {
	from.fill(t)
	left := 1
	_, err := move(t, from, to, false, func(a, b store.Mover) (store.Mover, store.Mover) { return a, stopper{b, &left} })
	if !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	m := to.mover(t)
	if mark, err := m.Mark(t.Context()); err != nil || mark.State != store.Filling || mark.Note != "from here" {
		t.Errorf("Mark = %+v, %v", mark, err)
	}
	must(t, m.Close())
	if _, err := move(t, to, from, true, nil); !errors.Is(err, store.ErrFilling) {
		t.Errorf("Move from a half-filled store = %v, want ErrFilling", err)
	}
}

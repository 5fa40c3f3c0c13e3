package memory_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
	"github.com/counterfoil/counterfoil/store/storetest/linear"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() })
}

func TestIsLinearizable(t *testing.T) {
	linear.Run(t, func(*testing.T) store.Store { return memory.New() })
}

// model does what the contract says with a Go map.
type model map[store.Key]store.Record

func (m model) commit(b store.Batch) error {
	for _, r := range b.Put {
		if m[r.Key].Rev != r.Rev {
			return store.ErrConflict
		}
	}
	for _, o := range b.DeleteOwned {
		maps.DeleteFunc(m, func(k store.Key, r store.Record) bool { return k.Kind == o.Kind && r.Owner == o.Owner })
	}
	for _, k := range b.Delete {
		delete(m, k)
	}
	for _, r := range b.Put {
		r.Rev++
		m[r.Key] = r
	}
	return nil
}

// randomBatch takes its keys from a few hundred, so that batches meet the same records. The
// sizes differ, so that records move from class to class.
func randomBatch(rng *rand.Rand, m model) (b store.Batch) {
	key := func() store.Key {
		return store.Key{Kind: []store.Kind{"session", "grant"}[rng.IntN(2)], ID: fmt.Sprint("id", rng.IntN(400))}
	}
	owner := func() string { return []string{"", "a", "b", "usr_xyy3hoohu63c7lgen6da3wax6j"}[rng.IntN(4)] }
	switch rng.IntN(20) {
	case 0:
		b.DeleteOwned = []store.Owned{{Kind: key().Kind, Owner: owner()}}
	case 1, 2, 3, 4, 5:
		b.Delete = []store.Key{key(), key()}
	}
	for range rng.IntN(3) {
		r := store.Record{Key: key(), Owner: owner(), Value: bytes.Repeat([]byte("é"), rng.IntN(60))}
		if rng.IntN(50) == 0 {
			r.Value = make([]byte, 64<<10)
		}
		r.Expires = []time.Time{{}, time.Unix(1_000, 0), time.Unix(5_000_000_000, 0)}[rng.IntN(3)]
		if r.Rev = m[r.Key].Rev; rng.IntN(30) == 0 {
			r.Rev++ // a conflict
		}
		if !slices.ContainsFunc(b.Put, func(p store.Record) bool { return p.Key == r.Key }) {
			b.Put = append(b.Put, r)
		}
	}
	return b
}

// After any sequence of batches the store holds the same records as a Go map, and its
// invariants hold.
func TestHoldsWhatAMapHolds(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s, m := memory.New(), model{}
		for step := range 2000 {
			if step%700 == 699 {
				if n, err := s.Sweep(t.Context(), time.Unix(2_000, 0)); err != nil || n == 0 {
					t.Fatalf("seed %d: Sweep = %d, %v", seed, n, err)
				}
				maps.DeleteFunc(m, func(_ store.Key, r store.Record) bool { return r.Expires.Unix() == 1_000 })
			}
			b := randomBatch(rng, m)
			_, err := s.Commit(t.Context(), b)
			if want := m.commit(b); !errors.Is(err, want) {
				t.Fatalf("seed %d, step %d: Commit = %v, want %v", seed, step, err, want)
			}
			if step%50 == 0 {
				compare(t, s, m)
			}
		}
		compare(t, s, m)
	}
}

func compare(t *testing.T, s *memory.Store, m model) {
	t.Helper()
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	left := maps.Clone(m)
	for _, kind := range []store.Kind{"session", "grant"} {
		for _, owner := range []string{"", "a", "b", "usr_xyy3hoohu63c7lgen6da3wax6j"} {
			for got, err := range s.List(t.Context(), kind, owner, "") {
				want := left[got.Key]
				if err != nil || got.Owner != owner || want.Owner != owner || got.Rev != want.Rev || !got.Expires.Equal(want.Expires) || !bytes.Equal(got.Value, want.Value) {
					t.Fatalf("%v is %v, %v, want %v", got.Key, got, err, want)
				}
				delete(left, got.Key)
			}
		}
	}
	if len(left) > 0 {
		t.Fatalf("%d records are missing", len(left))
	}
}

// The largest record that the contract allows has a class.
func TestLargestRecord(t *testing.T) {
	s := memory.New()
	r := store.Record{Key: store.Key{Kind: "thing", ID: strings.Repeat("x", 200)}, Owner: strings.Repeat("y", 200), Value: make([]byte, 64<<10)}
	rand.NewChaCha8([32]byte{}).Read(r.Value)
	if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{r}}); err != nil {
		t.Fatal(err)
	}
	if got, err := store.One(t.Context(), s, r.Key); err != nil || !bytes.Equal(got.Value, r.Value) {
		t.Errorf("Get = %d bytes, %v", len(got.Value), err)
	}
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
}

// The store gives back the memory of deleted records, whichever records remain. A store of
// a few records is small.
func TestGivesBackMemory(t *testing.T) {
	s := memory.New()
	const n = 50_000
	for from := 0; from < n; from += 500 {
		var b store.Batch
		for i := from; i < from+500; i++ {
			r := store.Record{Key: store.Key{Kind: "session", ID: fmt.Sprint(i)}, Owner: fmt.Sprint(i / 2), Value: bytes.Repeat([]byte("é"), i%100)}
			if i%50 > 0 {
				r.Expires = time.Unix(1, 0)
			}
			b.Put = append(b.Put, r)
		}
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	full := s.Held()
	if dropped, err := s.Sweep(t.Context(), time.Unix(2, 0)); err != nil || dropped != n*49/50 {
		t.Fatalf("Sweep = %d, %v", dropped, err)
	}
	// A fiftieth of the records is left. Each of the hundred classes may keep its last page and
	// an empty one.
	if held := s.Held(); held > full/2 {
		t.Errorf("the store holds %d bytes of %d, want at most half: 49 of 50 records were swept", held, full)
	}
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
	for i := 0; i < n; i += 50 {
		if _, err := s.Commit(t.Context(), store.Batch{Delete: []store.Key{{Kind: "session", ID: fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if held := s.Held(); held > 0 {
		t.Errorf("an empty store holds %d bytes", held)
	}
}

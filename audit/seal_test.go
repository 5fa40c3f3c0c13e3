package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// sealed is a trail with entries of several minutes, all sealed.
type sealed struct {
	*audit.Trail
	db      store.Store
	now     *atomic.Int64 // nanoseconds after the start
	anchors []audit.Anchor
}

func newSealed(t *testing.T) *sealed {
	s := &sealed{db: memory.New(), now: new(atomic.Int64)}
	begun := time.Now()
	s.Trail = newTrail(t, audit.Options{
		Store: s.db, Hook: func(audit.Entry) {}, Now: func() time.Time { return begun.Add(time.Duration(s.now.Load())) },
		Anchor: func(seal audit.Seal) { s.anchors = append(s.anchors, audit.Anchor{N: seal.N, Hash: seal.Hash}) },
	})
	s.seal(t)
	for range 5 {
		for _, subject := range []string{"alice", "bob", "carol"} {
			if _, err := s.Commit(t.Context(), s.db, store.Batch{}, audit.Act{}.Entry(audit.Login, subject)); err != nil {
				t.Fatal(err)
			}
		}
		s.pass(time.Minute)
		s.seal(t)
	}
	s.pass(5 * time.Minute)
	s.seal(t)
	return s
}

func (s *sealed) pass(d time.Duration) { s.now.Add(int64(d)) }

func (s *sealed) seal(t *testing.T) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *sealed) entries(t *testing.T) (all []store.Record) {
	t.Helper()
	for rec, err := range s.db.List(t.Context(), "audit", "*", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
	return all
}

// Whatever somebody does to the store shows.
func TestSeals(t *testing.T) {
	commit := func(t *testing.T, s *sealed, b store.Batch) {
		t.Helper()
		if _, err := s.db.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, s *sealed)
		want string // in a problem; empty: there is none
	}{
		{"nothing", func(*testing.T, *sealed) {}, ""},
		{"an entry is changed", func(t *testing.T, s *sealed) {
			rec := s.entries(t)[4]
			rec.Value = []byte(strings.Replace(string(rec.Value), `"by":"issuer"`, `"by":"local"`, 1))
			commit(t, s, store.Batch{Put: []store.Record{rec}})
		}, "changed"},
		{"an entry is given to another subject", func(t *testing.T, s *sealed) {
			rec := s.entries(t)[4]
			rec.Owner = "mallory"
			commit(t, s, store.Batch{Put: []store.Record{rec}})
		}, "changed"},
		{"an entry is taken out", func(t *testing.T, s *sealed) {
			commit(t, s, store.Batch{Delete: []store.Key{s.entries(t)[4].Key}})
		}, "missing"},
		{"an entry is put in", func(t *testing.T, s *sealed) {
			rec := s.entries(t)[4]
			rec.ID, rec.Rev = rec.ID+"z", 0
			commit(t, s, store.Batch{Put: []store.Record{rec}})
		}, "added"},
		{"an entry is put in that has no time", func(t *testing.T, s *sealed) {
			rec := s.entries(t)[4]
			rec.ID, rec.Rev = rec.ID[:10]+"z", 0
			commit(t, s, store.Batch{Put: []store.Record{rec}})
		}, "added"},
		{"an entry is replaced", func(t *testing.T, s *sealed) {
			rec := s.entries(t)[4]
			old := rec.Key
			rec.ID, rec.Rev = rec.ID+"z", 0
			commit(t, s, store.Batch{Delete: []store.Key{old}, Put: []store.Record{rec}})
		}, "changed"},
		{"a seal is taken out", func(t *testing.T, s *sealed) {
			commit(t, s, store.Batch{Delete: []store.Key{{Kind: "auditseal", ID: "0000000000000003"}}})
		}, "after the seal 2 comes the seal 4"},
		{"a seal of entries is taken out", func(t *testing.T, s *sealed) {
			commit(t, s, store.Batch{Delete: []store.Key{{Kind: "auditseal", ID: "0000000000000005"}}})
		}, "after the seal 4 comes the seal 6"},
		{"the last seal is taken out", func(t *testing.T, s *sealed) {
			commit(t, s, store.Batch{Delete: []store.Key{{Kind: "auditseal", ID: lastSeal(s)}}})
		}, "not in the chain"},
		{"what is younger than the first seals is not hidden with them", func(t *testing.T, s *sealed) {
			b := store.Batch{}
			for _, rec := range s.entries(t)[6:] {
				b.Delete = append(b.Delete, rec.Key)
			}
			for n := range 3 {
				b.Delete = append(b.Delete, store.Key{Kind: "auditseal", ID: fmt.Sprintf("%016x", n+1)})
			}
			commit(t, s, b)
		}, "the seals before 4 are missing"},
		{"the note of the last seal is taken out", func(t *testing.T, s *sealed) {
			commit(t, s, store.Batch{Delete: []store.Key{{Kind: "auditsealhead", ID: "last"}}})
		}, "which seal is the last"},
		{"all is made anew without an entry", func(t *testing.T, s *sealed) {
			b := store.Batch{Delete: []store.Key{s.entries(t)[4].Key, {Kind: "auditsealhead", ID: "last"}}}
			for rec := range s.db.List(t.Context(), "auditseal", "*", "") {
				b.Delete = append(b.Delete, rec.Key)
			}
			commit(t, s, b)
			s.pass(-10 * time.Minute)
			kept := s.anchors
			s.seal(t)
			for range 12 {
				s.pass(time.Minute)
				s.seal(t)
			}
			s.anchors = kept
		}, "another hash than its anchor"},
		{"all is taken away", func(t *testing.T, s *sealed) {
			b := store.Batch{Delete: []store.Key{{Kind: "auditsealhead", ID: "last"}}}
			for _, kind := range []store.Kind{"audit", "auditseal"} {
				for rec := range s.db.List(t.Context(), kind, "*", "") {
					b.Delete = append(b.Delete, rec.Key)
				}
			}
			commit(t, s, b)
		}, "seals are missing"},
		{"a seal cannot be read", func(t *testing.T, s *sealed) {
			key := store.Key{Kind: "auditseal", ID: "0000000000000003"}
			rec, err := store.One(t.Context(), s.db, key)
			if err != nil {
				t.Fatal(err)
			}
			rec.Value = []byte(`{"n":"3"}`)
			commit(t, s, store.Batch{Put: []store.Record{rec}})
		}, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSealed(t)
			c.do(t, s)
			v, err := s.Verify(t.Context(), s.anchors)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if len(v.Problems) > 0 || v.Entries != 15 || v.Anchors != len(s.anchors) || v.Seals != len(s.anchors) {
					t.Errorf("of an untouched trail: %+v, with %d anchors", v, len(s.anchors))
				}
			} else if !slices.ContainsFunc(v.Problems, func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("problems %q, want one with %q", v.Problems, c.want)
			}
			if strings.HasPrefix(c.want, "after the seal") && len(v.Problems) > 1 {
				t.Errorf("problems %q, want one: the entries beside the gap are as they were", v.Problems)
			}
		})
	}
}

func lastSeal(s *sealed) string {
	last := ""
	for rec := range s.db.List(context.Background(), "auditseal", "*", "") {
		last = rec.ID
	}
	return last
}

// Entries that expire are no problem, nor are anchors of seals that have expired.
func TestSealsOfExpired(t *testing.T) {
	s := newSealed(t)
	for range 5 {
		s.pass(24 * time.Hour * 30)
		s.seal(t)
		if _, err := s.db.Sweep(t.Context(), time.Now().Add(time.Duration(s.now.Load()))); err != nil {
			t.Fatal(err)
		}
		v, err := s.Verify(t.Context(), s.anchors[:8])
		if err != nil || len(v.Problems) > 0 {
			t.Errorf("after %v: %+v, %v", time.Duration(s.now.Load()), v, err)
		}
	}
}

// Who has entries kept longer than before, or shorter, is told of no problem.
func TestSealsOfAnotherKeep(t *testing.T) {
	db, begun, now := memory.New(), time.Now(), time.Duration(0)
	for _, keep := range []time.Duration{30 * time.Hour, 90 * time.Hour, 10 * time.Hour} {
		trail := newTrail(t, audit.Options{
			Store: db, Hook: func(audit.Entry) {}, Keep: keep, Anchor: func(audit.Seal) {},
			Now: func() time.Time { return begun.Add(now) },
		})
		for end := now + keep*9/10; now < end; {
			now += 30 * time.Minute
			if _, err := trail.Commit(t.Context(), db, store.Batch{}, audit.Act{}.Entry(audit.Login, "alice")); err != nil {
				t.Fatal(err)
			}
			if _, err := trail.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Sweep(t.Context(), begun.Add(now)); err != nil {
				t.Fatal(err)
			}
			if v, err := trail.Verify(t.Context(), nil); err != nil || len(v.Problems) > 0 {
				t.Fatalf("kept for %v, after %v: %q, %v", keep, now, v.Problems, err)
			}
		}
	}
}

// Of two nodes that seal at once, one does.
func TestTwoSealAtOnce(t *testing.T) {
	s := newSealed(t)
	s.pass(time.Minute)
	done := make(chan error, 8)
	for range cap(done) {
		go func() { _, err := s.Seal(context.Background()); done <- err }()
	}
	for range cap(done) {
		if err := <-done; err != nil && !errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
	}
	if v, err := s.Verify(t.Context(), nil); err != nil || len(v.Problems) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// Refusals are kept while there are few. Of many, an entry tells how many are not kept.
func TestRefusalsAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := newTrail(t, audit.Options{Store: memory.New(), Hook: func(audit.Entry) {}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); trail.Run(ctx) }()
		refuse := func(action audit.Action, times int) {
			for range times {
				e := audit.Act{By: audit.ByUnknown}.Entry(action, "")
				e.Outcome = audit.Refused
				trail.Tell(e)
			}
			time.Sleep(2 * time.Second)
		}
		refuse(audit.Login, 3)
		for range 2000 { // at one moment, and more than may wait: they hide no other action
			e := audit.Act{By: audit.ByUnknown}.Entry(audit.Deny, "")
			e.Outcome = audit.Refused
			trail.Tell(e)
		}
		refuse(audit.CrossSite, 300)
		trail.Tell(audit.Act{}.Entry(audit.Refresh, "alice")) // no refusal
		time.Sleep(2 * time.Minute)
		counts := map[audit.Action]int{}
		missing := map[audit.Action]string{}
		page, _, err := trail.List(t.Context(), audit.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			counts[e.Action]++
			if e.Detail != "" {
				missing[e.Action], _, _ = strings.Cut(e.Detail, " ")
			}
		}
		if counts[audit.Login] != 3 || counts[audit.Deny] != 21 || counts[audit.CrossSite] != 21 || counts[audit.Refresh] != 0 {
			t.Errorf("kept %v", counts)
		}
		if missing[audit.Deny] != "not_kept=1980" || missing[audit.CrossSite] != "not_kept=280" || len(missing) != 2 {
			t.Errorf("not kept: %v", missing)
		}
		cancel()
		<-done
	})
}

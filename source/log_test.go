package source_test

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

func at(seq uint64) counterfoil.Cursor { return counterfoil.Cursor{Epoch: 1, Seq: seq} }

// REV-10: the index does not depend on order, repetition or how entries are cut
// into pages, and agrees with asking every entry.
func TestRevocationsProperty(t *testing.T) {
	scopes := []source.Scope{
		source.ScopeSession, source.ScopeGrant, source.ScopeToken, source.ScopeSubject, source.ScopeOthers, source.ScopeOthers, source.ScopeClient,
		source.ScopeKey, source.ScopeClaims, source.ScopeAll, "unknown",
	}
	names := []string{"a", "b", "c", "d"}
	pick := func(r *rand.Rand) string { return names[r.IntN(len(names))] }
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var entries []source.Revocation
		for seq := range uint64(r.IntN(12)) {
			e := source.Revocation{At: at(2 * seq), Scope: scopes[r.IntN(len(scopes)-r.IntN(2))], ID: pick(r), Expires: time.Unix(r.Int64N(1000), 0)}
			switch e.Scope {
			case source.ScopeAll:
				e.ID = ""
			case source.ScopeGrant, source.ScopeOthers:
				e.ID += " " + pick(r)
			}
			entries = append(entries, e)
		}
		first, second := source.NewRevocations(), source.NewRevocations()
		first.Apply(entries)
		shuffled := append(append([]source.Revocation{}, entries...), entries...)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for len(shuffled) > 0 {
			n := 1 + r.IntN(len(shuffled))
			second.Apply(shuffled[:n])
			shuffled = shuffled[n:]
		}
		for range 30 {
			s := &counterfoil.Session{ID: pick(r), TokenID: pick(r), KeyID: pick(r), Subject: pick(r), Client: pick(r), Born: at(r.Uint64N(24))}
			want := false
			for _, e := range entries {
				want = want || e.Covers(s.Names())
			}
			one, ok1 := first.Covers(s.Names())
			two, ok2 := second.Covers(s.Names())
			if ok1 != want || ok2 != want || (one.Scope != "unknown" && !reflect.DeepEqual(one, two)) {
				t.Fatalf("seed %d: %+v: in order %v %v, shuffled %v %v, want %v", seed, s, ok1, one, ok2, two, want)
			}
		}
		if first.Len() != second.Len() {
			t.Fatalf("seed %d: %d and %d entries", seed, first.Len(), second.Len())
		}
		first.Drop(time.Unix(1001, 0))
		if first.Len() != 0 {
			t.Fatalf("seed %d: %d entries left", seed, first.Len())
		}
	}
}

// REV-13: an entry that comes twice lives until the later of its ends, whichever comes first: a
// wrong clock may have dated the other.
func TestLaterExpiryWins(t *testing.T) {
	for _, scope := range []source.Scope{source.ScopeSession, source.ScopeSubject, "from the future"} {
		for _, ends := range [][]int64{{1000, 2000}, {2000, 1000}} {
			index := source.NewRevocations()
			for _, end := range ends {
				index.Apply([]source.Revocation{{At: at(2), Scope: scope, ID: "x", Expires: time.Unix(end, 0)}})
			}
			if index.Drop(time.Unix(1500, 0)); index.Len() != 1 || index.Dropped() != 0 {
				t.Errorf("%s, until %v: %d entries are left at 1500, dropped before %d", scope, ends, index.Len(), index.Dropped())
			}
			if index.Drop(time.Unix(2001, 0)); index.Len() != 0 || index.Dropped() != time.Unix(2001, 0).UnixNano() {
				t.Errorf("%s, until %v: %d entries are left at 2001, dropped before %d", scope, ends, index.Len(), index.Dropped())
			}
		}
	}
}

// A clone has the same entries and goes its own way.
func TestClone(t *testing.T) {
	names := func(id string) source.Names { return source.Names{Session: id, Born: at(1)} }
	entry := func(seq uint64, scope source.Scope, id string) []source.Revocation {
		return []source.Revocation{{At: at(seq), Scope: scope, ID: id, Expires: time.Unix(1000*int64(seq), 0)}}
	}
	index := source.NewRevocations()
	index.Apply(entry(1, source.ScopeSession, "a"))
	index.Apply(entry(2, source.ScopeSession, "b"))
	index.Drop(time.Unix(1001, 0))
	clone := index.Clone()
	if _, ok := clone.Covers(names("b")); !ok || clone.Len() != 1 || clone.Dropped() != 0 || index.Dropped() == 0 {
		t.Errorf("a clone of %d entries has %d, dropped before %d", index.Len(), clone.Len(), clone.Dropped())
	}
	clone.Apply(entry(3, source.ScopeSession, "c"))
	clone.Apply(entry(4, "from the future", ""))
	index.Drop(time.Unix(2001, 0))
	_, own := clone.Covers(names("c"))
	_, kept := clone.Covers(names("b"))
	_, other := index.Covers(names("c"))
	if !own || !kept || other || clone.Len() != 3 || index.Len() != 0 {
		t.Errorf("after both changed: own %v, kept %v, the other's %v; %d and %d entries", own, kept, other, clone.Len(), index.Len())
	}
}

func TestGrantID(t *testing.T) {
	if sid, client, ok := token.CutGrantID(token.GrantID("ses_1", "app")); sid != "ses_1" || client != "app" || !ok {
		t.Errorf("cut into %q and %q", sid, client)
	}
	// An entry that names no client, or a session id with a space, covers nothing.
	for id, s := range map[string]*counterfoil.Session{
		"ses_1":     {ID: "ses_1"},
		"ses 1 app": {ID: "ses 1", Client: "app"},
	} {
		r := source.Revocation{At: at(2), Scope: source.ScopeGrant, ID: id}
		index := source.NewRevocations()
		index.Apply([]source.Revocation{r})
		if _, found := index.Covers(s.Names()); found || r.Covers(s.Names()) {
			t.Errorf("%q covers %+v", id, s)
		}
	}
}

// What an entry "all of this subject but this session" covers, and what it spares: the
// copies of the spared session of every client and carrier, and nobody else's.
func TestOthers(t *testing.T) {
	r := source.Revocation{At: at(5), Scope: source.ScopeOthers, ID: token.OthersID("alice", "ses_1")}
	for _, c := range []struct {
		copy    counterfoil.Session
		covered bool
	}{
		{counterfoil.Session{ID: "ses_2", Subject: "alice", Born: at(4)}, true},
		{counterfoil.Session{ID: "ses_2", Subject: "alice", Born: at(5)}, false},
		{counterfoil.Session{ID: "ses_2", Subject: "alice", Born: counterfoil.Cursor{Epoch: 2, Seq: 9}}, true},
		{counterfoil.Session{ID: "ses_1", Subject: "alice", Client: "app", Born: at(1)}, false},
		{counterfoil.Session{ID: "ses_1", Subject: "bob", Born: at(1)}, false},
		{counterfoil.Session{ID: "ses_2", Subject: "bob", Born: at(1)}, false},
	} {
		index := source.NewRevocations()
		index.Apply([]source.Revocation{r})
		if _, found := index.Covers(c.copy.Names()); found != c.covered || r.Covers(c.copy.Names()) != c.covered {
			t.Errorf("%+v: the index says %v, the entry %v, want %v", c.copy, found, r.Covers(c.copy.Names()), c.covered)
		}
	}
	// An entry that names no session means something that this program does not know.
	broken := source.Revocation{At: at(5), Scope: source.ScopeOthers, ID: "alice"}
	index := source.NewRevocations()
	index.Apply([]source.Revocation{broken})
	anybody := counterfoil.Session{ID: "ses_9", Subject: "carol", Born: at(9)}
	if _, found := index.Covers(anybody.Names()); !found || !broken.Covers(anybody.Names()) {
		t.Error("an entry that cannot be read covers nothing")
	}
}

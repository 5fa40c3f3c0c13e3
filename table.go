package counterfoil

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// entry is a copy that was found genuine. All but good never changes.
type entry struct {
	credential Credential
	session    *Session
	signed     bool  // proven by a key, not by a look-up
	deadline   int64 // when it must be looked at anew, in nanoseconds since 1970

	// good is the generation of knowledge under which the log was last found not
	// to cover the session. It is stored only after the log was asked, and only
	// with the generation that was read before asking, so whoever finds the
	// current one here need not ask again.
	good atomic.Uint64
}

// table remembers verified copies by transport and whole text: a hash finds the
// place, the text decides. Only what was verified gets in, so junk cannot fill
// it. A lock is held for one access to one map.
//
// Revocations do not touch it: an entry is asked about anew when there is news.
type table struct {
	seed   maphash.Seed
	shards []shard
	limit  int // entries of one shard
}

type shard struct {
	mu      sync.RWMutex // guards entries
	entries map[uint64]*entry
}

func newTable(size int) *table {
	n := 64
	for n > 1 && size/n < 16 {
		n /= 2
	}
	t := &table{seed: maphash.MakeSeed(), shards: make([]shard, n), limit: max(size/n, 1)}
	for i := range t.shards {
		t.shards[i].entries = make(map[uint64]*entry)
	}
	return t
}

func (t *table) place(c Credential) (*shard, uint64) {
	h := maphash.String(t.seed, c.Value) + uint64(c.Transport)
	return &t.shards[h%uint64(len(t.shards))], h
}

func (t *table) get(c Credential) *entry {
	s, h := t.place(c)
	s.mu.RLock()
	e := s.entries[h]
	s.mu.RUnlock()
	if e == nil || e.credential != c {
		return nil
	}
	return e
}

// put makes room by dropping, of a few entries, the one that dies first.
func (t *table) put(e *entry) {
	s, h := t.place(e.credential)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, replaces := s.entries[h]; !replaces && len(s.entries) >= t.limit {
		var victim uint64
		var dies int64
		n := 0
		for other, o := range s.entries {
			if n == 0 || o.deadline < dies {
				victim, dies = other, o.deadline
			}
			if n++; n == 8 {
				break
			}
		}
		delete(s.entries, victim)
	}
	s.entries[h] = e
}

func (t *table) drop(e *entry) {
	s, h := t.place(e.credential)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[h] == e {
		delete(s.entries, h)
	}
}

// forget drops the copy of c, whichever it is.
func (t *table) forget(c Credential) {
	s, h := t.place(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[h]; e != nil && e.credential == c {
		delete(s.entries, h)
	}
}

// sweep drops what has died from one shard; n counts up from call to call.
func (t *table) sweep(n int, now int64) {
	s := &t.shards[n%len(t.shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, e := range s.entries {
		if e.deadline <= now {
			delete(s.entries, h)
		}
	}
}

func (t *table) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}

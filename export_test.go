package counterfoil

import (
	"context"
	"slices"
	"time"
	"unsafe"

	"github.com/counterfoil/counterfoil/internal/revocation"
)

// NewVerifierWithBoot is NewVerifier with another clock that counts from the start
// of the machine.
func NewVerifierWithBoot(ctx context.Context, source Source, o Options, boot func() time.Duration) (*Verifier, error) {
	return newVerifier(ctx, source, o, boot)
}

// Meeting is where a check, the follower and the cache meet: at a copy that an entry
// of the log covers. Its methods return their steps, one by one.
type Meeting struct {
	notifier *notifier
	revoked  *revocation.Index
	known    *knowledge
	found    *found // as the cache shows it
	covers   revocation.Revocation
}

// NewMeeting returns one at which scope covers the copy.
func NewMeeting(scope revocation.Scope) *Meeting {
	m := &Meeting{notifier: newNotifier(), revoked: revocation.NewIndex()}
	m.found = m.another()
	m.covers = revocation.Revocation{At: Cursor{Epoch: 1, Seq: 2}, Scope: scope, ID: "id"}
	if scope == revocation.ScopeGrant {
		m.covers.ID = "id id"
	}
	if scope == revocation.ScopeOthers {
		m.covers.ID = "id another"
	}
	m.known = &knowledge{epoch: 1, applied: Cursor{Epoch: 1, Seq: 1}, revoked: m.revoked, gen: m.notifier.stamp()}
	return m
}

// Check looks for the copy and checks it, without its time. Its steps are C1 to C4 of
// notifier, after the look-up. The verdict says whether the copy was found, and whether the
// entry of the log was known when the check began.
func (m *Meeting) Check(v *Verdict) []func() {
	steps := m.CheckAndWake(v)
	return slices.Delete(steps, 3, 5)
}

// CheckAndWake is Check of a copy that may be asleep.
func (m *Meeting) CheckAndWake(v *Verdict) []func() {
	var k *knowledge
	var e *found
	var gen uint64
	listed := false
	asks := func() bool { return e != nil && gen != k.gen }
	return []func(){
		func() { e = m.found },
		func() { k = m.known },
		func() {
			v.Found, v.Knew = e != nil, k.applied == m.covers.At
			if e != nil {
				gen = e.checkedGen()
			}
		},
		func() {
			if asks() && gen == asleep {
				listed = e.is(isListed) || m.notifier.list(e.slab, e.at)
			}
		},
		func() {
			if asks() && gen == asleep {
				m.notifier.wake(e.entry, listed)
				gen = e.checkedGen()
			}
		},
		func() {
			if asks() {
				names, _ := e.names()
				v.Refused = k.judge(names) != nil
			}
		},
		func() {
			if asks() && v.Refused {
				e.checked(k, gen, ErrRevoked)
			} else if asks() {
				e.checked(k, gen, nil)
			}
		},
	}
}

// Verdict is what Check found.
type Verdict struct{ Found, Knew, Refused bool }

func (m *Meeting) subscribe(e *found) {
	m.notifier.subscribe(e.slab, e.at)
}

// Put makes the copy be found, as seenCache.put does.
func (m *Meeting) Put() []func() {
	e := m.found
	m.found = nil
	return []func(){func() { m.subscribe(e) }, func() { m.found = e }}
}

// PutAsleep makes the copy be found, which is not subscribed.
func (m *Meeting) PutAsleep() []func() {
	e := m.found
	m.found = nil
	return []func(){func() { m.found = e }}
}

// Remove makes it not be found any more, as seenCache.removed does.
func (m *Meeting) Remove() []func() {
	e := m.found
	return []func(){func() { m.found = nil }, func() {
		m.notifier.unsubscribe(e.slab, e.at)
	}}
}

// another makes an entry of the copy, which is not subscribed.
func (m *Meeting) another() *found {
	s := &Session{ID: "id", Subject: "id", TokenID: "id", Client: "id", Born: Cursor{Epoch: 1, Seq: 1}}
	n := newEntry{packed: pack(nil, s, 0, 0), shared: s}
	b := newSlab(linesOf(len(n.packed)))
	m.notifier.arena.take(b)
	f := &found{entry: &b.lines[0], slab: b, at: b.add(&n)}
	b.publish(0)
	return f
}

// Move makes another entry of the copy be found, as shard.moveSparse does.
func (m *Meeting) Move() []func() {
	from, to := m.found, m.another()
	var refused bool
	return []func(){
		func() { refused = from.checkedGen() == detached },
		func() {
			if m.subscribe(to); refused {
				to.setCheckedGen(detached)
			}
		},
		func() {
			from.setCheckedGen(detached)
			m.found = to
		},
		func() { m.notifier.unsubscribe(from.slab, from.at) },
	}
}

// Follow applies the entry, as follower.apply does: F1 to F3 of notifier.
func (m *Meeting) Follow() []func() {
	next := *m.known
	next.applied = m.covers.At
	return []func(){
		func() { m.revoked.Apply([]revocation.Revocation{m.covers}) },
		func() {
			if !m.notifier.notify(m.covers) {
				next.gen = m.notifier.stamp()
			}
		},
		func() { m.known = &next },
	}
}

// Pages asks a source that answers with one page after the other.
func Pages(ctx context.Context, s Source, f revocation.Follow, apply func(revocation.Page) error) error {
	return s.(pager).Pages(ctx, f, apply)
}

// Remember puts texts into a new cache, and returns which of them it has then, by a look
// at each.
func Remember(texts []string) (kept []string) {
	t := newSeenCache(len(texts), 1<<20, newNotifier())
	for _, text := range texts {
		t.put(&newCopy{credential: credential{text, Header}, session: &Session{ID: text}})
	}
	for _, text := range texts {
		if e := new(found); t.get(credential{text, Header}, e) && e.Session().ID == text {
			kept = append(kept, text)
		}
	}
	return kept
}

// Over returns how many of n epochs a follower remembers as over.
func Over(n int) int {
	f := new(follower)
	f.known.Store(&knowledge{epoch: 1})
	for epoch := range uint64(n) {
		f.setOver(epoch + 2)
	}
	return len(f.over)
}

// Remembering remembers one text, as a hot copy or another, and returns whether a text is found then,
// and what forgets one.
func Remembering(text string, hot bool) (_ func(text string, by Transport) bool, forget func(text string)) {
	c := newSeenCache(100, 1<<20, newNotifier())
	c.put(&newCopy{credential: credential{text, Header}, session: &Session{ID: "id"}})
	if f := new(found); hot && c.get(credential{text, Header}, f) {
		f.session = f.Session()
		c.hot.put(c.hash(credential{text, Header}), credential{text, Header}, *f)
	}
	return func(text string, by Transport) bool { return c.get(credential{text, by}, new(found)) },
		func(text string) { c.forget(credential{text, Header}) }
}

// Tags returns what makes tags under a new key; approved: within FIPS 140.
func Tags(approved bool) func(text string, by Transport) [2]uint64 {
	t := newTagger()
	if approved {
		t.aead = nil
	}
	return func(text string, by Transport) [2]uint64 { return t.of(credential{text, by}) }
}

// Packed returns s as it is after it was remembered.
func Packed(s *Session) *Session {
	n := newEntry{packed: pack(nil, s, 1, 2), shared: new(sharedParts).of(s)}
	b := newSlab(linesOf(len(n.packed)))
	f := found{entry: &b.lines[0], slab: b, at: b.add(&n)}
	return f.Session()
}

// Place returns where a verifier has the copy of a text; nil: nowhere.
func Place(v *Verifier, text string) any {
	f := new(found)
	if !v.seen.get(inHeader(text), f) {
		return nil
	}
	return f.entry
}

// LineOf returns where in a line of a processor's cache, of 64 bytes, the entries of a slab of so many lines
// begin, and how many bytes each line of the slab takes.
func LineOf(lines int) (begin, size uintptr) {
	b := newSlab(lines)
	return uintptr(unsafe.Pointer(&b.lines[0])) % 64, unsafe.Sizeof(b.lines[0])
}

// NoneHot has a verifier make no copy a hot one from now on.
func NoneHot(v *Verifier) { v.seen.hot.room = 0 }

// Hot returns how many hot copies a verifier has.
func Hot(v *Verifier) int { return int(v.seen.hot.table.Load().count.Load()) }

// Slabs returns how many slabs a verifier has.
func Slabs(v *Verifier) (n int) {
	slabs := v.seen.arena.slabs.Load()
	for i := range *slabs {
		if (*slabs)[i].Load() != nil {
			n++
		}
	}
	return n
}

// Heated makes texts hot copies, one after the other, in a cache of so many bytes. It returns what they
// take then, and what they may.
func Heated(room int64, texts []string) (taken, most int64) {
	c := newSeenCache(len(texts), room, newNotifier())
	for _, text := range texts {
		of := credential{text, Header}
		c.hot.put(c.hash(of), of, c.put(&newCopy{credential: of, session: &Session{ID: "id"}}))
	}
	return c.hot.table.Load().bytes.Load(), c.hot.bytes
}

// AfterLookup has f called each time the cache has taken an answer of a look-up, before a check has it.
func AfterLookup(v *Verifier, f func()) {
	begin := v.lookups.begin
	v.lookups.begin = func() settle {
		settle := begin()
		return func(c credential, s *Session, err error) {
			settle(c, s, err)
			f()
		}
	}
}

// Index has the log of a verifier cover what r does, before any copy is notified: F1 of notifier.
func Index(v *Verifier, r revocation.Revocation) {
	v.follower.known.Load().revoked.Apply([]revocation.Revocation{r})
}

// Filled is a cache of so many bytes in one shard.
type Filled struct{ cache *seenCache }

func NewFilled(room int64) Filled {
	c := newSeenCache(100_000, room, newNotifier())
	c.shards = c.shards[:1]
	return Filled{c}
}

// Put remembers s as the session of a text.
func (f Filled) Put(text string, s *Session) {
	f.cache.put(&newCopy{credential: credential{text, Header}, session: s})
}

// Use looks for a text, as a check does, and returns what makes the session; nil: it is not there.
func (f Filled) Use(text string) func() *Session {
	if e := new(found); f.cache.get(credential{text, Header}, e) {
		return e.Session
	}
	return nil
}

// Forget drops a text. What it returns puts the slot back that led to it, as a check sees it that read
// the slot before.
func (f Filled) Forget(text string) (late func()) {
	s, of := &f.cache.shards[0], credential{text, Header}
	hash := uint32(f.cache.hash(of))
	_, id := s.find(*s.slots.Load(), hash, func(*entry) bool { return true })
	f.cache.forget(of)
	return func() {
		slots := *s.slots.Load()
		at, _ := s.find(slots, hash, never)
		slots[at].Store(slotOf(hash, id))
	}
}

// Bytes returns what the entries are said to take, what they may, and what is reachable from their slabs.
func (f Filled) Bytes() (said, most, reachable int64) {
	shared := make(map[*Session]bool)
	slabs := *f.cache.arena.slabs.Load()
	for i := range slabs {
		if b := slabs[i].Load(); b != nil {
			reachable += int64(8 * lineWords * len(b.lines))
			for _, s := range *b.shared.Load() {
				shared[s] = true
			}
		}
	}
	for s := range shared {
		reachable += int64(sharedCost(s))
	}
	return f.cache.bytes.Load(), f.cache.maxBytes, reachable
}

// Empty forgets everything.
func (f Filled) Empty() {
	for f.cache.makeRoom(0) {
	}
}

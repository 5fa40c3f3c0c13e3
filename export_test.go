package counterfoil

import (
	"context"
	"time"

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
	found    *entry // as the cache shows it
	covers   revocation.Revocation
}

// NewMeeting returns one at which scope covers the copy.
func NewMeeting(scope revocation.Scope) *Meeting {
	m := &Meeting{notifier: newNotifier(), revoked: revocation.NewIndex()}
	s := &Session{ID: "id", Subject: "id", TokenID: "id", Client: "id", Born: Cursor{Epoch: 1, Seq: 1}}
	m.found = &entry{session: s}
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
	var k *knowledge
	var e *entry
	var gen uint64
	asks := func() bool { return e != nil && gen != k.gen }
	return []func(){
		func() { e = m.found },
		func() { k = m.known },
		func() {
			v.Found, v.Knew = e != nil, k.applied == m.covers.At
			if e != nil {
				gen = e.checkedGen.Load()
			}
		},
		func() {
			if asks() {
				v.Refused = k.judge(e.session) != nil
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

// Put makes the copy be found, as seenCache.put does.
func (m *Meeting) Put() []func() {
	e := m.found
	m.found = nil
	return []func(){func() { m.notifier.subscribe(e) }, func() { m.found = e }}
}

// Remove makes it not be found any more, as seenCache.removed does.
func (m *Meeting) Remove() []func() {
	e := m.found
	return []func(){func() { m.found = nil }, func() { m.notifier.unsubscribe(e) }}
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
	t := newSeenCache(len(texts), newNotifier())
	for _, text := range texts {
		t.put(&entry{credential: credential{text, Header}, session: &Session{ID: text}})
	}
	for _, text := range texts {
		if e := t.get(credential{text, Header}); e != nil && e.session.ID == text {
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

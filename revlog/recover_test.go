package revlog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// REV-09: whatever shows first that the store has lost entries ends everything, once, in
// the commit that begins another epoch.
func TestLossIsFoundOut(t *testing.T) {
	beyond := func(c counterfoil.Cursor) counterfoil.Cursor { c.Seq++; return c }
	for name, show := range map[string]func(l *side, s *storetest.FaultyStore, head counterfoil.Cursor) error{
		"an earlier process saw more": func(l *side, _ *storetest.FaultyStore, head counterfoil.Cursor) error {
			return l.Remember(t.Context(), beyond(head))
		},
		"the store says so of its log": func(l *side, s *storetest.FaultyStore, _ counterfoil.Cursor) error {
			s.Inject(storetest.Fault{Op: storetest.OpLog, Times: 1, Err: store.ErrLost})
			_, err := l.Head(t.Context())
			return err
		},
		"the store says so of a commit": func(l *side, s *storetest.FaultyStore, _ counterfoil.Cursor) error {
			s.Inject(storetest.Fault{Op: storetest.OpCommit, Times: 1, Err: store.ErrLost})
			_, err := l.Commit(t.Context(), store.Batch{})
			return err
		},
		"a copy is younger than the log": func(l *side, _ *storetest.FaultyStore, head counterfoil.Cursor) error {
			if err := l.Covered(t.Context(), &counterfoil.Session{Born: beyond(head)}, true); !errors.Is(err, counterfoil.ErrInvalidToken) {
				return err
			}
			return nil
		},
	} {
		s := storetest.Faulty(memory.New())
		l := open(t, s)
		head := l.revoke(t)
		if err := show(l, s, head); err != nil || l.ended != 1 {
			t.Errorf("%s: %v, and everything was ended %d times, want once", name, err, l.ended)
		}
		now, err := l.Head(t.Context())
		if err != nil || now.Epoch == head.Epoch || l.ended != 1 {
			t.Errorf("%s: the head went from %v to %v, %v", name, head, now, err)
		}
		if err := l.Covered(t.Context(), &counterfoil.Session{Born: head}, true); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: a copy of the old log = %v, want ErrInvalidToken", name, err)
		}
	}
}

// What an earlier process saw, and is still there, ends nothing.
func TestRememberWhatIsThere(t *testing.T) {
	l := open(t, memory.New())
	seen := l.revoke(t)
	l.revoke(t)
	if err := l.Remember(t.Context(), seen); err != nil || l.ended != 0 {
		t.Errorf("Remember = %v, and everything was ended %d times", err, l.ended)
	}
}

// Find tells where the latest entry of a name stands, and when it was committed.
func TestFind(t *testing.T) {
	l := open(t, memory.New())
	l.revoke(t)
	at := l.revoke(t)
	if _, err := l.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, ok := l.Find(source.ScopeToken, "tok_1")
	if !ok || e.At != at || time.Since(revlog.CommittedAt(e)).Abs() > time.Minute {
		t.Errorf("Find = %+v, %v, want the entry at %v", e, ok, at)
	}
	for _, other := range []struct {
		scope source.Scope
		id    string
	}{{source.ScopeToken, "tok_2"}, {source.ScopeSession, "tok_1"}} {
		if e, ok := l.Find(other.scope, other.id); ok {
			t.Errorf("Find of what was never revoked = %+v", e)
		}
	}
}

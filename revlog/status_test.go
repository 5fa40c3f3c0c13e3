package revlog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// REV-20: the feed tells which verifiers follow and how far each has come.
func TestStatus(t *testing.T) {
	db := memory.New()
	l := open(t, db)
	page, err := l.feed.Page(t.Context(), source.Follow{Verifier: "verifier-1", Bound: 5 * time.Second, ServeStale: true})
	if err != nil {
		t.Fatal(err)
	}
	at := l.revoke(t)
	s, err := l.feed.Status(t.Context())
	if err != nil || s.Head != at || s.Entries != 1 || len(s.Followers) != 1 {
		t.Fatalf("Status = %+v, %v; want one entry, head %v, one follower", s, err, at)
	}
	if f := s.Followers[0]; f.ID != "verifier-1" || f.Acked != (counterfoil.Cursor{}) || !f.ServeStale || !f.Until.After(time.Now().Add(4*time.Second)) {
		t.Errorf("follower = %+v", f)
	}
	if _, err := l.feed.Page(t.Context(), source.Follow{After: page.Head, Verifier: "verifier-1", Bound: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if s, err = l.feed.Status(t.Context()); err != nil || s.Followers[0].Acked != page.Head {
		t.Errorf("after its next question the follower has applied %v, want %v (%v)", s.Followers[0].Acked, page.Head, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.feed.Status(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) {
		t.Errorf("Status without the store = %v, want %v", err, counterfoil.ErrUnavailable)
	}
}

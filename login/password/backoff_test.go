package password

import (
	"strconv"
	"testing"
	"time"
)

// LOGIN-09: five fast failures, then longer and longer, up to a quarter of an
// hour and never more.
func TestBackoff(t *testing.T) {
	b, now := newBackoff(10), time.Unix(1e9, 0)
	want := []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900}
	for n, w := range want {
		if got := b.take("a", now); got != 0 {
			t.Fatalf("attempt %d must wait %v", n+1, got)
		}
		if w > 0 {
			if got := b.take("a", now); got != w*time.Second {
				t.Errorf("after %d failures the wait is %v, want %v", n+1, got, w*time.Second)
			}
		}
		now = now.Add(w * time.Second)
	}
	for range 1000 {
		if got := b.take("a", now); got > maxDelay {
			t.Fatalf("the wait is %v", got)
		}
		now = now.Add(maxDelay)
	}
	b.succeeded("a")
	if got := b.take("a", now); got != 0 {
		t.Errorf("after a success the wait is %v", got)
	}
	if b.back("a"); len(b.by) != 0 {
		t.Errorf("an attempt that was not checked left %v", b.by)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	b, now := newBackoff(100), time.Unix(1e9, 0)
	for range 5 {
		b.take("victim", now)
	}
	for n := range 10_000 {
		b.take(strconv.Itoa(n), now)
	}
	if len(b.by) > 100 {
		t.Errorf("%d accounts remembered, want at most 100", len(b.by))
	}
	if b.take("victim", now) == 0 {
		t.Error("a flood of names washed out the account under attack")
	}
}

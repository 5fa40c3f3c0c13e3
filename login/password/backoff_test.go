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
		b.failed("a", now)
		if got := b.wait("a", now); got != w*time.Second {
			t.Errorf("after %d failures the wait is %v, want %v", n+1, got, w*time.Second)
		}
	}
	for range 1000 {
		b.failed("a", now)
	}
	if got := b.wait("a", now); got != maxDelay {
		t.Errorf("after a thousand failures the wait is %v", got)
	}
	if got := b.wait("a", now.Add(maxDelay)); got != 0 {
		t.Errorf("a quarter of an hour later the wait is %v", got)
	}
	b.succeeded("a")
	if got := b.wait("a", now); got != 0 {
		t.Errorf("after a success the wait is %v", got)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	b, now := newBackoff(100), time.Unix(1e9, 0)
	for range 20 {
		b.failed("victim", now)
	}
	for n := range 10_000 {
		b.failed(strconv.Itoa(n), now)
	}
	if len(b.by) > 100 {
		t.Errorf("%d accounts remembered, want at most 100", len(b.by))
	}
	if b.wait("victim", now) == 0 {
		t.Error("a flood of names washed out the account under attack")
	}
}

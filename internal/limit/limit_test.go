package limit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/limit"
)

func TestAllow(t *testing.T) {
	l := limit.New(2, time.Second, 10)
	now := time.Unix(1000, 0)
	for n, want := range []bool{true, true, false} {
		if ok, retry := l.Allow("a", now); ok != want || (!ok && retry != time.Second) {
			t.Errorf("attempt %d: %v, %v, want %v", n, ok, retry, want)
		}
	}
	if ok, _ := l.Allow("b", now); !ok {
		t.Error("another key is limited too")
	}
	if ok, _ := l.Allow("a", now.Add(time.Second)); !ok {
		t.Error("still limited after the wait")
	}
}

// A flood of keys neither makes the limiter grow nor locks a new key out.
func TestFloodOfKeys(t *testing.T) {
	l := limit.New(1, time.Second, 3)
	now := time.Unix(1000, 0)
	for n := range 1000 {
		if ok, _ := l.Allow(strconv.Itoa(n), now); !ok {
			t.Fatalf("key %d is limited by the others", n)
		}
	}
	if ok, _ := l.Allow("999", now); ok {
		t.Error("the limiter has forgotten the latest key")
	}
}

// A slow clock does not change the debt of a bucket. If a clock was far ahead, nobody waits
// until other clocks have reached its time.
func TestSkew(t *testing.T) {
	r := limit.Rate{Burst: 2, Interval: time.Second}
	now := time.Unix(1000, 0)
	b, _ := r.Take(limit.Bucket{}, now.Add(30*time.Second))
	b, wait := r.Take(b, now)
	if wait != 0 || !b.At.Equal(now.Add(30*time.Second)) {
		t.Errorf("Take with a slow clock = %v, wait %v", b, wait)
	}
	if _, wait = r.Take(b, now); wait != time.Second {
		t.Errorf("Take with a slow clock beyond the burst: wait %v, want a second", wait)
	}
	if _, wait = r.Take(b, now.Add(31*time.Second)); wait != 0 {
		t.Errorf("Take after an interval of the other clock: wait %v", wait)
	}
	b.At = now.Add(time.Hour)
	if b, _ = r.Take(r.Back(b), now); !b.At.Equal(now) {
		t.Errorf("Take keeps the time of a clock that is an hour ahead: %v", b)
	}
}

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

// A flood of keys neither grows the limiter nor locks a newcomer out.
func TestFloodOfKeys(t *testing.T) {
	l := limit.New(1, time.Second, 3)
	now := time.Unix(1000, 0)
	for n := range 1000 {
		if ok, _ := l.Allow(strconv.Itoa(n), now); !ok {
			t.Fatalf("key %d is limited by the others", n)
		}
	}
	if ok, _ := l.Allow("999", now); ok {
		t.Error("the latest key is not remembered")
	}
}

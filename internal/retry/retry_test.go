package retry_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/retry"
)

func TestPauses(t *testing.T) {
	for n, want := range map[int][2]time.Duration{
		0: {time.Second, time.Second}, 1: {time.Second, time.Second}, 2: {2 * time.Second, 2 * time.Second}, 6: {32 * time.Second, 32 * time.Second}, 7: {64 * time.Second, time.Minute},
		12: {2048 * time.Second, time.Minute}, 13: {time.Hour, time.Minute}, 19: {time.Hour, time.Minute}, 20: {time.Hour, time.Minute}, 1 << 40: {time.Hour, time.Minute},
	} {
		for range 100 {
			for i, got := range []time.Duration{retry.Pause(n), retry.Rest(n)} {
				if got > want[i] || got < want[i]*3/4 {
					t.Fatalf("%d: %s, want up to %s, and three quarters of that at least", n, got, want[i])
				}
			}
		}
	}
}

func TestFailure(t *testing.T) {
	f := &retry.Failure{Reason: "451 later"}
	if f.Error() != "451 later" || f.Unwrap() != nil {
		t.Error(f)
	}
	f.Err = io.EOF
	if f.Error() != "451 later: EOF" || !errors.Is(f, io.EOF) {
		t.Error(f)
	}
}

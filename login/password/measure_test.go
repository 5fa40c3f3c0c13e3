package password_test

import (
	"runtime/debug"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store/memory"
)

// LOGIN-09: the limit follows from what one hash costs and how many are computed at a time.
func TestMeasure(t *testing.T) {
	for _, slots := range []int{1, 8} {
		n, one := password.Measure(password.Options{Slots: slots, InsecureHashes: true})
		if one <= 0 || n < 1 || n != int(time.Duration(slots)*time.Second/one) {
			t.Errorf("%d slots, %v a hash: %d a second", slots, one, n)
		}
	}
}

// What measures holds no memory of a hash afterwards. Passwords are made without hashing.
func TestMeasureReturnsMemory(t *testing.T) {
	const block = 64 << 20
	debug.FreeOSMemory()
	before := held()
	if n, one := password.Measure(password.Options{Slots: 2}); n < 1 || one <= 0 {
		t.Errorf("Measure = %d, %v", n, one)
	}
	if _, err := password.New(password.Options{Users: new(directory.Directory), Throttle: newThrottle(t, memory.New(), nil)}); err != nil {
		t.Fatal(err)
	}
	if grown := held() - before; grown > block/2 {
		t.Errorf("the process holds %d bytes more than before, want less than a block of %d", grown, block)
	}
}

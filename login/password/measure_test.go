package password_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/login/password"
)

// LOGIN-09: the limit follows from what one hash costs and how many are computed at a time.
func TestMeasure(t *testing.T) {
	for _, slots := range []int{1, 8} {
		n, one, err := password.Measure(password.Options{Slots: slots, InsecureHashes: true})
		if err != nil || one <= 0 || n < 1 || n != int(time.Duration(slots)*time.Second/one) {
			t.Errorf("%d slots, %v a hash: %d a second, %v", slots, one, n, err)
		}
	}
}

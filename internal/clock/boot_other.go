//go:build !linux

package clock

import "time"

// Boot is nil: no such clock in the standard library. The wall clock shows a
// suspended machine, unless it was set back.
var Boot func() time.Duration

//go:build !linux

package counterfoil

import "time"

// bootTime is nil: no such clock in the standard library. The wall clock shows a
// suspended machine, unless it was set back.
var bootTime func() time.Duration

//go:build !linux

package compare

import "time"

// These are not known on this system: rows that need them say so.
func resident() uint64         { return 0 }
func describeMachine(*Machine) {}

func sleep(d time.Duration) { time.Sleep(d) }

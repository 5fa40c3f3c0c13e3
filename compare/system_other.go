//go:build !linux

package compare

import "time"

// describeMachine leaves out what is not known on this system.
func describeMachine(*Machine) {}

func sleep(d time.Duration) { time.Sleep(d) }

package counterfoil

import "time"

// SetBoot replaces the clock that counts from the start of the machine.
func (v *Verifier) SetBoot(boot func() time.Duration) {
	v.clock.boot = boot
	v.clock.bootRead.Store(-int64(bootEvery))
}

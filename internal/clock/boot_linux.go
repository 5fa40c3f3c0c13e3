package clock

import (
	"syscall"
	"time"
	"unsafe"
)

const clockBoottime = 7 // CLOCK_BOOTTIME, clock_gettime(2)

// Boot counts while the machine is suspended, and cannot be set. A process whose time is
// simulated sets Boot to nil before it makes a [Clock].
var Boot = boot

func boot() time.Duration {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0 // the other clocks decide
	}
	return time.Duration(ts.Nano())
}

package main

import (
	"syscall"
	"unsafe"
)

// beIdle gives a thread the policy SCHED_IDLE (sched(7)).
func beIdle(id int) error {
	const schedIdle = 5
	var param struct{ priority int32 }
	if _, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), schedIdle, uintptr(unsafe.Pointer(&param))); errno != 0 {
		return errno
	}
	return nil
}

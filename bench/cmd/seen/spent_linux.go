package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// spentByProcess is how much time of processors this process has had.
func spentByProcess() time.Duration { return spent(unix.CLOCK_PROCESS_CPUTIME_ID) }

// spentByThread is that of the calling thread.
func spentByThread() time.Duration { return spent(unix.CLOCK_THREAD_CPUTIME_ID) }

func spent(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic(err) // these two are never refused
	}
	return time.Duration(t.Nano())
}

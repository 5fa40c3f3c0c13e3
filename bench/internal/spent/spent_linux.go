// Package spent tells how much time processors have worked for this process. On a machine that others use it is more
// reliable than the time that passes. Begin with [ByProcess].
package spent

import (
	"time"

	"golang.org/x/sys/unix"
)

// ByProcess is how much time of processors this process has had, with what the collector of garbage took.
func ByProcess() time.Duration { return spent(unix.CLOCK_PROCESS_CPUTIME_ID) }

// ByThread is that of the calling thread.
func ByThread() time.Duration { return spent(unix.CLOCK_THREAD_CPUTIME_ID) }

func spent(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic(err) // these two are never refused
	}
	return time.Duration(t.Nano())
}

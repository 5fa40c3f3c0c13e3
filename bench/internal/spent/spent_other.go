//go:build !linux

// Package spent tells how much time processors have worked for this process. On a machine that others use it is more
// reliable than the time that passes. Begin with [ByProcess].
package spent

import "time"

var start = time.Now()

// ByProcess is the time that passes, where no clock of processors is at hand: nothing else should run.
func ByProcess() time.Duration { return time.Since(start) }

// ByThread is the same.
func ByThread() time.Duration { return time.Since(start) }

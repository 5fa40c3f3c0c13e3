package main

import (
	"os"
	"runtime"
)

// headroom is how many bytes of garbage a gateway may make, beyond what it keeps, before they are
// collected. What it keeps is small, and Go collects when the garbage is as large: many times a
// second, which costs some 4 % of the processor time of an answer.
const headroom = 32 << 20

// reserve makes the collector count headroom bytes as kept until release is called. They are never
// touched, so they take no memory. A program with many sessions in memory collects seldom anyway,
// and gets no more headroom than this, as it would from GOGC. Who sets GOGC or GOMEMLIMIT decides.
func reserve() (release func()) {
	var reserved []byte
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		reserved = make([]byte, headroom)
	}
	return func() { runtime.KeepAlive(reserved) }
}

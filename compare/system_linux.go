package compare

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func procField(path, name string) uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(name))
	fields := strings.Fields(string(rest))
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(fields[0], 10, 64)
	return n
}

// sleep waits with the precision of the system: the timers of Go's runtime are late by up to a
// millisecond while nothing else runs.
func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&t, nil)
}

func describeMachine(m *Machine) {
	m.MemoryBytes = int64(1024 * procField("/proc/meminfo", "MemTotal:"))
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "model name")
		_, rest, _ = strings.Cut(rest, ":")
		name, _, _ := strings.Cut(rest, "\n")
		m.CPU = strings.TrimSpace(name)
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
}

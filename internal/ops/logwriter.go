package ops

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// LogWriter passes lines on to a writer that may block or fail, such as a pipe whose reader
// has stopped. Write never waits for that writer: lines wait in memory, up to a bound, and
// those beyond it are dropped and counted. When lines are written again, a line tells how many
// are missing. Begin with [NewLogWriter].
type LogWriter struct {
	to      io.Writer
	missing func(dropped uint64) []byte // the line that tells of them
	dropped atomic.Uint64               // since the start

	mu      sync.Mutex   // guards the fields below; never held while a line is written
	waiting bytes.Buffer // whole lines
	lost    uint64       // dropped since the last line that was written
	closed  bool

	more chan struct{} // holds one token while there may be lines
	done chan struct{} // closed when the goroutine has ended
}

// logRoom is how many bytes of lines wait at most: some thousand lines.
const logRoom = 1 << 20

// NewLogWriter returns a writer to to. missing makes the line about dropped lines.
func NewLogWriter(to io.Writer, missing func(dropped uint64) []byte) *LogWriter {
	w := &LogWriter{to: to, missing: missing, more: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes one line, or several. It never fails: a line that there is no room for is
// dropped. p must be whole lines.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.closed || w.waiting.Len()+len(p) > logRoom {
		w.drop(uint64(bytes.Count(p, []byte("\n"))))
	} else {
		w.waiting.Write(p)
	}
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// drop counts lines that are lost. The caller holds w.mu.
func (w *LogWriter) drop(lines uint64) {
	w.lost += lines
	w.dropped.Add(lines)
}

// Dropped is how many lines were dropped since the start.
func (w *LogWriter) Dropped() uint64 { return w.dropped.Load() }

// run writes what waits, in the order in which it came.
func (w *LogWriter) run() {
	defer close(w.done)
	var lines []byte
	for range w.more {
		w.mu.Lock()
		lines = append(lines[:0], w.waiting.Bytes()...)
		w.waiting.Reset()
		lost := w.lost
		w.lost = 0
		closed := w.closed
		w.mu.Unlock()
		if lost > 0 {
			// The lost ones came after those that wait.
			lines = append(lines, w.missing(lost)...)
		}
		if len(lines) > 0 {
			if _, err := w.to.Write(lines); err != nil {
				w.mu.Lock()
				n := uint64(bytes.Count(lines, []byte("\n")))
				if lost > 0 {
					n-- // the line about them was no line of the log
				}
				w.drop(n)
				w.lost += lost // they are counted already, and still to be told
				w.mu.Unlock()
			}
		}
		if closed {
			return
		}
	}
}

// closeWait is how long Close waits for the writer.
const closeWait = 2 * time.Second

// Close writes what waits. If that takes longer than closeWait, the rest is lost, and Close
// says so.
func (w *LogWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-w.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("log: lines were not taken within %v", closeWait)
	}
}

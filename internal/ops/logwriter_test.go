package ops

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// gate is a writer that takes nothing while it is shut, and fails while it is broken.
type gate struct {
	mu     sync.Mutex
	open   chan struct{}
	broken bool
	text   bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken {
		return 0, errors.New("broken pipe")
	}
	return g.text.Write(p)
}

func missing(n uint64) []byte { return fmt.Appendf(nil, "missing %d\n", n) }

// Lines beyond the room are dropped, counted and told; those before them are written in order.
func TestLogWriterDropsWhatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		w := NewLogWriter(g, missing)
		line := strings.Repeat("x", 1<<10-1) + "\n"
		fmt.Fprint(w, "first\n")
		synctest.Wait() // it is being written
		for range logRoom/len(line) + 7 {
			fmt.Fprint(w, line)
		}
		if w.Dropped() != 7 {
			t.Errorf("dropped %d lines, want 7", w.Dropped())
		}
		close(g.open)
		synctest.Wait()
		if got := g.text.String(); !strings.HasPrefix(got, "first\nxxx") || !strings.HasSuffix(got, "x\nmissing 7\n") || strings.Count(got, "\n") != 1+logRoom/len(line)+1 {
			t.Errorf("%d lines were written, the last is %q", strings.Count(got, "\n"), got[max(0, len(got)-20):])
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, "late\n")
		if w.Dropped() != 8 {
			t.Error("a line after Close is not counted as dropped")
		}
	})
}

// A writer that fails drops lines, and hears of all of them when it works again.
func TestLogWriterOutlivesItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{}), broken: true}
		close(g.open)
		w := NewLogWriter(g, missing)
		for range 3 {
			fmt.Fprint(w, "lost\n")
			synctest.Wait()
		}
		g.mu.Lock()
		g.broken = false
		g.mu.Unlock()
		fmt.Fprint(w, "kept\n")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if got := g.text.String(); got != "kept\nmissing 3\n" || w.Dropped() != 3 {
			t.Errorf("wrote %q, dropped %d", got, w.Dropped())
		}
	})
}

// Close does not wait for ever.
func TestLogWriterCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		w := NewLogWriter(g, missing)
		fmt.Fprint(w, "line\n")
		if err := w.Close(); err == nil {
			t.Error("Close says nothing of lines that were not taken")
		}
		close(g.open)
	})
}

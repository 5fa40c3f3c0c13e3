package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress says on standard error how far the command is, if it works for longer than two
// seconds. At a terminal it is a line that is written over, and wiped when something else is
// printed. Elsewhere, in a log for example, it is a line every five seconds.
type progress struct {
	out      io.Writer
	terminal bool

	mu     sync.Mutex    // guards what follows
	worked time.Duration // before since
	since  time.Time     // when it began to work; zero: it does not, a person is asked, for example
	told   time.Duration // worked at the last line of a log
	shown  bool          // the line is on the terminal
	text   string        // what it does
	part   float64       // of all the work, 0 to 1; negative: nobody knows
}

const (
	quietAtFirst = 2 * time.Second
	redrawn      = 200 * time.Millisecond // at a terminal
	logged       = 5 * time.Second        // elsewhere
)

// newProgress is that of a command that does what text says.
func newProgress(text string) *progress {
	return &progress{out: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd())), text: text, part: -1}
}

// at says what the command does, and how much of it is done. A part below 0 is not known.
func (p *progress) at(part float64, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part, p.text = min(part, 1), text
}

// during does work, and shows the progress meanwhile. Nothing else may be printed by work.
func (p *progress) during(work func() error) error {
	p.mu.Lock()
	p.since = time.Now()
	p.mu.Unlock()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(redrawn)
		defer tick.Stop()
		for {
			p.show()
			select {
			case <-stop:
				p.pause()
				return
			case <-tick.C:
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	return work()
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	worked := p.worked + time.Since(p.since)
	switch {
	case worked < quietAtFirst:
	case p.terminal:
		fmt.Fprint(p.out, wiped, p.bar(worked))
		p.shown = true
	case p.told == 0 || worked-p.told >= logged:
		p.told = worked
		fmt.Fprintln(p.out, "counterfoil: "+p.line(worked))
	}
}

// pause wipes the line.
func (p *progress) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worked += time.Since(p.since)
	if p.shown {
		fmt.Fprint(p.out, wiped)
		p.shown = false
	}
}

// wiped begins the line of a terminal anew.
const wiped = "\r\x1b[K"

func (p *progress) line(worked time.Duration) string {
	words := []string{p.text, about(worked)}
	if p.part >= 0 {
		words = append([]string{percent(p.part)}, words...)
	}
	return strings.Join(words, ", ")
}

// bar is the line for a terminal of 80 columns.
func (p *progress) bar(worked time.Duration) string {
	if p.part < 0 {
		return p.line(worked)
	}
	const width = 24
	full := int(p.part * width)
	return fmt.Sprintf("[%s%s] %4s  %s  %s", strings.Repeat("#", full), strings.Repeat("-", width-full), percent(p.part), p.text, about(worked))
}

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }

// shownWhileAsking sends requests, and shows progress until the answer has come.
type shownWhileAsking struct {
	server interface {
		Do(r *http.Request) (*http.Response, error)
	}
	*progress
}

// Do sends r, and reads the whole answer.
func (s shownWhileAsking) Do(r *http.Request) (answer *http.Response, err error) {
	err = s.during(func() error {
		if answer, err = s.server.Do(r); err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body = struct {
			io.Reader
			io.Closer
		}{bytes.NewReader(body), answer.Body}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

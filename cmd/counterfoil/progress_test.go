package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A command that ends within two seconds shows nothing. Later a terminal has one line, which is
// wiped at the end, and a log has a line every five seconds. What a person needs to answer a
// question is no work of the command.
func TestProgress(t *testing.T) {
	const bar = "[######------------------]  25%  1 user  "
	for name, c := range map[string]struct {
		terminal bool
		want     string
	}{
		"log":      {false, "counterfoil: opening the store, 2s\ncounterfoil: 25%, 1 user, 7s\ncounterfoil: 25%, 1 user, 12s\n"},
		"terminal": {true, "|opening the store, 2s||" + bar + "2s|" + bar + "3s|" + bar + "4s|"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := &progress{out: &out, terminal: c.terminal, text: "opening the store", part: -1}
				work := func(d time.Duration) {
					_ = p.during(func() error { time.Sleep(d); return nil })
				}
				work(1900 * time.Millisecond)
				if out.Len() > 0 {
					t.Fatalf("after 1.9 s it shows %q", &out)
				}
				time.Sleep(time.Hour) // a person thinks
				work(1050 * time.Millisecond)
				p.at(0.25, "1 user")
				if c.terminal {
					work(2 * time.Second)
				} else {
					work(10 * time.Second)
				}
				got := out.String()
				if c.terminal { // each line once
					got = strings.Join(slices.Compact(strings.Split(got, wiped)), "|")
				}
				if got != c.want {
					t.Errorf("it shows\n%q, want\n%q", got, c.want)
				}
			})
		})
	}
}

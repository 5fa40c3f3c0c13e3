package server

import (
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// timeline is a plot of when each signing key signs: SVG by attributes and classes, for the policy of the
// pages allows no inline style.
type timeline struct {
	Height int
	Now    int // x
	Bars   []bar
	Ticks  []tick
}

// bar is the time in which a key signs, or will.
type bar struct {
	X, Y, Width   int
	Label, Status string
}

// tick is a day on the axis.
type tick struct {
	X    int
	Text string
}

const (
	plotWidth = 720
	barStep   = 30
)

func timelineOf(keys []keyring.Description, now time.Time) (t timeline) {
	first, last := now, now.Add(24*time.Hour)
	for _, k := range keys {
		if !k.From.IsZero() && k.From.Before(first) {
			first = k.From
		}
		if k.From.After(last) {
			last = k.From.Add(24 * time.Hour)
		}
	}
	first = first.Add(-last.Sub(first) / 20)
	x := func(at time.Time) int {
		return int(int64(plotWidth) * int64(at.Sub(first)/time.Second) / int64(last.Sub(first)/time.Second))
	}
	t.Now = x(now)
	for _, k := range keys {
		if k.From.IsZero() {
			continue // revoked before it signed
		}
		end := last // the next key begins, or the end of the plot
		for _, other := range keys {
			if other.From.After(k.From) && other.From.Before(end) {
				end = other.From
			}
		}
		if k.Status != keyring.Next && end.After(now) {
			end = now
		}
		t.Bars = append(t.Bars, bar{X: x(k.From), Y: 10 + barStep*len(t.Bars), Width: max(x(end)-x(k.From), 4), Label: k.ID, Status: string(k.Status)})
	}
	t.Height = 10 + barStep*len(t.Bars) + 24
	for n := range 4 {
		at := first.Add(last.Sub(first) * time.Duration(2*n+1) / 8)
		t.Ticks = append(t.Ticks, tick{x(at), at.UTC().Format("2 Jan")})
	}
	return t
}

// AxisOf is where the texts of the axis stand.
func (keysPage) AxisOf(height int) int { return height - 6 }

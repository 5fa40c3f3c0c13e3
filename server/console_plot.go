package server

import (
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// span is the time from the left end of a plot to the right end. Plots are SVG that the server draws, by
// attributes and classes: the policy of the pages allows no inline style.
type span struct{ from, to time.Time }

// plotWidth is how many units a plot is wide. The style sheet stretches it.
const plotWidth = 1000

// at is the place of a time in a plot.
func (s span) at(t time.Time) int {
	whole := s.to.Sub(s.from)
	if whole <= 0 {
		return 0
	}
	return min(max(int(float64(plotWidth)*float64(t.Sub(s.from))/float64(whole)), 0), plotWidth)
}

// signing is when a key signs, in a plot: its lines have the same span.
type signing struct{ From, Width, Now int }

// signingTimes returns a line for each key, and the span of all: from the first key to as long after now.
func signingTimes(keys []keyring.Description, now time.Time) (lines []signing, s span) {
	s = span{now, now}
	for _, k := range keys {
		if !k.From.IsZero() {
			s.from = earlier(s.from, k.From)
			s.to = later(s.to, k.From)
		}
	}
	ahead := max(s.to.Sub(s.from)/4, time.Hour)
	s.from, s.to = s.from.Add(-ahead/8), s.to.Add(ahead)
	for _, k := range keys {
		line := signing{Now: s.at(now)}
		if !k.From.IsZero() { // zero: it was revoked before it signed
			end := s.to
			for _, other := range keys { // the next key takes over
				if other.From.After(k.From) {
					end = earlier(end, other.From)
				}
			}
			if k.Status == keyring.Revoked {
				end = earlier(end, now)
			}
			line.From = s.at(k.From)
			line.Width = max(s.at(end)-line.From, plotWidth/100)
		}
		lines = append(lines, line)
	}
	return lines, s
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

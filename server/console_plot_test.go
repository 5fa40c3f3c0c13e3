package server_test

import (
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/server"
)

// The bars of a plot are the largest first, the small ones are summed up, and one that is not zero can be seen.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		all  map[string]int
		want []string
	}{
		{nil, nil},
		{map[string]int{"a": 1, "b": 1000, "c": 0, "": 500}, []string{"b 1000 100", "– 500 50", "a 1 1", "c 0 0"}},
		{map[string]int{"a": 10, "b": 9, "c": 8, "d": 7, "e": 6, "f": 5, "g": 4, "h": 3}, []string{"a 10 100", "b 9 90", "c 8 80", "d 7 70", "e 6 60", "f 5 50", "g 4 40", "h 3 30"}},
		{map[string]int{"a": 10, "b": 9, "c": 8, "d": 7, "e": 6, "f": 5, "g": 4, "h": 3, "i": 2, "j": 1}, []string{"a 10 100", "b 9 90", "c 8 80", "d 7 70", "e 6 60", "f 5 50", "g 4 40", "others 6 60"}},
	} {
		if got := server.Shares(c.all); !slices.Equal(got, c.want) {
			t.Errorf("Shares(%v) = %q, want %q", c.all, got, c.want)
		}
	}
}

// The last minute is at the right end, and the refused stand on the logins.
func TestColumns(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 30, 0, time.UTC)
	minute := func(ago, logins, refused int) api.EventMinute {
		return api.EventMinute{Minute: now.Truncate(time.Minute).Add(-time.Duration(ago) * time.Minute), EventCounts: api.EventCounts{Logins: logins, Refused: refused}}
	}
	got, most := server.Columns([]api.EventMinute{minute(60, 1, 1), minute(59, 2, 0), minute(1, 0, 0), minute(0, 3, 1)}, now)
	want := [][5]int{{0, 50, 0, 50, 50}, {59, 75, 25, 25, 0}}
	if !slices.Equal(got, want) || most != 4 {
		t.Errorf("Columns = %v, %d, want %v, 4", got, most, want)
	}
}

// A verifier is behind, stale or gone, and only one that follows can be behind.
func TestVerifierLines(t *testing.T) {
	at := func(seq uint64) counterfoil.Cursor { return counterfoil.Cursor{Epoch: 2, Seq: seq} }
	got, behind := server.VerifierLines(api.Verifiers{Head: at(5), Verifiers: []api.Verifier{
		{Cursor: at(5), Following: true, StalenessMS: 2500, BoundMS: 10_000},
		{Client: "a", Cursor: at(4), Following: true, StalenessMS: 10_000, BoundMS: 10_000},
		{Client: "b", Cursor: counterfoil.Cursor{Epoch: 1, Seq: 9}, Following: true, BoundMS: 10_000},
		{Client: "c", Cursor: at(4), Following: true, StalenessMS: 10_001, BoundMS: 10_000},
		{Client: "d", Cursor: at(4), BoundMS: 10_000},
	}})
	want := []string{"in this server: up to date true 25", "a: behind true 100", "b: behind true 0", "c: stale false 100", "d: gone false 0"}
	if !slices.Equal(got, want) || behind != 3 {
		t.Errorf("VerifierLines = %q, %d behind, want %q, 3", got, behind, want)
	}
}

// The newest revocation is at the right end of the plot of the lag, ten times as long is a fifth of the height more, and none is
// too small to be seen, or beyond the plot.
func TestLagBars(t *testing.T) {
	if got, want := server.LagBars([]float64{0, 1, 10, 1000, 100_000}), [][3]int{{55, 98, 2}, {56, 80, 20}, {57, 60, 40}, {58, 20, 80}, {59, 0, 100}}; !slices.Equal(got, want) {
		t.Errorf("LagBars = %v, want %v", got, want)
	}
	many := make([]float64, 200)
	many[199] = 10
	if got := server.LagBars(many); len(got) != 60 || got[0] != [3]int{0, 98, 2} || got[59] != [3]int{59, 60, 40} {
		t.Errorf("LagBars of 200 = %d, from %v to %v", len(got), got[0], got[len(got)-1])
	}
}

package config

import (
	"slices"
	"strings"
)

// suggest is a hint that names the closest of names, if one is close.
func (s *Settings) suggest(name string, names []string) string {
	bare := strings.TrimPrefix(name, s.opts.Prefix)
	best := closest(bare, names, s.opts.Prefix)
	if best == "" {
		best = s.beginning(bare, names)
	}
	if best == "" {
		return s.opts.Hint
	}
	return "did you mean " + best + "?"
}

// Closest returns the one of names that name is most probably a misspelling of; empty: it is close to
// none.
func Closest(name string, names []string) string { return closest(name, names, "") }

// closest compares name with names without the prefix.
func closest(name string, names []string, prefix string) (best string) {
	distance := len(name)/3 + 2
	for _, n := range slices.Sorted(slices.Values(names)) {
		if d := edits(name, strings.TrimPrefix(n, prefix)); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// beginning is the longest of names that bare begins with, as LISTEN_ADDRESS does with LISTEN.
func (s *Settings) beginning(bare string, names []string) (longest string) {
	for _, n := range names {
		if len(n) > len(longest) && strings.HasPrefix(bare, strings.TrimPrefix(n, s.opts.Prefix)+"_") {
			longest = n
		}
	}
	return longest
}

// edits is the number of letters to insert, delete or replace (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package config

import (
	"slices"
	"strings"
)

// suggest is a hint that names the closest of names, if one is close.
func (s *Settings) suggest(name string, names []string) string {
	bare := strings.TrimPrefix(name, s.opts.Prefix)
	best, distance := "", len(bare)/3+2
	slices.Sort(names)
	for _, n := range names {
		if d := edits(bare, strings.TrimPrefix(n, s.opts.Prefix)); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		best = s.beginning(bare, names)
	}
	if best == "" {
		return s.opts.Hint
	}
	return "did you mean " + best + "?"
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

package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/store"
)

func TestAscending(t *testing.T) {
	for n := range 70 {
		var ids []string
		for range n {
			ids = append(ids, fmt.Sprint(rand.IntN(2*n)))
		}
		want := slices.Clone(ids)
		slices.Sort(want)
		if got := slices.Collect(store.Ascending(slices.Clone(ids))); !slices.Equal(got, want) {
			t.Fatalf("Ascending(%v) = %v", ids, got)
		}
		var first []string
		for id := range store.Ascending(ids) {
			if first = append(first, id); len(first) == 3 {
				break
			}
		}
		if !slices.Equal(first, want[:min(3, n)]) {
			t.Fatalf("the first of %v are %v", want, first)
		}
	}
}

package prove

import (
	"flag"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	fleets = flag.String("prove.fleets", "8", "sizes of the fleets of verifiers of the matrix, separated by commas")
	kinds  = flag.String("prove.stores", "memory,sqlite,postgres,redis", "stores of the matrix, separated by commas")
	runs   = flag.Int("prove.runs", 1, "runs of each cell of the matrix")
)

// The matrix of every carrier and every scope passes on every store.
func TestMatrix(t *testing.T) {
	var sizes []int
	for text := range strings.SplitSeq(*fleets, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	stores := slices.DeleteFunc(allStores(t), func(s Store) bool { return !slices.Contains(strings.Split(*kinds, ","), s.Name) })
	cells, err := Matrix(t.Context(), MatrixOptions{Stores: stores, Fleets: sizes, Runs: *runs})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	passed, err := PrintMatrix(&table, cells)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	if want := 12 * len(sizes) * len(stores); !passed || len(cells) != want {
		t.Errorf("%d cells, passed: %v, want all %d", len(cells), passed, want)
	}
}

package prove

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/counterfoil/counterfoil/internal/clock"
)

// clocksPlan tells a child which cells of the clock matrix to run.
type clocksPlan struct {
	Mutant string       `json:"mutant,omitempty"`
	Cells  []clocksCell `json:"cells"`
}

type clocksCell struct {
	Cell  ClocksCell `json:"cell"`
	Place string     `json:"place"`
	Alone bool       `json:"alone"`
}

// clocksResult is one line of the child's answer: the cell of that number has ended.
type clocksResult struct {
	N    int        `json:"n"`
	Cell ClocksCell `json:"cell"`
}

// simulate runs the plan, writes the results to out, and ends the process.
//
// Each cell runs in a bubble of testing/synctest, whose time is simulated. Only a test can
// have a bubble, so simulate is the main function of a test binary: that is why it needs a
// process of its own.
func simulate(plan clocksPlan, out io.Writer, open openFunc) {
	os.Stdout = os.Stderr // what package testing prints is no result
	clock.Boot = nil      // it would tell the real time
	results := json.NewEncoder(out)
	var mu sync.Mutex // guards results
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "Clocks", F: func(t *testing.T) {
		for n, c := range plan.Cells {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				out := newOutside()
				defer out.close()
				synctest.Test(t, func(t *testing.T) {
					s := newSimulation(plan, c, out, open)
					s.run(t.Context())
					mu.Lock()
					defer mu.Unlock()
					if err := results.Encode(clocksResult{n, s.result()}); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	}}}, nil, nil)
}

package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ClocksOptions of [Clocks]. Stores and Child are required.
type ClocksOptions struct {
	Stores []Store
	Child  []string // a command that calls [Child]

	Only  func(c ClocksCell) bool // nil: all cells
	Ended func(c ClocksCell)      // called when a cell has ended; may be nil

	mutant string // a key of clockMutants: the product with a fault
}

// ClocksCell is one row of the clock matrix: one clock that is wrong in one way.
type ClocksCell struct {
	Store     string        `json:"store"`
	Clock     string        `json:"clock"`     // whose clock is wrong: see clockPlaces
	Wrong     string        `json:"wrong"`     // how it is wrong: see clockWrongs
	By        time.Duration `json:"by_ns"`     // how far
	Restarted bool          `json:"restarted"` // what has the clock is restarted while the clock is wrong, and when it is right again

	Findings
	Problems []string `json:"problems,omitempty"` // demands that the judge does not know

	// OnlyClock is true if a server without another clock started with the wrong one, and
	// copies were over by that. That is not held against it.
	OnlyClock bool `json:"only_clock,omitempty"`
}

// The axes of the matrix (REVOCATION 4.11 no. 15).
var (
	clockPlaces = []string{"node", "verifier", "both", "database"}
	clockWrongs = []string{"ahead", "behind", "steps ahead", "steps back"}
	clockSizes  = []time.Duration{time.Second, 45 * time.Second, 10 * time.Minute, 24 * time.Hour}
)

// ErrNoCell means that ClocksOptions.Only chose nothing.
var ErrNoCell = errors.New("prove: no cell of the clock matrix is chosen")

// Held reports whether nothing was found in the cell.
func (c ClocksCell) Held() bool { return len(c.Violations) == 0 && len(c.Problems) == 0 }

// offset is what the wrong clock shows beyond the right time.
func (c ClocksCell) offset() time.Duration {
	if c.Wrong == "behind" || c.Wrong == "steps back" {
		return -c.By
	}
	return c.By
}

// steps reports whether the clock becomes wrong while its process runs. Otherwise the process
// starts with the wrong clock.
func (c ClocksCell) steps() bool { return strings.HasPrefix(c.Wrong, "steps") }

func (c ClocksCell) String() string {
	text := fmt.Sprintf("%s: %s %s by %v", c.Store, c.Clock, c.Wrong, short(c.By))
	if c.Restarted {
		text += ", restarted"
	}
	return text
}

// cells returns the cells of one store, in the order of the table.
func (o ClocksOptions) cells(s *Store) (all []ClocksCell) {
	for _, place := range clockPlaces {
		if place == "database" && s.Alone {
			continue // it has no clock
		}
		for _, wrong := range clockWrongs {
			for _, restarted := range []bool{false, true} {
				for _, by := range clockSizes {
					c := ClocksCell{Store: s.Name, Clock: place, Wrong: wrong, By: by, Restarted: restarted}
					if o.Only == nil || o.Only(c) {
						all = append(all, c)
					}
				}
			}
		}
	}
	return all
}

// Clocks runs the clock matrix: a deployment for each cell, in which the clock of one part is
// wrong for three minutes and then set right. Time is simulated: all timers of the deployment
// run by it, so the cells wait for nothing, and their results are exact. A cell is judged as a
// scenario is. An error means that Clocks could not find out.
func Clocks(ctx context.Context, o ClocksOptions) (cells []ClocksCell, err error) {
	if len(o.Stores) == 0 || len(o.Child) == 0 {
		return nil, errors.New("prove: ClocksOptions.Stores and Child are required")
	}
	plan := clocksPlan{Mutant: o.mutant}
	for _, s := range o.Stores {
		for _, c := range o.cells(&s) {
			place, err := s.New(ctx)
			if err != nil {
				return nil, err
			}
			if place.Remove != nil {
				defer func() { err = errors.Join(err, place.Remove()) }()
			}
			plan.Cells = append(plan.Cells, clocksCell{c, place.Name, s.Alone})
		}
	}
	if len(plan.Cells) == 0 {
		return nil, ErrNoCell
	}
	if cells, err = o.simulate(ctx, plan); err != nil {
		return nil, fmt.Errorf("prove: %w", err)
	}
	return cells, nil
}

// simulate has a child run the plan: see [simulate].
func (o ClocksOptions) simulate(ctx context.Context, plan clocksPlan) ([]ClocksCell, error) {
	p, _, err := startChild(o.Child, childPlan{Clocks: &plan})
	if err != nil {
		return nil, err
	}
	defer p.kill()
	defer context.AfterFunc(ctx, p.kill)()
	results := make([]ClocksCell, len(plan.Cells))
	for range plan.Cells {
		var r clocksResult
		if err := p.out.Decode(&r); err != nil {
			<-p.ended
			return nil, errors.Join(fmt.Errorf("the simulation ended: %w: %s", err, p.stderr.String()), ctx.Err())
		}
		results[r.N] = r.Cell
		if o.Ended != nil {
			o.Ended(r.Cell)
		}
	}
	return results, nil
}

// short writes a duration without its zero parts.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

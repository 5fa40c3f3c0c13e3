// Command against compares the benchmarks of this checkout with those of another revision. It
// prints the ratio of each, which is the cost of the change.
//
// The command checks the revision out into a temporary folder, and builds the test binaries of
// both sides. A round runs each benchmark of both sides, one after the other. The next round
// runs them in the other order, so that other load of the machine affects both sides in the
// same way. The ratio is that of the medians. If it is above -bar, it is marked and the command
// fails. The ratios of single rounds show how reliable it is.
//
// The command finds benchmarks by their names in the test files. It pairs them by package and
// name. A benchmark that moved to another package is paired by its name, if the other side has
// one unpaired benchmark with that name.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/counterfoil/counterfoil/bench/internal/checkout"
)

type settings struct {
	rounds    int
	benchtime string
	steps     string
	names     string
	only      string
	cpu       string
	bar       float64
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "count", 7, "rounds")
	flag.StringVar(&s.benchtime, "benchtime", "200ms", "benchtime of a check, as go test takes it")
	flag.StringVar(&s.steps, "steps", "2000x", "benchtime of other benchmarks, as go test takes it: a number of steps, so that both stores get the same size")
	flag.StringVar(&s.names, "names", "Verify,FirstSight,Require,Lookup,Refresh,Revoke,Login", "names of benchmarks; Steps stands for those of the stores on their servers")
	flag.StringVar(&s.only, "only", "", "regular expression that package.Benchmark must match; empty: all")
	flag.StringVar(&s.cpu, "cpu", "", "as go test takes it; empty: all processors")
	flag.Float64Var(&s.bar, "bar", 1.05, "a ratio above this fails")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: bench/against [flags] REVISION")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // so that the checkout is removed
	defer stop()
	slower, err := s.against(ctx, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "against:", err)
		os.Exit(2)
	}
	if slower > 0 {
		os.Exit(1)
	}
}

// against measures, prints, and returns how many benchmarks are slower than the bar.
func (s settings) against(ctx context.Context, revision string) (slower int, err error) {
	pair, remove, err := checkout.Beside(ctx, revision)
	if err != nil {
		return 0, err
	}
	defer remove()
	before, err := s.build(ctx, pair.Old, filepath.Join(pair.Dir, "before"))
	if err != nil {
		return 0, err
	}
	after, err := s.build(ctx, pair.Here, filepath.Join(pair.Dir, "after"))
	if err != nil {
		return 0, err
	}
	pairs, alone := match(before, after)
	results, err := s.measure(ctx, pairs)
	if err != nil {
		return 0, err
	}
	return write(os.Stdout, results, alone, s.bar), nil
}

// measure runs all pairs, round by round.
func (s settings) measure(ctx context.Context, pairs [][2]benchmark) (results, error) {
	all := results{}
	for round := range s.rounds {
		for _, p := range pairs {
			for turn := range 2 {
				side := (round + turn) % 2 // each side begins in every second round
				fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s\n", round+1, s.rounds, p[side].name(), sides[side])
				out, err := s.run(ctx, p[side])
				if err != nil {
					return nil, err
				}
				if err := all.read(p[1].pkg, side, out); err != nil {
					return nil, err
				}
			}
		}
	}
	return all, nil
}

// run runs one benchmark.
func (s settings) run(ctx context.Context, b benchmark) (string, error) {
	benchtime := s.benchtime
	if !b.check() {
		benchtime = s.steps
	}
	args := []string{"-test.run=^$", "-test.bench=^" + b.function + "$", "-test.benchtime=" + benchtime, "-test.timeout=0"}
	if s.cpu != "" {
		args = append(args, "-test.cpu="+s.cpu)
	}
	return checkout.Run(ctx, b.dir, b.binary, args...)
}

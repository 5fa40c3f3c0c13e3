// Command rest measures what "counterfoil serve" takes when it has nothing to do, in its default
// configuration: the size of the program, the time from its start until it is ready, and the
// memory of the server and of the processes that hash passwords. With a revision as argument it
// measures that revision in the same run, in turns.
//
// Each round starts a server in a new folder, leaves it alone, signs a user in twenty times one
// after the other, leaves it alone again, and signs the user in once more. Memory is PSS, and RSS
// after the slash, of /proc/PID/smaps_rollup: PSS divides a page by the number of processes that
// have it. With -pairs it then signs in twice at once while another program keeps each processor busy.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/bench/internal/checkout"
	"github.com/counterfoil/counterfoil/bench/internal/output"
)

type settings struct {
	rounds int
	idle   time.Duration
	logins int
	pairs  int
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "count", 2, "rounds")
	flag.DurationVar(&s.idle, "idle", 45*time.Second, "how long the server is left alone")
	flag.IntVar(&s.logins, "logins", 20, "logins between the times when it is left alone; one address may try 20 at once")
	flag.IntVar(&s.pairs, "pairs", 0, "pairs of logins at once at the end, while another program keeps each processor busy; one address may try 20 a minute")
	flag.Parse()
	if flag.NArg() > 1 {
		fmt.Fprintln(os.Stderr, "usage: bench/rest [flags] [REVISION]")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // so that the checkout is removed
	defer stop()
	if err := s.run(ctx, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "rest:", err)
		os.Exit(1)
	}
}

// side is one of the programs that are compared.
type side struct {
	name   string
	binary string
	bytes  int64
	rounds []round
}

// run builds the sides, measures them in turns, and prints the table.
func (s settings) run(ctx context.Context, revision string) error {
	pair, remove, err := checkout.Beside(ctx, revision)
	if err != nil {
		return err
	}
	defer remove()
	var sides []*side
	if revision != "" {
		before, err := build(ctx, revision, pair.Old, filepath.Join(pair.Dir, "before"))
		if err != nil {
			return err
		}
		sides = append(sides, before)
	}
	after, err := build(ctx, "here", pair.Here, filepath.Join(pair.Dir, "after"))
	if err != nil {
		return err
	}
	sides = append(sides, after)
	for n := range s.rounds {
		for _, it := range sides {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", n+1, s.rounds, it.name)
			r, err := s.measure(ctx, it.binary, filepath.Join(pair.Dir, fmt.Sprintf("data-%s-%d", filepath.Base(it.binary), n)))
			if err != nil {
				return err
			}
			it.rounds = append(it.rounds, r)
		}
	}
	s.write(os.Stdout, sides)
	return nil
}

// build builds the program of the checkout at source as it is shipped.
func build(ctx context.Context, name, source, into string) (*side, error) {
	fmt.Fprintln(os.Stderr, "building", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", into, "./cmd/counterfoil")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	info, err := os.Stat(into)
	if err != nil {
		return nil, err
	}
	return &side{name: name, binary: into, bytes: info.Size()}, nil
}

// write prints a column for each side: medians of the rounds.
func (s settings) write(w *os.File, sides []*side) {
	line := func(what string, of func(*side) string) {
		fmt.Fprintf(w, "| %s |", what)
		for _, it := range sides {
			fmt.Fprintf(w, " %s |", of(it))
		}
		fmt.Fprintln(w)
	}
	median := func(it *side, of func(round) float64) float64 {
		var all []float64
		for _, r := range it.rounds {
			all = append(all, of(r))
		}
		return output.Median(all)
	}
	line("", func(it *side) string { return it.name })
	fmt.Fprintln(w, "|---"+strings.Repeat("|---", len(sides))+"|")
	line("program, stripped", func(it *side) string { return fmt.Sprintf("%.1f MiB", float64(it.bytes)/(1<<20)) })
	line("start until ready", func(it *side) string {
		return fmt.Sprintf("%.0f ms", median(it, func(r round) float64 { return r.ready }))
	})
	for n, when := range moments {
		at := func(it *side, of func(sample) float64) float64 {
			return median(it, func(r round) float64 { return of(r.memory[n]) })
		}
		line("memory "+when+": server", func(it *side) string {
			return fmt.Sprintf("%.0f / %.0f MB", at(it, func(m sample) float64 { return m.server.pss }), at(it, func(m sample) float64 { return m.server.rss }))
		})
		line("memory "+when+": processes that hash", func(it *side) string {
			count := at(it, func(m sample) float64 { return float64(m.hashers) })
			if count == 0 {
				return "none"
			}
			return fmt.Sprintf("%.0f, the largest %.0f / %.0f MB", count, at(it, func(m sample) float64 { return m.largest.pss }), at(it, func(m sample) float64 { return m.largest.rss }))
		})
	}
	line("logins, median", func(it *side) string {
		return fmt.Sprintf("%.0f ms", median(it, func(r round) float64 { return output.Median(r.logins) }))
	})
	line("logins, slowest", func(it *side) string {
		return fmt.Sprintf("%.0f ms", median(it, func(r round) float64 { return slices.Max(r.logins) }))
	})
	line("a login after the rest", func(it *side) string {
		return fmt.Sprintf("%.0f ms", median(it, func(r round) float64 { return r.last }))
	})
	if s.pairs > 0 {
		line("two logins at once on a busy machine: median, slowest", func(it *side) string {
			var all []float64
			for _, r := range it.rounds {
				all = append(all, r.pairs...)
			}
			return fmt.Sprintf("%.0f, %.0f ms", output.Median(all), slices.Max(all))
		})
	}
	line("start of a process that hashes", func(it *side) string {
		return fmt.Sprintf("%.0f ms", median(it, func(r round) float64 { return r.started }))
	})
}

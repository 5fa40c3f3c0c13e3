// Command fleet measures what a fleet of verifiers costs the node that it follows, in this checkout
// beside another revision: how soon each verifier refuses what was revoked, and the processor time of the
// node.
//
//	go run -C bench ./cmd/fleet -size 1000 -rounds 5 REVISION
//
// The node is the real program, with its default store, a new SQLite file. The verifiers are in a second process. Both are
// built from each revision, and -node takes the verifiers of this checkout for both. A round measures both
// revisions, one after the other, and the next round begins with the other one. A ratio is the median of
// the ratios of the rounds. It needs Linux.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/bench/internal/checkout"
)

type settings struct {
	size     int
	rounds   int
	revoke   int
	node     bool
	profiles string
}

func main() {
	if task := os.Getenv(verifiersTask); task != "" {
		if err := verifiers(task); err != nil {
			fmt.Fprintln(os.Stderr, "verifiers:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	flag.IntVar(&s.size, "size", 1000, "verifiers")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds")
	flag.IntVar(&s.revoke, "revoke", 20, "revocations of a round")
	flag.BoolVar(&s.node, "node", false, "both revisions have the verifiers of this checkout")
	flag.StringVar(&s.profiles, "profiles", "", "existing folder for processor profiles of the node and of the verifiers; empty: none")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: fleet [flags] REVISION")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // so that the checkout is removed
	defer stop()
	if err := s.compare(ctx, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// sides are the two revisions.
var sides = [2]string{"before", "after"}

func (s *settings) compare(ctx context.Context, revision string) error {
	pair, remove, err := checkout.Beside(ctx, revision)
	if err != nil {
		return err
	}
	defer remove()
	var built [2]programs
	for side, source := range [2]string{pair.Old, pair.Here} {
		if built[side], err = build(ctx, pair.Here, source, filepath.Join(pair.Dir, sides[side])); err != nil {
			return err
		}
	}
	if s.node {
		built[0].verifiers = built[1].verifiers
	}
	var all [2][]result
	for n := range s.rounds {
		for turn := range 2 {
			side := (n + turn) % 2
			r, err := s.round(ctx, built[side], filepath.Join(pair.Dir, fmt.Sprintf("data-%d-%d", n, side)), sides[side])
			if err != nil {
				return fmt.Errorf("%s: %w", sides[side], err)
			}
			fmt.Fprintf(os.Stderr, "round %d of %d, %-6s  %v\n", n+1, s.rounds, sides[side], r)
			all[side] = append(all[side], r)
		}
	}
	for _, f := range figures {
		before, after := f.of(all[0]), f.of(all[1])
		ratios := make([]float64, len(before))
		for n := range ratios {
			ratios[n] = after[n] / before[n]
		}
		fmt.Printf("%-52s %8.2f %8.2f   %.2f ×  (%.2f)\n", f.name, median(before), median(after), median(ratios), ratios)
	}
	return nil
}

// programs are those of one revision.
type programs struct{ node, verifiers string }

// build builds the programs of the checkout at source. The verifiers are this command, with the
// library of source.
func build(ctx context.Context, top, source, dir string) (p programs, err error) {
	p = programs{filepath.Join(dir, "counterfoil"), filepath.Join(dir, "fleet")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return p, err
	}
	if _, err = checkout.Run(ctx, source, "go", "build", "-o", p.node, "./cmd/counterfoil"); err != nil {
		return p, err
	}
	bench := filepath.Join(top, "bench")
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(bench, file))
		if err != nil {
			return p, err
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			return p, err
		}
	}
	module := filepath.Join(dir, "go.mod")
	if _, err = checkout.Run(ctx, bench, "go", "mod", "edit", "-replace", "github.com/counterfoil/counterfoil="+source, module); err != nil {
		return p, err
	}
	_, err = checkout.Run(ctx, bench, "go", "build", "-modfile", module, "-o", p.verifiers, "./cmd/fleet")
	return p, err
}

// result is that of one revision in one round.
type result struct {
	P50, P99   float64 // ms from the return of a revocation to the refusal, over all verifiers: medians over the revocations
	Revocation float64 // ms of the node's processor time for a revocation, without Following
	Following  float64 // ms of the node's processor time per second while nothing is revoked
	Verifiers  float64 // ms of the verifiers' processor time for a revocation
}

func (r result) String() string {
	return fmt.Sprintf("refused p50 %.1f p99 %.1f ms; node: %.1f ms a revocation, %.0f ms a second; verifiers: %.1f ms a revocation", r.P50, r.P99, r.Revocation, r.Following, r.Verifiers)
}

type figure struct {
	name string
	get  func(result) float64
}

func (f figure) of(all []result) (values []float64) {
	for _, r := range all {
		values = append(values, f.get(r))
	}
	return values
}

var figures = []figure{
	{"revoke to refusal, p50, ms", func(r result) float64 { return r.P50 }},
	{"revoke to refusal, p99, ms", func(r result) float64 { return r.P99 }},
	{"processor time of the node for a revocation, ms", func(r result) float64 { return r.Revocation }},
	{"processor time of the node to be followed, ms/s", func(r result) float64 { return r.Following }},
	{"processor time of the verifiers for a revocation, ms", func(r result) float64 { return r.Verifiers }},
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// round measures one revision, with a node and verifiers of its own.
func (s *settings) round(ctx context.Context, p programs, data, side string) (r result, err error) {
	if err := os.Mkdir(data, 0o700); err != nil {
		return r, err
	}
	n, err := startNode(ctx, p.node, data)
	if err != nil {
		return r, err
	}
	defer n.stop()
	t := task{URL: n.url, Key: n.key, Node: n.cmd.Process.Pid, Size: s.size, Revocations: s.revoke}
	if s.profiles != "" {
		t.Profile = filepath.Join(s.profiles, side+"-verifiers.pprof")
		t.NodeProfile = filepath.Join(s.profiles, side+"-node.pprof")
		t.Ops, t.OpsToken = n.ops, opsToken
	}
	asked, err := json.Marshal(t)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, p.verifiers)
	cmd.Env, cmd.Stderr = append(os.Environ(), verifiersTask+"="+string(asked)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

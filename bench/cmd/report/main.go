// Command report runs the benchmarks of the module several times, and prints the tables of
// docs/performance.md: medians, and ratios to the contender above.
//
// A round runs every benchmark once, so that other load of the machine affects all contenders
// in the same way. A ratio is taken within a round, and the median of the rounds is printed.
// Run the command from bench/, on a quiet machine.
//
// The table of stores is from the benchmarks in the packages of the stores. These start real
// servers, and take turns with the bare engine.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	rounds := flag.Int("count", 5, "rounds")
	benchtime := flag.String("benchtime", "1s", "as go test takes it")
	sizes := flag.String("sizes", "1000,100000,1000000", "sizes of the cache of verified copies")
	steps := flag.String("steps", "5500x", "how often each step of a store is taken, as go test takes it")
	only := flag.String("only", "", "one benchmark, by its name; empty: all")
	flag.Parse()
	if err := report(os.Stdout, *rounds, *benchtime, *sizes, *steps, *only); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// byRound are the benchmarks whose contenders are compared within a round.
var byRound = []string{"Verify", "Sign", "Open", "Junk", "Cookie", "HTTP"}

func report(w io.Writer, rounds int, benchtime, sizes, steps, only string) error {
	dir, err := os.MkdirTemp("", "counterfoil-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bench.test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	run := func(name string, args ...string) (string, error) {
		fmt.Fprintln(os.Stderr, "running", name, strings.Join(args, " "))
		args = append([]string{"-test.run=^$", "-test.bench=^Benchmark" + name + "$", "-test.benchtime=" + benchtime, "-test.timeout=0"}, args...)
		cmd := exec.Command(binary, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", name, err, &out)
		}
		return out.String(), nil
	}
	results := newResults()
	for round := range rounds {
		for _, name := range byRound {
			if only != "" && only != name {
				continue
			}
			out, err := run(name)
			if err != nil {
				return err
			}
			if err := results.read(out, round); err != nil {
				return err
			}
		}
	}
	if only == "" || only == "Seen" {
		// In one process: a million tokens take a minute to sign and verify.
		out, err := run("Seen", "-sizes="+sizes, "-test.cpu=1,2", fmt.Sprint("-test.count=", rounds))
		if err != nil {
			return err
		}
		if err := results.read(out, sameProcess); err != nil {
			return err
		}
	}
	if only == "" || only == "Stores" {
		if err := results.runSteps(steps); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%s, %s/%s, %d processors, medians of %d rounds of %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, benchtime)
	for _, name := range append(byRound, "Seen", "Stores") {
		results.write(w, name)
	}
	return nil
}

// runSteps runs BenchmarkSteps of each store that has a server or a file.
func (r *results) runSteps(steps string) error {
	for _, store := range []string{"sqlite", "postgres", "redis"} {
		fmt.Fprintln(os.Stderr, "running the steps of", store)
		cmd := exec.Command("go", "test", "./store/"+store, "-run=^$", "-bench=^BenchmarkSteps$", "-benchtime="+steps, "-timeout=0")
		cmd.Dir = ".." // the package is in the main module
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", store, err, out)
		}
		if err := r.readSteps(string(out), store); err != nil {
			return err
		}
	}
	return nil
}

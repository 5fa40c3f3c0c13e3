package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/bench/internal/checkout"
)

// benchmark is one benchmark function of one side.
type benchmark struct {
	pkg      string // path of the package in the repository; "root" for the root
	function string
	dir      string // of its package
	binary   string // test binary of its package
}

func (b benchmark) name() string { return b.pkg + "." + b.function }

// check reports whether b measures a check in memory, whose cost does not depend on how often
// it ran before.
func (b benchmark) check() bool {
	return slices.Contains([]string{"BenchmarkVerify", "BenchmarkFirstSight", "BenchmarkRequire"}, b.function)
}

var declared = regexp.MustCompile(`(?m)^func (Benchmark\w+)\(b \*testing\.B\)`)

// build finds the benchmarks of the checkout at root and builds their test binaries.
func (s settings) build(ctx context.Context, root, into string) ([]benchmark, error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(into, 0o700); err != nil {
		return nil, err
	}
	wanted := strings.Split(s.names, ",")
	var found []benchmark
	err = fs.WalkDir(os.DirFS(root), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			_, other := os.Stat(filepath.Join(root, path, "go.mod"))
			if path != "." && (other == nil || e.Name()[0] == '.' || e.Name() == "testdata") {
				return fs.SkipDir // another module, or no code
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		pkg := cmp.Or(strings.TrimPrefix(dir, "."), "root")
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			b := benchmark{pkg: pkg, function: m[1], dir: filepath.Join(root, dir), binary: filepath.Join(into, strings.ReplaceAll(pkg, "/", "_")+".test")}
			if slices.Contains(wanted, strings.TrimPrefix(m[1], "Benchmark")) && only.MatchString(b.name()) {
				found = append(found, b)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	built := map[string]bool{}
	for _, b := range found {
		if !built[b.binary] {
			fmt.Fprintf(os.Stderr, "building %s of %s\n", b.pkg, root)
			if _, err := checkout.Run(ctx, b.dir, "go", "test", "-c", "-o", b.binary, "."); err != nil {
				return nil, err
			}
		}
		built[b.binary] = true
	}
	return found, nil
}

// match pairs the benchmarks of both sides, and returns the names of the unpaired ones.
func match(before, after []benchmark) (pairs [][2]benchmark, unpaired []string) {
	take := func(same func(a, b benchmark) bool) {
		for n := 0; n < len(after); n++ {
			m := slices.IndexFunc(before, func(b benchmark) bool { return same(b, after[n]) })
			if m < 0 {
				continue
			}
			pairs = append(pairs, [2]benchmark{before[m], after[n]})
			before, after = slices.Delete(before, m, m+1), slices.Delete(after, n, n+1)
			n--
		}
	}
	take(func(a, b benchmark) bool { return a.name() == b.name() })
	take(func(a, b benchmark) bool { return a.function == b.function }) // moved to another package
	for _, b := range before {
		unpaired = append(unpaired, b.name()+" (before)")
	}
	for _, b := range after {
		unpaired = append(unpaired, b.name()+" (after)")
	}
	return pairs, unpaired
}

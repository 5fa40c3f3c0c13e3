package main

import (
	"strings"
	"testing"
)

// match pairs benchmarks by package and name, and a benchmark that moved by its name.
func TestMatch(t *testing.T) {
	named := func(names ...string) (all []benchmark) {
		for _, n := range names {
			pkg, function, _ := strings.Cut(n, ".")
			all = append(all, benchmark{pkg: pkg, function: function})
		}
		return all
	}
	pairs, alone := match(
		named("issuer.Lookup", "issuer.Revoke", "server.Require", "root.Require", "root.Gone"),
		named("root.Require", "revlog.Revoke", "issuer.Lookup", "server.Require", "root.New"),
	)
	var got []string
	for _, p := range pairs {
		got = append(got, p[0].name()+" "+p[1].name())
	}
	const want = "root.Require root.Require, issuer.Lookup issuer.Lookup, server.Require server.Require, issuer.Revoke revlog.Revoke"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("pairs = %s\nwant %s", text, want)
	}
	if text := strings.Join(alone, ", "); text != "root.Gone (before), root.New (after)" {
		t.Errorf("alone = %s", text)
	}
}

func TestTable(t *testing.T) {
	all := results{}
	for _, round := range [][2]string{
		{"BenchmarkA/x-2 10 100 ns/op 0 B/op 1 allocs/op\nBenchmarkA/raw-2 10 5 ns/op\nBenchmarkA/old-2 10 5 ns/op", "BenchmarkA/x-2 10 120 ns/op 0 B/op 2 allocs/op\nBenchmarkA/raw-2 10 50 ns/op\nPASS"},
		{"BenchmarkA/x-2 10 104 ns/op 0 B/op 1 allocs/op", "BenchmarkA/x-2 10 100 ns/op 0 B/op 2 allocs/op"},
		{"BenchmarkA/x-2 10 90 ns/op 0 B/op 1 allocs/op", "BenchmarkA/x-2 10 110 ns/op 0 B/op 2 allocs/op"},
	} {
		for side, out := range round {
			if err := all.read("issuer", side, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out strings.Builder
	if slower := write(&out, all, nil, 1.05); slower != 1 {
		t.Errorf("%d are slower, want 1", slower)
	}
	for _, want := range []string{
		"| issuer A/x-2 | ns/op | 100 | 110 | 1.100 **slower** | 0.96 to 1.22 |\n",
		"| issuer A/x-2 | allocs/op | 1 | 2 | | |\n",
		"| issuer A/raw-2 | ns/op | 5 | 50 | 10.000 | 10.00 to 10.00 |\n", // a floor is never marked as slower
		"on one side only: issuer A/old-2 (before)\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}

package main

import (
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	r := newResults()
	for round, out := range []string{
		"goos: linux\nBenchmarkVerify/ES256/raw-2 10 40000 ns/op 40000 cpu-ns/op 608 B/op 11 allocs/op\nBenchmarkVerify/ES256/jwx_WithKey-2 10 60000 ns/op 80000 cpu-ns/op 608 B/op 400 allocs/op\nPASS\n",
		"BenchmarkVerify/ES256/raw-2 10 50000 ns/op 40000 cpu-ns/op 608 B/op 11 allocs/op\nBenchmarkVerify/ES256/jwx_WithKey-2 10 100000 ns/op 80000 cpu-ns/op 608 B/op 400 allocs/op\n",
		"BenchmarkVerify/ES256/raw-2 10 80000 ns/op 40000 cpu-ns/op 608 B/op 11 allocs/op\nBenchmarkVerify/ES256/jwx_WithKey-2 10 81000 ns/op 80000 cpu-ns/op 608 B/op 400 allocs/op\n",
	} {
		if err := r.read(out, round); err != nil {
			t.Fatal(err)
		}
	}
	seen := strings.Repeat("BenchmarkSeen/JWT,_1000/counterfoil 10 50 ns/op 45 cpu-ns/op 0 B/op 0 allocs/op\nBenchmarkSeen/JWT,_1000/counterfoil,_parallel 10 50 ns/op\nBenchmarkSeen/JWT,_1000/counterfoil,_parallel-2 10 25 ns/op\n", 3)
	if err := r.read(seen, sameProcess); err != nil {
		t.Fatal(err)
	}
	steps := "pkg: x/store/redis\nBenchmarkSteps/lookup/callers=16-2 5500 0 ns/op 1500 ours/s 3000 raw/s 2.000 x-raw\nPASS\n"
	if err := r.readSteps(steps, "redis"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r.write(&b, "Stores")
	r.write(&b, "Verify")
	r.write(&b, "Seen")
	for _, want := range []string{
		"| ES256 | raw | 50 µs | 1 × | 40 µs | 1 × | 608 | 11 |\n",
		"| ES256 | jwx WithKey | 81 µs | 1.5 × | 80 µs | 2 × | 608 | 400 |\n",
		"| JWT, 1000 | counterfoil | 50 ns | 1 × | 0 | 20000000 | 40000000 | 2 × |\n",
		"| redis, lookup | callers: 16 | 3000 | 1500 | 2 × |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, &b)
		}
	}
	if err := r.read("BenchmarkVerify/ES256/late-2 10 1 ns/op\n", 2); err == nil {
		t.Error("read accepts a contender that missed rounds")
	}
}

// Package bench compares Counterfoil with the libraries that Go programs use for the same
// work: golang-jwt, jwx, go-jose, scs and gorilla/sessions. It is a separate module, so that
// none of them is a dependency of Counterfoil.
//
// Begin with peers.go. The benchmarks compare what a decision costs. The tests compare the
// decisions: TestWhoAcceptsWhat keeps the table of differences, and FuzzDifferential searches
// for more. The command in cmd/report runs the benchmarks and prints the tables of
// docs/performance.md; it also compares the steps of the stores with the bare engines. The
// command in cmd/against compares a checkout with another revision of Counterfoil, and so does
// that in cmd/fleet, with the real program and a fleet of verifiers.
package bench

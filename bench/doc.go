// Package bench holds Counterfoil beside the libraries that Go programs use for
// the same work: golang-jwt, jwx, go-jose, scs and gorilla/sessions. It is a module
// of its own, so that none of them is ever a dependency of Counterfoil.
//
// Begin with peers.go. The benchmarks compare what it costs to decide, the tests
// compare what is decided: TestWhoAcceptsWhat keeps the table of differences, and
// FuzzDifferential looks for more. The command in cmd/report runs the benchmarks
// and prints the tables of docs/performance.md, with the steps of the stores beside
// their bare engines. The command in cmd/against holds a checkout beside another revision
// of Counterfoil itself.
package bench

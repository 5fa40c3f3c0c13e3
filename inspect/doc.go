// Package inspect looks at tokens of any issuer: it reads them, verifies them, says what is
// unwise about them, and makes them. It is what the commands "counterfoil token" stand on. The
// page of the inspector follows the same data.
//
// It is for people who look for a fault. It is lenient where that helps them: it reads what
// no verifier should accept, and says so. A service that checks requests uses package
// counterfoil, which is strict.
//
// The package does no I/O and reads no clock: the caller gives it texts, keys and the time.
//
// # Data
//
// Go and the page share four files, so that both say the same. The first three are in package rulebook:
//
//   - rules.json: the rules of lint, an array of [Rule].
//   - kinds.json: the kinds of tokens, an array of [Kind], in the order in which they are tried.
//   - secrets.txt: secrets that everybody can guess, one a line. Lines that begin with # are
//     comments. Its licence stands in it.
//   - vectors.json: tests of the rules, an array of [Vector]. There is at least one for each
//     rule. Only tests read it.
//
// A vector has a token that its rule must find, and a neighbour: a token that differs only in
// what the rule is about, and that the rule must not find. It says nothing about other rules.
package inspect

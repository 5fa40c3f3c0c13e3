// Package rulebook has what the commands "counterfoil token" and the page of the inspector say of
// tokens, as data: both read the same files. Call [Rules], [Kinds] and [Secrets]. It looks at no
// token: package inspect does, and the script of package inspector. It imports the standard library
// only, so that a server with the page in it brings no other library for tokens.
package rulebook

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

const (
	Error   Severity = "error"   // a careful verifier refuses the token
	Warning Severity = "warning" // it works, and somebody can be hurt by it
	Note    Severity = "note"    // it may be meant so
)

// Rule is one thing that lint looks for.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`  // what is so, in a few words
	Why      string   `json:"why"`    // what can happen by it
	Source   string   `json:"source"` // the section of the standard that says so
}

// Kind is a kind of token: what it is for, and what is in it.
type Kind struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Source string `json:"source"`

	Types   []string `json:"typ"`     // a token with one of these typ is of this kind
	Marks   []string `json:"marks"`   // a token without a telling typ that has one of these claims is probably of this kind
	Needs   []string `json:"needs"`   // claims that it must have
	Foreign []string `json:"foreign"` // claims that only tokens of other kinds have
}

var (
	//go:embed rules.json
	rulesFile []byte
	//go:embed kinds.json
	kindsFile []byte
	//go:embed secrets.txt
	secretsFile string

	rules   = read[[]Rule](rulesFile)
	kinds   = read[[]Kind](kindsFile)
	secrets = lines(secretsFile)
)

// read reads a file of this package, which tests have read before.
func read[T any](data []byte) (value T) {
	if err := json.Unmarshal(data, &value); err != nil {
		panic(err)
	}
	return value
}

func lines(text string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// Rules returns the rules, in the order in which documents list them.
func Rules() []Rule { return slices.Clone(rules) }

// Kinds returns the kinds of tokens.
func Kinds() []Kind { return slices.Clone(kinds) }

// Secrets returns the secrets that everybody can guess.
func Secrets() []string { return slices.Clone(secrets) }

package inspect

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

// Vector is a test of one rule.
type Vector struct {
	Rule      string          `json:"rule"`
	About     string          `json:"about"`
	Token     string          `json:"token"`     // the rule finds it
	Neighbour string          `json:"neighbour"` // the rule does not find it
	Now       int64           `json:"now"`       // the time at which both are looked at, in seconds
	Key       json.RawMessage `json:"key,omitempty"`
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

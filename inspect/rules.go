package inspect

import (
	"encoding/json"

	"github.com/counterfoil/counterfoil/inspect/rulebook"
)

// The data of package rulebook, by the names that it has here.
type (
	Rule     = rulebook.Rule
	Severity = rulebook.Severity
	Kind     = rulebook.Kind
)

const (
	Error   = rulebook.Error
	Warning = rulebook.Warning
	Note    = rulebook.Note
)

var (
	rules   = rulebook.Rules()
	kinds   = rulebook.Kinds()
	secrets = rulebook.Secrets()
)

// Rules returns the rules, in the order in which documents list them.
func Rules() []Rule { return rulebook.Rules() }

// Kinds returns the kinds of tokens.
func Kinds() []Kind { return rulebook.Kinds() }

// Vector is a test of one rule.
type Vector struct {
	Rule      string          `json:"rule"`
	About     string          `json:"about"`
	Token     string          `json:"token"`     // the rule finds it
	Neighbour string          `json:"neighbour"` // the rule does not find it
	Now       int64           `json:"now"`       // the time at which both are looked at, in seconds
	Key       json.RawMessage `json:"key,omitempty"`
}

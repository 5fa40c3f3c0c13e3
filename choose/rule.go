package choose

import "slices"

// Condition holds if an answer to a question is one of Any, and none is one of Not.
type Condition struct {
	Question string
	Any      []string
	Not      []string
}

func is(question string, any ...string) Condition { return Condition{Question: question, Any: any} }

func not(question string, not ...string) Condition { return Condition{Question: question, Not: not} }

func (c Condition) holds(a Answers) bool {
	among := func(options []string) bool {
		return slices.ContainsFunc(a[c.Question], func(id string) bool { return slices.Contains(options, id) })
	}
	return (len(c.Any) == 0 || among(c.Any)) && !among(c.Not)
}

func hold(all []Condition, a Answers) bool {
	return !slices.ContainsFunc(all, func(c Condition) bool { return !c.holds(a) })
}

// Topic is something that must be decided, if its conditions hold.
type Topic struct {
	ID    string
	Title string
	If    []Condition
	Rules []Rule // the first whose conditions hold decides; the last has none
}

// Rule is a decision, and why.
type Rule struct {
	ID       string
	If       []Condition
	Choice   string
	Because  string
	Rows     []string          // of counterfoil compare, on which it rests
	Set      map[string]string // settings of counterfoil serve
	Commands []string          // to type once the server runs
}

// decide returns the rule of the topic for these answers; nil if the topic is of no concern.
func (t *Topic) decide(a Answers) *Rule {
	if !hold(t.If, a) {
		return nil
	}
	for n := range t.Rules {
		if hold(t.Rules[n].If, a) {
			return &t.Rules[n]
		}
	}
	return nil
}

package choose

import "slices"

// Advice is what is recommended for some answers.
type Advice struct {
	Answers   Answers    `json:"answers"`
	Needed    bool       `json:"needed"` // false: a library does it
	Decisions []Decision `json:"decisions"`
}

// Decision is one recommendation.
type Decision struct {
	Topic   string   `json:"topic"`
	Title   string   `json:"title"`
	Rule    string   `json:"rule"`
	Choice  string   `json:"choice"`
	Because string   `json:"because"`
	Rows    []string `json:"rows"` // of counterfoil compare

	answers Answers
	topic   *Topic
	rule    *Rule
}

// Flip is another choice, and the changed answers of which each alone leads to it.
type Flip struct {
	Choice string   `json:"choice"`
	If     []Change `json:"if"`
}

// Change is one answer that is not the one that was given.
type Change struct {
	Question string `json:"question"`
	Option   string `json:"option"`
	Effect   string `json:"effect"` // of the option: Instead, Added or Removed
}

// The effects of a Change. Only a question with several answers has the latter two.
const (
	Instead = "instead"
	Added   = "added"
	Removed = "removed"
)

// String is the change as a condition.
func (c Change) String() string {
	switch c.Effect {
	case Added:
		return c.Question + " has " + c.Option
	case Removed:
		return c.Question + " has no " + c.Option
	}
	return c.Question + " is " + c.Option
}

// Choose recommends. Answers are those of [Parse].
func Choose(a Answers) *Advice {
	advice := &Advice{Answers: a, Needed: true}
	for n := range Topics {
		t := &Topics[n]
		rule := t.decide(a)
		if rule == nil {
			continue
		}
		if t.ID == "need" {
			advice.Needed = rule.ID == "need-counterfoil"
		}
		advice.Decisions = append(advice.Decisions, Decision{
			Topic: t.ID, Title: t.Title, Rule: rule.ID, Choice: rule.Choice, Because: rule.Because, Rows: rule.Rows,
			answers: a, topic: t, rule: rule,
		})
	}
	return advice
}

// Flips are what would change the decision: all other choices that one changed answer leads to. It
// decides anew for each answer that was not given.
func (d Decision) Flips() (all []Flip) {
	d.answers.neighbours(func(change Change, b Answers) {
		other := d.topic.decide(b)
		if other == nil || other.Choice == d.Choice {
			return
		}
		n := slices.IndexFunc(all, func(f Flip) bool { return f.Choice == other.Choice })
		if n < 0 {
			n, all = len(all), append(all, Flip{Choice: other.Choice})
		}
		all[n].If = append(all[n].If, change)
	})
	return all
}

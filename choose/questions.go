package choose

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Question is something about a system that decides how it should carry logins.
type Question struct {
	ID      string // also the name of the flag and of the field
	Text    string
	Many    bool // several options may be true
	Options []Option
	Default []string // ids of options
}

// Option is a possible answer.
type Option struct {
	ID   string
	Text string
}

// Questions are all questions, in the order in which they are asked.
var Questions = []Question{
	{ID: "clients", Text: "Which programs call you?", Many: true, Default: []string{"pages"}, Options: []Option{
		{"pages", "pages that a server renders"},
		{"spa", "single-page apps in a browser"},
		{"mobile", "mobile or desktop apps"},
		{"machines", "services, scripts and devices"},
	}},
	{ID: "servers", Text: "How many programs check who is calling?", Default: []string{"one"}, Options: []Option{
		{"one", "one process"},
		{"several", "several copies of one program"},
		{"services", "several services"},
	}},
	{ID: "sites", Text: "At which hosts do browsers reach them?", Default: []string{"one-host"}, Options: []Option{
		{"one-host", "one host, pages and API together: app.example.com"},
		{"one-site", "several hosts of one site: app.example.com and api.example.com"},
		{"several-sites", "several sites: example.com and example.org"},
	}},
	{ID: "languages", Text: "In which language are the programs written that check?", Default: []string{"go"}, Options: []Option{
		{"go", "Go"},
		{"mixed", "Go and others"},
		{"other", "others"},
	}},
	{ID: "revocation", Text: "A session is ended, or a role is taken away. When must requests be refused?", Default: []string{"now"}, Options: []Option{
		{"now", "at once, and within seconds whatever fails"},
		{"soon", "soon: some seconds more do no harm"},
		{"expiry", "when the credential expires by itself"},
	}},
	{ID: "claims", Text: "May the holder of a credential read what is in it?", Default: []string{"readable"}, Options: []Option{
		{"readable", "yes"},
		{"hidden", "no: roles or identifiers in it are nobody's business"},
	}},
	{ID: "outage", Text: "The auth server cannot be reached. What should services do for callers that they know?", Default: []string{"refuse"}, Options: []Option{
		{"refuse", "refuse for now (503), and sign nobody out"},
		{"serve", "go on for a short time where that does little harm"},
	}},
	{ID: "store", Text: "What do you run already?", Default: []string{"files"}, Options: []Option{
		{"files", "no database server"},
		{"postgres", "PostgreSQL"},
		{"redis", "PostgreSQL and Redis"},
	}},
	{ID: "users", Text: "How many people are signed in at the same time?", Default: []string{"thousands"}, Options: []Option{
		{"thousands", "up to ten thousand"},
		{"hundreds-of-thousands", "up to a million"},
		{"millions", "more"},
	}},
}

// ErrAnswer is an answer that no question has.
var ErrAnswer = errors.New("unknown answer")

// Answers are ids of options, by the id of their question, in the order of the options.
type Answers map[string][]string

// Parse reads answers. A question without an answer gets its default. The error is [ErrAnswer].
func Parse(given map[string][]string) (Answers, error) {
	all := make(Answers)
	for _, q := range Questions {
		answer, err := q.parse(given[q.ID])
		if err != nil {
			return nil, err
		}
		all[q.ID] = answer
	}
	for id := range given {
		if _, ok := all[id]; !ok {
			return nil, fmt.Errorf("%w: there is no question %q", ErrAnswer, id)
		}
	}
	return all, nil
}

func (q *Question) parse(given []string) ([]string, error) {
	if len(given) == 0 {
		return q.Default, nil
	}
	for _, id := range given {
		if !slices.ContainsFunc(q.Options, func(o Option) bool { return o.ID == id }) {
			return nil, fmt.Errorf("%w: %s is %q: want %s", ErrAnswer, q.ID, id, strings.Join(q.ids(), ", "))
		}
	}
	if len(given) > 1 && !q.Many {
		return nil, fmt.Errorf("%w: %s has %d answers: want one", ErrAnswer, q.ID, len(given))
	}
	var in []string
	for _, id := range q.ids() {
		if slices.Contains(given, id) {
			in = append(in, id)
		}
	}
	return in, nil
}

func (q *Question) ids() (ids []string) {
	for _, o := range q.Options {
		ids = append(ids, o.ID)
	}
	return ids
}

// Combinations are all answers that can be given.
func Combinations() iter.Seq[Answers] {
	return func(yield func(Answers) bool) { combine(0, make(Answers), yield) }
}

// combine goes through the answers to the questions from n on, and reports whether to go on.
func combine(n int, a Answers, yield func(Answers) bool) bool {
	if n == len(Questions) {
		return yield(maps.Clone(a))
	}
	q := &Questions[n]
	for set := 1; set < 1<<len(q.Options); set++ { // a bit for each option
		if !q.Many && set&(set-1) != 0 {
			continue
		}
		var answer []string
		for bit, o := range q.Options {
			if set>>bit&1 == 1 {
				answer = append(answer, o.ID)
			}
		}
		if a[q.ID] = answer; !combine(n+1, a, yield) {
			return false
		}
	}
	return true
}

// Flags are the answers as a command line.
func (a Answers) Flags() string {
	var flags []string
	for _, q := range Questions {
		flags = append(flags, "--"+q.ID+"="+strings.Join(a[q.ID], ","))
	}
	return strings.Join(flags, " ")
}

// neighbours calls each with all answers that differ from a in one option.
func (a Answers) neighbours(each func(change Change, b Answers)) {
	for _, q := range Questions {
		for _, id := range q.ids() {
			now := a[q.ID]
			change, answer := Change{q.ID, id, Instead}, []string{id}
			switch has := slices.Contains(now, id); {
			case !q.Many && has, has && len(now) == 1: // nothing else, or no answer at all
				continue
			case q.Many && has:
				change.Effect, answer = Removed, slices.DeleteFunc(slices.Clone(now), func(other string) bool { return other == id })
			case q.Many:
				change.Effect, answer = Added, append(slices.Clone(now), id)
			}
			b := maps.Clone(a)
			b[q.ID], _ = q.parse(answer)
			each(change, b)
		}
	}
}

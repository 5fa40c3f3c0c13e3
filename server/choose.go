package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/choose"
	"github.com/counterfoil/counterfoil/internal/check"
)

// choosePage asks the questions of package choose, and shows what it recommends. It is the same
// for everybody, and says nothing of this server.
type choosePage struct {
	frame
	Questions []choose.Question
	Answers   choose.Answers
	Advice    *choose.Advice // nil: nothing was asked yet
}

// Has reports whether the option is the answer, or one of them.
func (p choosePage) Has(question, option string) bool {
	return slices.Contains(p.Answers[question], option)
}

// Rows are those of a decision as counterfoil compare takes them.
func (p choosePage) Rows(d choose.Decision) string { return strings.Join(d.Rows, ",") }

// Condition is a change in the words of the questions.
func (p choosePage) Condition(c choose.Change) string {
	for _, q := range p.Questions {
		for _, o := range q.Options {
			if q.ID == c.Question && o.ID == c.Option {
				return map[string]string{choose.Instead: "", choose.Added: "also ", choose.Removed: "no "}[c.Effect] + o.Text
			}
		}
	}
	return c.String()
}

func (s *Server) pageAdvice(w http.ResponseWriter, r *http.Request) error {
	given := r.URL.Query()
	answers, err := choose.Parse(given)
	if err != nil {
		return fmt.Errorf("%w: %w", check.ErrBadRequest, err)
	}
	page := choosePage{frame: frame{Title: plain("How should you carry logins?"), Layout: onPage, English: true}, Questions: choose.Questions, Answers: answers}
	if len(given) > 0 {
		page.Advice = choose.Choose(answers)
	}
	return s.render(w, r, http.StatusOK, "choose.html", &page)
}

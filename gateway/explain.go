package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Explain says which route decides about a request and why, or why none does. Without as, the
// request carries no credential. With it, it carries one of such a session, by each carrier in turn.
func Explain(routes []Route, method, url string, as *counterfoil.Session) (string, error) {
	all, err := newTable(routes)
	if err != nil {
		return "", err
	}
	q, ok := about(method, url)
	if !ok {
		return "", errors.New("want a URL such as https://app.example.com/path")
	}
	var r *route
	t := target{}
	refused := t.parse(&q)
	if refused == nil {
		r, refused = all.find(&t, method)
	}
	text := ""
	switch {
	case refused != nil:
		text = fmt.Sprintf("%d %s: %s", refused.Status, refused.Type, refused.Detail)
	case r.Anonymous:
		text = "200 for everybody"
	case as == nil:
		text = "asks for a session" + demands(r.rules())
	default:
		text = r.verdicts(as)
	}
	if r != nil && len(r.Upstreams) > 0 {
		text += "\npassed on by the gateway itself to: " + strings.Join(r.Upstreams, " or ")
	}
	if r != nil && r.BFF != "" {
		text += "\nthe service gets a token of client " + r.BFF
	}
	if r != nil {
		text += "\nroute: " + r.label
	}
	return text, nil
}

// demands is what rules say to a session that has nothing.
func demands(rules []counterfoil.Rule) (text string) {
	for _, rule := range rules {
		err := rule(new(counterfoil.Session), time.Now())
		if err == nil {
			continue
		}
		text += "\ndemands: " + demand(err)
	}
	return text
}

// demand is what a rule wants that refused with err.
func demand(err error) string {
	text := strings.TrimPrefix(err.Error(), counterfoil.ErrForbidden.Error()+": ")
	return strings.Replace(text, counterfoil.ErrStepUp.Error(), "login", 1)
}

var carriers = []counterfoil.Carrier{
	counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE, counterfoil.CarrierJWECookie,
}

// verdicts is what a session gets: a line for each answer, with the carriers that get it.
func (r *route) verdicts(as *counterfoil.Session) string {
	var answers []string
	by := map[string][]string{}
	for _, c := range carriers {
		answer := r.answer(as, c)
		if by[answer] == nil {
			answers = append(answers, answer)
		}
		by[answer] = append(by[answer], c.String())
	}
	for n, answer := range answers {
		if len(answers) > 1 {
			answers[n] += " (by " + strings.Join(by[answer], ", ") + ")"
		}
	}
	return strings.Join(answers, "\n")
}

// answer is what a session gets by one carrier.
func (r *route) answer(as *counterfoil.Session, by counterfoil.Carrier) string {
	if r.Transport != 0 && r.Transport != by.Transport || r.Formats != nil && !slices.Contains(r.Formats, by.Format) {
		return "401: the route does not take this carrier"
	}
	session := *as
	session.Carrier = by
	for _, rule := range r.rules() {
		if err := rule(&session, time.Now()); err != nil {
			p := refusal.For(err, false)
			text := fmt.Sprintf("%d %s: %s", p.Status, p.Type, demand(err))
			if again, is := errors.AsType[*refusal.StepUpError](err); is && again.ACR != nil && session.ACR == "" {
				text += ". The login has none: say which with --acr"
			}
			return text
		}
	}
	return "200"
}

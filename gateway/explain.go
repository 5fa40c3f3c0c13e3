package gateway

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Explain says which route decides about a request and why, or why none does. The request is
// one that carries no credential.
func Explain(routes []Route, method, url string) (string, error) {
	all, err := newTable(routes)
	if err != nil {
		return "", err
	}
	q, ok := about(method, url)
	if !ok {
		return "", errors.New("want a URL such as https://app.example.com/path")
	}
	var r *route
	t, refused := parseTarget(q)
	if refused == nil {
		r, refused = all.find(t, method)
	}
	text := ""
	switch {
	case refused != nil:
		text = fmt.Sprintf("%d %s: %s", refused.Status, refused.Type, refused.Detail)
	case r.Anonymous:
		text = "200 for everybody"
	default:
		text = "asks for a session" + demands(r.Rules)
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
		demand := strings.TrimPrefix(err.Error(), counterfoil.ErrForbidden.Error()+": ")
		text += "\ndemands: " + strings.Replace(demand, counterfoil.ErrStepUp.Error(), "login", 1)
	}
	return text
}

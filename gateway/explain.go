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
	t, refused := parseTarget(q)
	if refused != nil {
		return fmt.Sprintf("%d %s: %s", refused.Status, refused.Type, refused.Detail), nil
	}
	r, refused := all.find(t, method)
	switch {
	case refused != nil && r != nil:
		return fmt.Sprintf("%d %s: %s\nroute: %s", refused.Status, refused.Type, refused.Detail, r.label), nil
	case refused != nil:
		return fmt.Sprintf("%d %s: %s", refused.Status, refused.Type, refused.Detail), nil
	case r.Anonymous:
		return "200 for everybody\nroute: " + r.label, nil
	}
	return "asks for a session" + demands(r.Rules) + "\nroute: " + r.label, nil
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

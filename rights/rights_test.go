package rights_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/rights"
)

func TestNeed(t *testing.T) {
	for name, c := range map[string]struct {
		who  rights.Actor
		has  []rights.Right
		owns bool
	}{
		"nobody":  {},
		"reader":  {who: rights.Of(rights.Read, rights.Audit), has: []rights.Right{rights.Read, rights.Audit}},
		"program": {who: rights.Program(), has: rights.All()},
		"owner":   {who: rights.Owner(), has: rights.All(), owns: true},
	} {
		has := map[rights.Right]bool{}
		for _, r := range c.has {
			has[r] = true
		}
		for _, r := range append(rights.All(), "", "root") {
			err := c.who.Need(r)
			if c.who.May(r) != has[r] || (err == nil) != has[r] || err != nil && !errors.Is(err, counterfoil.ErrForbidden) {
				t.Errorf("%s: May(%q) = %v, Need(%q) = %v, want %v", name, r, c.who.May(r), r, err, has[r])
			}
		}
		if c.who.Owns() != c.owns {
			t.Errorf("%s: Owns() = %v", name, c.who.Owns())
		}
	}
}

package clients_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/store/memory"
)

// HDR-03: a sign-in leads to the issuer's own origin, or to one that the client lists while
// it is enabled.
func TestReturnTo(t *testing.T) {
	db := memory.New()
	g := open(t, db, db)
	const own = "https://auth.test"
	set(t, g, "web", clients.Client{Origins: []string{"https://app.test", own}})
	set(t, g, "shut", clients.Client{Origins: []string{"https://app.test"}, Disabled: true})
	set(t, g, clients.Default, clients.Client{Origins: []string{"https://start.test"}})
	for _, c := range []struct {
		client, text, origin string
		refused              bool
	}{
		{"", "", "", false}, {"web", "/notes", "", false}, {"web", own + "/notes", "", false}, {"nobody", "/notes", "", false}, {"shut", "/notes", "", false},
		{"web", "https://app.test/notes", "https://app.test", false}, {"", "https://start.test/", "https://start.test", false}, {"default", "https://start.test/", "https://start.test", false},
		{"", "https://app.test/notes", "", true}, {"web", "https://start.test/", "", true}, {"shut", "https://app.test/", "", true}, {"nobody", "https://app.test/", "", true},
		{"a b", "https://app.test/", "", true}, {"web", "//app.test", "", true}, {"web", "https://app.test.evil.test", "", true}, {"web", own + "//x", "", true},
	} {
		got, err := g.ReturnTo(t.Context(), c.client, c.text, own)
		want := c.text
		if c.refused {
			want = ""
		}
		if errors.Is(err, clients.ErrReturnTo) != c.refused || err != nil && !c.refused || got.String() != want || got.Origin() != c.origin {
			t.Errorf("ReturnTo(%q, %q) = %q of %q, %v", c.client, c.text, got, got.Origin(), err)
		}
	}
}

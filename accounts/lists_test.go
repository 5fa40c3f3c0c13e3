package accounts_test

import (
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// Pages of clients and of API keys hold each of them once, in the same order on each engine. The state of a key is that of now on
// each page.
func TestPagesOnEachEngine(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := open(t, engine(t))
			ctx := t.Context()
			ids := []string{clients.Default}
			for _, id := range []string{"App", "app", "a-b", "a_b", "Default", "defaults", "~x", "0"} {
				must(t, n.Issuer().Clients().Set(ctx, rights.Owner(), id, audit.Act{}, func(*clients.Client) {}))
				ids = append(ids, id)
			}
			slices.Sort(ids)
			for limit := 1; limit <= len(ids)+1; limit++ {
				got := walk(t, limit, func(after string) ([]clients.Client, bool, error) {
					return n.Issuer().Clients().List(ctx, after, limit)
				},
					func(c clients.Client) string { return c.ID })
				if !slices.Equal(got, ids) {
					t.Errorf("clients in pages of %d: %q, want %q", limit, got, ids)
				}
			}

			ids = nil
			for range 7 {
				k, _, err := n.Users().NewKey(ctx, rights.Owner(), noAct, directory.APIKey{Client: "app", Scopes: []string{directory.ScopeFeed}})
				must(t, err)
				ids = append(ids, k.ID)
			}
			slices.Sort(ids)
			must(t, n.revoke(source.ScopeClient, "app"))
			for limit := 1; limit <= len(ids)+1; limit++ {
				got := walk(t, limit, func(after string) ([]accounts.Key, bool, error) { return n.Users().Keys(ctx, after, limit) }, func(k accounts.Key) string {
					if one, err := n.Users().KeyByID(ctx, k.ID); err != nil || one.State != accounts.KeyEnded || k.State != accounts.KeyEnded {
						t.Errorf("a key that has ended is listed as %s, and shown as %s, %v", k.State, one.State, err)
					}
					return k.ID
				})
				if !slices.Equal(got, ids) {
					t.Errorf("API keys in pages of %d: %q, want %q", limit, got, ids)
				}
			}
		})
	}
}

// walk returns the ids of all pages.
func walk[E any](t *testing.T, limit int, read func(after string) ([]E, bool, error), id func(E) string) (ids []string) {
	t.Helper()
	for after, more := "", true; more; {
		page, further, err := read(after)
		must(t, err)
		if len(page) == 0 || len(page) > limit {
			t.Fatalf("after %q: a page of %d entries, the limit is %d", after, len(page), limit)
		}
		for _, e := range page {
			ids = append(ids, id(e))
		}
		after, more = ids[len(ids)-1], further
	}
	return ids
}

package accounts_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
)

// Whatever a program does with sessions, it does it for the same clients: those of its API key.
func TestClientsOfKey(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	u := n.user("ann")
	for _, client := range []string{clients.Default, "shop", "orders", "web"} {
		must(t, n.Issuer().Clients().Set(t.Context(), rights.Owner(), client, noAct, func(c *clients.Client) { c.Origins = []string{"https://" + client + ".test"} }))
	}
	signIn := func(client string, carrier counterfoil.Carrier) *issuer.Issued {
		t.Helper()
		issued, err := n.Users().SignIn(t.Context(), rights.Owner(), u.ID, u.Roles, issuer.Request{Client: client, Carrier: carrier}, nil)
		must(t, err)
		return issued
	}
	browser := signIn("web", counterfoil.CarrierCookie).Access.Reveal()
	redeem := func(client, named string, by *directory.APIKey) error {
		t.Helper()
		sum := sha256.Sum256([]byte("verifier"))
		origin := "https://" + client + ".test"
		code, err := n.Issuer().HandOver(t.Context(), signIn(client, counterfoil.CarrierCookie).Session, issuer.Handover{
			Client: client, Origin: origin, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Act: noAct,
		})
		must(t, err)
		_, err = n.Users().RedeemCode(t.Context(), issuer.Redemption{Client: named, Origin: origin, Code: code, Verifier: secret.New("verifier")}, by)
		return err
	}
	const none = "" // ErrOtherClient
	for _, c := range []struct {
		key   directory.APIKey
		named string
		want  string // the client whose session it is
	}{
		{directory.APIKey{Client: "shop"}, "", "shop"},
		{directory.APIKey{Client: "shop"}, "shop", "shop"},
		{directory.APIKey{Client: "shop"}, "orders", none},
		{directory.APIKey{Client: "gw", Clients: []string{"orders", "shop"}}, "", "orders"},
		{directory.APIKey{Client: "gw", Clients: []string{"orders", "shop"}}, "shop", "shop"},
		{directory.APIKey{Client: "shop", Clients: []string{"orders"}}, "shop", none},
		{directory.APIKey{Client: "shop", Clients: []string{"*"}}, "", clients.Default},
		{directory.APIKey{Client: "shop", Clients: []string{"*"}}, "orders", "orders"},
		{directory.APIKey{Client: "shop", Clients: []string{"orders", "*"}}, "", "orders"},
		{directory.APIKey{Client: "shop", Scopes: []string{directory.ScopeAdmin}}, "", clients.Default},
		{directory.APIKey{Client: "shop", Scopes: []string{directory.ScopeAdmin}}, "orders", "orders"},
		{directory.APIKey{Client: "gw", Clients: []string{"shop"}, Scopes: []string{directory.ScopeAdmin}}, "", "shop"},
		{directory.APIKey{Client: "gw", Clients: []string{"shop"}, Scopes: []string{directory.ScopeAdmin}}, "orders", "orders"},
	} {
		check := func(what, got string, err error) {
			t.Helper()
			if c.want == none && !errors.Is(err, accounts.ErrOtherClient) || c.want != none && (err != nil || got != c.want) {
				t.Errorf("%s with a key of %s for %q (%v), client %q: %q, %v, want %q", what, c.key.Client, c.key.Clients, c.key.Scopes, c.named, got, err, c.want)
			}
		}
		ask := issuer.Request{Client: c.named, Act: noAct}
		c.key.Scopes = append(slices.Clone(c.key.Scopes), directory.ScopeSessions, directory.ScopeExchange, directory.ScopeHandover)
		made, err := n.Users().SignIn(t.Context(), accounts.OfKey(c.key), u.ID, u.Roles, ask, &c.key)
		check("sign-in", clientOf(made), err)
		made, err = n.Users().Exchange(t.Context(), browser, ask, &c.key)
		check("exchange", clientOf(made), err)
		check("handover", c.want, redeem(cmp.Or(c.want, "orders"), c.named, &c.key))
	}
}

func clientOf(made *issuer.Issued) string {
	if made == nil {
		return ""
	}
	return made.Session.Client
}

package issuer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store/memory"
)

// TOK-21: a service that a client sends its token to has the token, too. It opens neither
// the account nor the administration, unless the client says so, whatever audience the
// deployment has. What was made for a cookie opens the account, in a cookie.
func TestWhatOpensTheAccount(t *testing.T) {
	const header, cookie = counterfoil.Header, counterfoil.Cookie
	jwtCookie, bearer := counterfoil.CarrierJWTCookie, counterfoil.CarrierBearer
	const url, api = "https://auth.test", "https://api.test"
	no, forbidden := counterfoil.ErrInvalidToken, counterfoil.ErrForbidden
	for _, c := range []struct {
		deployment, audience []string // of the issuer, and of the client
		client, opens        string
		carrier              counterfoil.Carrier
		by                   counterfoil.Transport
		account, administer  error
	}{
		{nil, nil, clients.Default, "", bearer, header, nil, forbidden},
		{nil, nil, clients.Default, "", bearer, cookie, nil, forbidden}, // put into a cookie by who has it
		{nil, nil, clients.Default, "", jwtCookie, cookie, nil, nil},    // the pages
		{nil, nil, clients.Default, "", jwtCookie, header, nil, forbidden},
		{nil, nil, clients.Default, "", counterfoil.CarrierCookie, cookie, nil, nil},
		{nil, nil, clients.Default, "nothing", bearer, header, forbidden, forbidden},
		{nil, nil, clients.Default, "administration", bearer, header, nil, nil},
		{nil, nil, "shop", "", bearer, header, forbidden, forbidden},
		{nil, nil, "shop", "", jwtCookie, cookie, nil, forbidden},
		{nil, nil, "shop", "", jwtCookie, header, forbidden, forbidden},
		{nil, nil, "shop", "account", bearer, header, nil, forbidden},
		{nil, nil, "shop", "administration", bearer, header, nil, nil},
		{nil, nil, "shop", "administration", jwtCookie, cookie, nil, nil},
		{[]string{api}, nil, clients.Default, "", bearer, header, no, no}, // the audience of the deployment is not the issuer
		{[]string{api}, nil, clients.Default, "", jwtCookie, cookie, nil, nil},
		{[]string{api}, nil, "shop", "administration", bearer, header, no, no},
		{[]string{api}, []string{url}, "shop", "administration", bearer, header, nil, nil},
		{nil, []string{api}, "shop", "administration", bearer, header, no, no},
		{nil, []string{api, url}, "shop", "", bearer, header, forbidden, forbidden},
	} {
		s := memory.New()
		keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		i, err := issuer.New(issuer.Options{Store: s, Keys: keys, URL: url, Audience: c.deployment})
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Clients().Set(t.Context(), rights.Owner(), c.client, audit.Act{}, func(to *clients.Client) { to.Audience, to.Opens = c.audience, c.opens }); err != nil {
			t.Fatal(err)
		}
		got, err := (&bench{Issuer: i, clock: &clock{now: time.Now()}}).loginBy(t, issuer.Request{Client: c.client, Carrier: c.carrier})
		if err != nil {
			t.Fatal(err)
		}
		access := got.Access.Reveal()
		_, account := i.Account(t.Context(), access, c.by)
		_, administer := i.Administration(t.Context(), access, c.by)
		if !errors.Is(account, c.account) || !errors.Is(administer, c.administer) {
			t.Errorf("deployment %q, client %s %q opens %q, %v by %v: Account = %v, Administration = %v, want %v and %v",
				c.deployment, c.client, c.audience, c.opens, c.carrier, c.by, account, administer, c.account, c.administer)
		}
	}
}

// Who shares the secret of HS256 can sign what it wants about a session that lives. The
// issuer takes roles, scopes and the time of the login from its row, and a token from the
// future ends nothing.
func TestForgedWithTheSharedSecret(t *testing.T) {
	s := memory.New()
	keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Alg: token.HS256})
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(issuer.Options{Store: s, Keys: keys, URL: "https://auth.test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Scopes = []string{"read"} }); err != nil {
		t.Fatal(err)
	}
	b := &bench{Issuer: i, clock: &clock{now: time.Now()}}
	access := b.login(t, "alice", counterfoil.CarrierBearer).Access.Reveal()
	honest, err := i.Lookup(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(change func(*token.Claims)) string {
		t.Helper()
		payload, _, err := token.VerifyJWS(access, token.AccessType, keys.Find)
		if err != nil {
			t.Fatal(err)
		}
		c, err := token.ParseClaims(payload)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		text, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		signed, err := keys.Signer().Sign(token.AccessType, text)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	got, err := i.Lookup(t.Context(), forge(func(c *token.Claims) {
		c.Roles, c.Scopes, c.ACR, c.Methods = []string{"admin"}, []string{"read", "write"}, "gold", []string{"hwk"}
		c.AuthTime, c.ClaimsVersion, c.Attributes = c.AuthTime+3600, 99, map[string]string{"tenant": "other"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got.HasRole("admin") || len(got.Scopes) != 1 || got.ACR != honest.ACR || len(got.Attributes) != 0 || !got.AuthTime.Equal(honest.AuthTime) {
		t.Errorf("the issuer believes %+v", got)
	}
	beyond := honest.Born
	beyond.Seq += 1 << 20
	if _, err := i.Lookup(t.Context(), forge(func(c *token.Claims) { c.RV = beyond.String() })); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("a token from the future: %v, want ErrInvalidToken", err)
	}
	if _, err := i.Lookup(t.Context(), access); err != nil {
		t.Errorf("after it the honest token is %v: a new epoch has begun", err)
	}
}

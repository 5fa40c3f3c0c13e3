// Package counterfoiltest is for tests of programs that use Counterfoil. [New] starts a real
// auth server on a memory store, in one line.
//
//	is := counterfoiltest.New(t)
//	handler := is.Verifier().Require(yours)
//	request.Header.Set("Authorization", "Bearer "+is.Token("alice"))
//
// It has no mocks: tokens are signed, sessions are rows, and [Issuer.Revoke] writes to the
// log that verifiers follow in production.
package counterfoiltest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// Issuer is a running auth server. It ends with the test.
type Issuer struct {
	URL    string // of the server, on loopback; also the audience of its tokens
	APIKey string // with every scope

	t        testing.TB
	embedded *server.Embedded
	verifier *counterfoil.Verifier
}

// New starts an auth server, and a verifier that follows it over HTTP as a service does.
func New(t testing.TB) *Issuer {
	t.Helper()
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	db := memory.New()
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	embedded, err := server.Open(ctx, server.Config{Store: db, URL: web.URL, NoVerifier: true, InsecureHashes: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = embedded.Close() })
	handler = embedded
	_, key, err := embedded.Users().NewKey(ctx, rights.Program(), audit.Act{}, directory.APIKey{
		Client: "test", Scopes: []string{directory.ScopeAdmin, directory.ScopeFeed, directory.ScopeIntrospect, directory.ScopeExchange, directory.ScopeHandover}, Clients: []string{"*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	is := &Issuer{URL: web.URL, APIKey: key.Reveal(), t: t, embedded: embedded}
	source, err := counterfoil.Remote(web.URL, counterfoil.RemoteOptions{Credential: is.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	is.verifier, err = counterfoil.NewVerifier(ctx, source, counterfoil.Options{Issuer: web.URL, Audience: web.URL, InsecureCookies: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(is.verifier.Close)
	return is
}

// Verifier returns the verifier, which follows the server over HTTP.
func (is *Issuer) Verifier() *counterfoil.Verifier { return is.verifier }

// Login signs in subject by carrier, with roles. It returns the credentials of the client. It
// needs no password.
func (is *Issuer) Login(subject string, carrier counterfoil.Carrier, roles ...string) *issuer.Issued {
	is.t.Helper()
	ctx := context.Background()
	rev, err := is.embedded.Issuer().SubjectRev(ctx, subject)
	if err != nil {
		is.t.Fatal(err)
	}
	issued, err := is.embedded.Issuer().Login(ctx, login.Proof{
		Subject: subject, Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev, Roles: roles,
	}, issuer.Request{Carrier: carrier})
	if err != nil {
		is.t.Fatal(err)
	}
	return issued
}

// Token returns an access token of a new session of subject.
func (is *Issuer) Token(subject string, roles ...string) string {
	is.t.Helper()
	return is.Login(subject, counterfoil.CarrierBearer, roles...).Access.Reveal()
}

// Authorize signs in subject and puts the credential on r, as its carrier does. For a cookie
// it also sets the Origin header to the server's own origin.
func (is *Issuer) Authorize(r *http.Request, subject string, carrier counterfoil.Carrier, roles ...string) {
	is.t.Helper()
	access := is.Login(subject, carrier, roles...).Access.Reveal()
	if carrier.Transport == counterfoil.Header {
		r.Header.Set("Authorization", "Bearer "+access)
		return
	}
	r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: access})
	r.Header.Set("Origin", is.URL)
}

// Revoke revokes what scope and id name. It returns when the verifier has read the entry.
func (is *Issuer) Revoke(scope source.Scope, id string) {
	is.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	receipt, err := is.embedded.Issuer().Revoke(ctx, scope, id, audit.Act{})
	if err == nil {
		err = is.verifier.WaitFor(ctx, receipt.At)
	}
	if err != nil {
		is.t.Fatal(err)
	}
}

// SetRoles changes the roles of subject in all its sessions. It returns when the verifier has
// read the entry. Then the verifier refuses copies with the old roles with
// [counterfoil.ErrStaleClaims]. A refresh gives the new roles. An opaque session has the new
// roles at once.
func (is *Issuer) SetRoles(subject string, roles ...string) {
	is.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	auth := is.embedded.Issuer()
	err := auth.SetSubject(ctx, subject, audit.Act{}, func(s *issuer.Subject) { s.Roles = append([]string{}, roles...) })
	if err != nil {
		is.t.Fatal(err)
	}
	head, err := auth.Head(ctx)
	if err == nil {
		err = is.verifier.WaitFor(ctx, head)
	}
	if err != nil {
		is.t.Fatal(err)
	}
}

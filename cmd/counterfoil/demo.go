package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/rights"
)

// demoPassword is public. So nobody may choose it, and a store with the demo's users is marked as
// a demo's.
const demoPassword = "correct horse battery staple"

// demoHash is the hash of demoPassword, made with the costs of package password.
const demoHash = "$argon2id$v=19$m=65536,t=2,p=1$Y291bnRlcmZvaWwgZGVtbw$8qkXT2mF3LUdgE6X0qJmNjDifUexpz2OSrrhgI1o+ls"

// demoUsers adds three users. The server must not listen before: it would refuse a right
// password.
func demoUsers(ctx context.Context, users *accounts.Accounts, log *slog.Logger) error {
	log.Warn("demo: the users' password is public; do not put anything real here")
	for name, roles := range map[string][]string{"alice": nil, "bob": nil, "admin": {"admin"}} {
		// An import may bring a password that nobody may choose.
		u := directory.User{Identifier: name, Name: name, Roles: roles}
		_, err := users.Import(ctx, rights.Owner(), audit.Act{By: audit.ByLocal}, u, demoHash, false)
		if err != nil && !errors.Is(err, directory.ErrTaken) { // taken: an earlier demo used this store
			return fmt.Errorf("demo user %s: %w", name, err)
		}
	}
	return nil
}

// demo starts the sample service and prints commands to try.
func demo(ctx context.Context, users *accounts.Accounts, url, address string, log *slog.Logger) error {
	_, key, err := users.NewKey(ctx, rights.Owner(), audit.Act{By: audit.ByLocal}, directory.APIKey{Client: "demo-service", Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect}})
	if err != nil {
		return fmt.Errorf("demo key: %w", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("demo service: %w\nhint: name another address with --demo-listen", err)
	}
	handler, err := sampleService(ctx, url, key.Reveal())
	if err != nil {
		return errors.Join(fmt.Errorf("demo service: %w", err), listener.Close())
	}
	live := newLivePage(url, "http://"+listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", handler)
	live.routes(mux)
	go func() {
		if err := ops.Serve(ctx, listener, mux); err != nil {
			log.Error("demo service", "error", err.Error())
		}
	}()
	live.run(ctx, signInWithin, log)
	fmt.Printf(`
Counterfoil demo
  watch it:       http://%[2]s/live
  sign in:        %[1]s/login
  console:        %[1]s/admin (sign in as admin)
  sample service: http://%[2]s/
  users:          alice, bob, admin
  password:       %[3]s

Try it:
  TOKEN=$(curl -s %[1]s/v1/login -H 'Content-Type: application/json' -d '{"identifier":"alice","password":"%[3]s","carrier":"bearer"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/'); curl -H "Authorization: Bearer $TOKEN" http://%[2]s/
Then sign in as alice at %[1]s/, end that session there, and call the service again.

`, url, listener.Addr().String(), demoPassword)
	return nil
}

// sampleService is an example of a service: of this module it uses only the root package.
func sampleService(ctx context.Context, issuerURL, key string) (http.Handler, error) {
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	source, err := counterfoil.Remote(issuerURL, counterfoil.RemoteOptions{Credential: key})
	if err != nil {
		return nil, err
	}
	verifier, err := counterfoil.NewVerifier(starting, source, counterfoil.Options{Issuer: issuerURL, Audience: issuerURL, InsecureCookies: true})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, verifier.Close)
	return verifier.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "hello %s by %s\n", session.Subject, session.Carrier)
	})), nil
}

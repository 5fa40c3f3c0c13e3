// Command app is the first program of docs/tutorial.md: a web app with the auth
// server inside it.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

func main() {
	ctx := context.Background()
	auth, err := server.Open(ctx, server.Config{Store: memory.New(), URL: "http://127.0.0.1:8090"})
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()

	// Two people, and a key for the service of the second part.
	for name, roles := range map[string][]string{"alice": {"boss"}, "bob": {"staff"}} {
		if err := auth.AddUser(ctx, name, "blue kettle under the stairs", roles...); err != nil {
			log.Fatal(err)
		}
	}
	_, key, err := auth.Users().NewKey(ctx, rights.Program(), audit.Act{By: audit.ByLocal}, directory.APIKey{
		Client: "reports", Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("export COUNTERFOIL_API_KEY=" + key.Reveal())

	mux := http.NewServeMux()
	mux.Handle("/", auth) // the API, the sign-in page, the key set, the revocation log

	mux.Handle("GET /hello", auth.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s, by %s\n", session.Subject, session.Carrier)
	})))

	// The boss sends people home: their account is disabled, and every session ends.
	mux.Handle("POST /home/{name}", auth.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		user, err := auth.Users().ByIdentifier(r.Context(), r.PathValue("name"))
		if err == nil {
			_, err = auth.Users().Update(r.Context(), rights.Program(), user.ID, audit.Act{By: audit.BySubject(session.Subject)}, func(u *directory.User) error {
				u.Status = directory.Disabled
				return nil
			})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, r.PathValue("name"), "is signed out everywhere")
	}), counterfoil.Role("boss")))

	log.Fatal(http.ListenAndServe("127.0.0.1:8090", mux))
}

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// An auth server inside a program, beside a handler that it protects. Alice signs in over
// HTTP, is let in, and is refused once her session is revoked.
func Example() {
	ctx := context.Background()
	mux := http.NewServeMux()
	web := httptest.NewServer(mux) // in a program: an http.Server with TLS
	defer web.Close()

	auth, err := server.Open(ctx, server.Config{Store: memory.New(), URL: web.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
	mux.Handle("/", auth) // sign-in page, API, key set, revocation log
	mux.Handle("GET /reports", auth.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintln(w, session.Roles)
	}), counterfoil.Role("staff")))

	if err := auth.AddUser(ctx, "alice", "blue kettle under the stairs", "staff"); err != nil {
		log.Fatal(err)
	}
	answer, err := http.Post(web.URL+"/v1/login", "application/json", strings.NewReader(
		`{"identifier": "alice", "password": "blue kettle under the stairs", "carrier": "bearer"}`))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	var login struct {
		AccessToken string `json:"access_token"`
		Session     struct{ ID string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&login); err != nil {
		log.Fatal(err)
	}

	reports := func() string {
		r, err := http.NewRequest("GET", web.URL+"/reports", nil)
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+login.AccessToken)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.Status
	}
	fmt.Println(reports())
	receipt, err := auth.Issuer().Revoke(ctx, source.ScopeSession, login.Session.ID, audit.Act{Reason: "lost phone"})
	if err != nil {
		log.Fatal(err)
	}
	// The verifier hears of it by itself, within milliseconds. An example must not race.
	if err := auth.Verifier().WaitFor(ctx, receipt.At); err != nil {
		log.Fatal(err)
	}
	fmt.Println(reports())
	// Output:
	// 200 OK
	// 401 Unauthorized
}

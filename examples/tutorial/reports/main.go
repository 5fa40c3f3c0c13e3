// Command reports is the second program of docs/tutorial.md: a service that imports the
// root package and nothing else of Counterfoil.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/counterfoil/counterfoil"
)

func main() {
	const issuer = "http://127.0.0.1:8090"
	source, err := counterfoil.Remote(issuer, counterfoil.RemoteOptions{Credential: os.Getenv("COUNTERFOIL_API_KEY")})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := counterfoil.NewVerifier(context.Background(), source, counterfoil.Options{
		Issuer: issuer, Audience: issuer, InsecureCookies: true, // plain http is for loopback only
	})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	reports := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "three reports for %s\n", session.Subject)
	})
	http.Handle("GET /reports", verifier.Require(reports, counterfoil.Role("staff")))
	log.Fatal(http.ListenAndServe("127.0.0.1:8091", nil))
}

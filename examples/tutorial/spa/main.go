// Command spa serves a single-page app and its API on one origin. The auth server is at another origin: the
// page signs in there, and sends its token to the API, which checks it.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"os"

	"github.com/counterfoil/counterfoil"
)

//go:embed static
var static embed.FS

func main() {
	listen := flag.String("listen", "127.0.0.1:8094", "address to listen on")
	issuer := flag.String("issuer", "http://127.0.0.1:8080", "URL of the auth server")
	flag.Parse()
	source, err := counterfoil.Remote(*issuer, counterfoil.RemoteOptions{Credential: os.Getenv("COUNTERFOIL_API_KEY")})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := counterfoil.NewVerifier(context.Background(), source, counterfoil.Options{
		Issuer:          *issuer,
		Audience:        *issuer,
		InsecureCookies: true, // on loopback only
	})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	mux := http.NewServeMux()
	mux.Handle("GET /api/hello", verifier.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s, by %s\n", session.Subject, session.Carrier)
	})))
	page := template.Must(template.ParseFS(static, "static/index.html"))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		// The page runs its own script and the client of the auth server, and connects to these two alone.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+*issuer+"; connect-src 'self' "+*issuer+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		if err := page.Execute(w, *issuer); err != nil {
			log.Print(err)
		}
	})
	mux.Handle("GET /static/", http.FileServerFS(static))
	log.Fatal(http.ListenAndServe(*listen, mux))
}

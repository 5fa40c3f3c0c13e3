// Command spa is a single-page app without a build step, its API, and an auth server, which is of another
// origin: http://127.0.0.1:8095 and :8094. Page and API know of the auth server only what a page and a service
// of yours would.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

//go:embed static
var static embed.FS

const password = "blue kettle under the stairs"

func main() {
	listen := flag.String("listen", "127.0.0.1:8095", "address of the page and its API")
	auth := flag.String("auth-listen", "127.0.0.1:8094", "address of the auth server")
	fresh := flag.Duration("fresh", time.Minute, "how old the sign-in may be of somebody who deletes notes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *auth, *fresh); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, pageAddress, authAddress string, fresh time.Duration) error {
	page, err := net.Listen("tcp", pageAddress)
	if err != nil {
		return err
	}
	issuer, err := net.Listen("tcp", authAddress)
	if err != nil {
		return err
	}
	origin, issuerURL := "http://"+page.Addr().String(), "http://"+issuer.Addr().String()
	auth, err := server.Open(ctx, server.Config{Store: memory.New(), URL: issuerURL})
	if err != nil {
		return err
	}
	defer auth.Close()
	if err := auth.AddUser(ctx, "alice", password); err != nil {
		return err
	}
	// The client of the page: its tokens are for the API, and open the account, so that the page can step up.
	err = auth.Issuer().Clients().Set(ctx, rights.Program(), "spa", audit.Act{By: audit.ByLocal}, func(c *clients.Client) {
		c.Origins, c.Carriers = []string{origin}, []counterfoil.Carrier{counterfoil.CarrierBearer}
		c.Opens = clients.OpensAccount
	})
	if err != nil {
		return err
	}
	app, err := handler(auth.Verifier(), issuerURL, fresh)
	if err != nil {
		return err
	}
	fmt.Printf("%s, sign in as alice with the password %q\n", origin, password)
	done := make(chan error, 2)
	for listener, h := range map[net.Listener]http.Handler{page: app, issuer: auth} {
		web := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
		context.AfterFunc(ctx, func() { _ = web.Close() })
		go func() { done <- web.Serve(listener) }()
	}
	if err := <-done; err != http.ErrServerClosed {
		return err
	}
	return nil
}

// handler serves the page and its API. The page may run its own module and that of the auth server, and
// connect to both origins.
func handler(verifier *counterfoil.Verifier, issuer string, fresh time.Duration) (http.Handler, error) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /settings.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, "export const issuer = %q;\n", issuer)
	})
	hello := func(w http.ResponseWriter, r *http.Request) {
		s, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "%s %s by %s", r.Method, s.Subject, s.Carrier)
	}
	mux.Handle("GET /api/notes", verifier.Require(http.HandlerFunc(hello)))
	mux.Handle("DELETE /api/notes", verifier.Require(http.HandlerFunc(hello), counterfoil.Fresh(fresh)))
	policy := "default-src 'none'; script-src 'self' " + issuer + "; style-src 'self'; img-src data:; connect-src 'self' " + issuer + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	}), nil
}

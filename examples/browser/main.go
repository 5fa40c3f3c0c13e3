// Command browser serves a page without a build step. The page signs in, calls an API and
// refreshes silently. Page, API and auth server share an origin. The tokens are in HttpOnly
// cookies, which no script can read.
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
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

//go:embed static
var static embed.FS

func main() {
	listen := flag.String("listen", "127.0.0.1:8092", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, listener); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listener net.Listener) error {
	url := "http://" + listener.Addr().String()
	auth, err := server.Open(ctx, server.Config{Store: memory.New(), URL: url})
	if err != nil {
		return err
	}
	defer auth.Close()
	if err := auth.AddUser(ctx, "alice", "blue kettle under the stairs"); err != nil {
		return err
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", auth)
	mux.Handle("GET /app/", http.StripPrefix("/app/", policy(http.FileServerFS(files))))
	mux.Handle("POST /api/hello", auth.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := counterfoil.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s by %s", s.Subject, s.Carrier)
	})))
	fmt.Printf("alice, password \"blue kettle under the stairs\": %s/app/\n", url)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	if err := web.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// policy lets the page run its own module and connect to its own origin, and nothing else.
func policy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

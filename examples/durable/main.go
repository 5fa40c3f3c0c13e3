// Command durable is the program of docs/embedding.md: a web app with the auth server inside
// it. The database outlives the program.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, ".", "127.0.0.1:8092"); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends. The folder holds the database and, outside of the database, the
// key that seals its signing keys.
func run(ctx context.Context, folder, address string) (err error) {
	database, err := sqlite.Open(ctx, filepath.Join(folder, "app.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Close()) }() // after the server has closed
	key, err := keyring.SealFile(ctx, database, filepath.Join(folder, "app.key"))
	if err != nil {
		return err
	}
	auth, err := server.Open(ctx, server.Config{
		Store: database, SealKey: key, URL: "http://" + address, Registration: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auth.Close()) }()

	mux := http.NewServeMux()
	mux.Handle("/", auth)
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		session, err := auth.Verifier().VerifyRequest(r)
		switch {
		case errors.Is(err, counterfoil.ErrStale), errors.Is(err, counterfoil.ErrUnavailable):
			// An outage is not a logout: the person stays signed in, and tries again.
			w.Header().Set("Retry-After", "1")
			http.Error(w, "one moment, please", http.StatusServiceUnavailable)
		case err != nil:
			http.Redirect(w, r, "/login?return_to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		default:
			w.Header().Set("Cache-Control", "private, no-store")
			fmt.Fprintf(w, "the notes of %s\n", session.Subject)
		}
	})

	web := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = web.Shutdown(ending) // requests under way end first
	})
	if err := web.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// Command microservice is a JSON API that imports only the root package of Counterfoil. It
// accepts any carrier and verifies it itself. It refuses revoked sessions, and does not call
// the auth server for each request.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8091", "address to listen on")
	issuer := flag.String("issuer", "http://127.0.0.1:8080", "URL of the auth server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	// The key has the scopes revocation:read and introspect. It is not a flag, because all
	// users of the machine can see the flags of a program.
	if err := run(ctx, listener, *issuer, os.Getenv("COUNTERFOIL_API_KEY")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listener net.Listener, issuer, key string) error {
	source, err := counterfoil.Remote(issuer, counterfoil.RemoteOptions{Credential: key})
	if err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	v, err := counterfoil.NewVerifier(starting, source, counterfoil.Options{
		Issuer: issuer, Audience: issuer, InsecureCookies: true, // http on loopback only
	})
	if err != nil {
		return err
	}
	defer v.Close()
	fmt.Printf("listening on http://%s\n", listener.Addr())
	web := &http.Server{Handler: api(v), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	if err := web.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func api(v *counterfoil.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /me", v.Require(http.HandlerFunc(me)))
	mux.Handle("GET /reports", v.Require(http.HandlerFunc(me), counterfoil.Role("staff")))
	mux.Handle("POST /transfer", v.Require(http.HandlerFunc(me), counterfoil.Fresh(5*time.Minute)))
	mux.Handle("GET /ticks", v.Require(ticks(v)))
	return mux
}

func me(w http.ResponseWriter, r *http.Request) {
	s, _ := counterfoil.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"subject": s.Subject, "carrier": s.Carrier, "roles": s.Roles})
}

// ticks streams until the client leaves or the session ends. With a check at the beginning
// alone, a revoked session could listen for ever.
func ticks(v *counterfoil.Verifier) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := counterfoil.FromContext(r.Context())
		ctx, stop := v.Watch(r.Context(), s)
		defer stop()
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprintf(w, "event: end\ndata: %v\n\n", context.Cause(ctx))
				return
			case <-tick.C:
				fmt.Fprint(w, "data: tick\n\n")
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
}

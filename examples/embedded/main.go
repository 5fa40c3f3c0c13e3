// Command embedded is a server-rendered web app with the auth server inside it: one program,
// one origin, an opaque HttpOnly cookie. The app has its own pages. All other requests go to
// the auth server, which has the sign-in page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"net/url"
	"os/signal"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on")
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
	here := "http://" + listener.Addr().String()
	auth, err := server.Open(ctx, server.Config{Store: memory.New(), URL: here})
	if err != nil {
		return err
	}
	defer auth.Close()
	for name, roles := range map[string][]string{"alice": {"editor"}, "bob": nil} {
		if err := auth.AddUser(ctx, name, "blue kettle under the stairs", roles...); err != nil {
			return err
		}
	}
	fmt.Printf("sign in as alice or bob, password \"blue kettle under the stairs\": %s/notes\n", here)
	web := &http.Server{Handler: app(auth), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	if err := web.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// app returns the program's own pages. Require answers 401. A page sends people to the
// sign-in page instead, which sends them back, so it calls VerifyRequest.
func app(auth *server.Embedded) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", auth)
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		session, err := auth.Verifier().VerifyRequest(r)
		switch {
		case errors.Is(err, counterfoil.ErrStale), errors.Is(err, counterfoil.ErrUnavailable):
			// An outage is not a logout: the person stays signed in, and tries again.
			w.Header().Set("Retry-After", "1")
			http.Error(w, "one moment, please", http.StatusServiceUnavailable)
			return
		case err != nil:
			http.Redirect(w, r, "/login?return_to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		w.Header().Set("Cache-Control", "private, no-store")
		_ = page.Execute(w, session)
	})
	// An unsafe request with a cookie also needs the right Origin: Require checks it.
	mux.Handle("POST /notes", auth.Verifier().Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "saved")
	}), counterfoil.Role("editor")))
	return mux
}

var page = template.Must(template.New("notes").Parse(`<!doctype html>
<html lang="en"><title>Notes</title>
<p>Signed in as {{.Subject}} since {{.AuthTime.Format "15:04"}}.
{{if .HasRole "editor"}}<form method="post" action="/notes"><button>Save a note</button></form>{{end}}
<p><a href="/">Your sessions</a>
`))

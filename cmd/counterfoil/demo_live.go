package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/source"
)

//go:embed live
var liveFiles embed.FS

var livePage = template.Must(template.ParseFS(liveFiles, "live/page.html"))

// demoUser is the user of all four clients.
const demoUser = "alice"

// livePageServer shows four clients of the same user side by side, and revokes them.
type livePageServer struct {
	auth    string // URL of the auth server
	origin  string // of this page; forms from another origin are refused
	clients []*demoClient

	mu sync.Mutex // held by the one revocation or sign-in that the figures are of
}

func newLivePage(auth, origin string) *livePageServer {
	l := &livePageServer{auth: auth, origin: origin}
	for _, c := range []struct{ carrier, name string }{
		{"cookie", "session cookie"}, {"bearer", "JWT in a header"}, {"jwt-cookie", "JWT in a cookie"}, {"jwe", "encrypted JWT"},
	} {
		l.clients = append(l.clients, newDemoClient(c.carrier, c.name, auth, origin+"/"))
	}
	return l
}

// signInWithin is how long the demo waits for its clients before it says that it is ready.
const signInWithin = 30 * time.Second

// run signs the clients in, within a time, and lets them call until ctx ends. A client that
// cannot sign in does not end the demo: the page shows why. They go on trying unless they were
// refused; then the button of the page tries again.
func (l *livePageServer) run(ctx context.Context, within time.Duration, log *slog.Logger) {
	starting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := l.signIn(starting)
	for _, c := range l.clients {
		go c.run(ctx)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	log.Warn("demo: not every client of the live page is signed in", "error", err.Error(),
		"hint", "if somebody changed the password of "+demoUser+" in this store, begin a new demo with another --data folder")
	go func() {
		for ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // otherwise another try is no better
			err = l.alone(ctx, l.signIn)
		}
	}()
}

// alone calls f, which signs in or revokes, when no other does. It ends f after a while, so that
// the forms of the page have their turn.
func (l *livePageServer) alone(ctx context.Context, f func(context.Context) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, signInWithin)
	defer cancel()
	return f(ctx)
}

func (l *livePageServer) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /live", l.page)
	mux.HandleFunc("GET /live/events", l.events)
	mux.HandleFunc("POST /live/revoke", l.post(func(ctx context.Context, r *http.Request) error {
		session := r.PostFormValue("session")
		if r.PostForm.Has("session") && session == "" {
			return nil // of a client that has not signed in
		}
		return l.revoke(ctx, session)
	}))
	mux.HandleFunc("POST /live/signin", l.post(func(ctx context.Context, _ *http.Request) error { return l.signIn(ctx) }))
	mux.Handle("GET /live/static/", http.StripPrefix("/live/static/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, liveFiles, "live/"+r.URL.Path)
	})))
}

// post calls f for a form of this page, and then shows the page again. It refuses the forms
// of other sites (CSRF-01).
func (l *livePageServer) post(f func(context.Context, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := source.CheckOrigin(r, []string{l.origin}); err != nil {
			source.ProblemFor(err, counterfoil.Cookie).ServeHTTP(w, r)
			return
		}
		if err := l.alone(r.Context(), func(ctx context.Context) error { return f(ctx, r) }); err != nil {
			source.ProblemFor(fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err), counterfoil.Cookie).ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, "/live", http.StatusSeeOther)
	}
}

// signIn signs in every client that is not. If the password is wrong, it is wrong for all: more
// tries would only count as guesses.
func (l *livePageServer) signIn(ctx context.Context) error {
	var errs []error
	var wrong error
	for _, c := range l.clients {
		if s := c.snapshot(); s.Session != "" && s.Refused == "" {
			continue
		}
		if wrong != nil {
			c.fail(wrong)
			continue
		}
		err := c.signIn(ctx, demoUser)
		if errs = append(errs, err); answered(err) == http.StatusUnauthorized {
			wrong = err
		}
	}
	return errors.Join(errs...)
}

// revoke ends one session, or with an empty id all sessions of the user. It measures how long
// the service accepts each client after the answer to the revocation. It waits for the
// refusals, so that a page without JavaScript shows the times.
func (l *livePageServer) revoke(ctx context.Context, session string) error {
	body := api.Revocation{Scope: source.ScopeSession, ID: session}
	for _, s := range l.states() {
		if session == "" && s.Subject != "" {
			body = api.Revocation{Scope: source.ScopeSubject, ID: s.Subject}
		}
	}
	if body.ID == "" {
		return nil // no client has ever signed in
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	auth := api.Client{URL: l.auth, HTTP: &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: browser("Demo page")}}
	if _, err := auth.Login(ctx, api.Login[string]{Identifier: "admin", Password: demoPassword, Carrier: counterfoil.CarrierCookie.String()}); err != nil {
		return err
	}
	if _, err := auth.Revoke(ctx, body); err != nil {
		return err
	}
	returned := time.Now()
	var refusals []<-chan struct{}
	for _, c := range l.clients {
		if session == "" || c.snapshot().Session == session {
			refusals = append(refusals, c.measureFrom(returned))
		}
	}
	for _, refused := range refusals {
		select {
		case <-refused:
		case <-ctx.Done():
		}
	}
	return nil
}

func (l *livePageServer) states() []clientState {
	var all []clientState
	for _, c := range l.clients {
		all = append(all, c.snapshot())
	}
	return all
}

// result is one line about the last revocation.
func result(states []clientState) string {
	var refused []string
	for _, s := range states {
		if s.Refused != "" {
			refused = append(refused, s.Name+" "+s.Refused)
		}
	}
	if refused == nil {
		return ""
	}
	return "Refused after: " + strings.Join(refused, ", ") + "."
}

func (l *livePageServer) page(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer
	states := l.states()
	shown := map[string]any{"Clients": states, "News": result(states), "Auth": l.auth, "Password": demoPassword}
	if err := livePage.Execute(&out, shown); err != nil {
		source.ProblemFor(err, counterfoil.Cookie).ServeHTTP(w, nil)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", request.FormReferrerPolicy)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = w.Write(out.Bytes())
}

// events sends the states ten times a second while the page is open.
func (l *livePageServer) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	out := http.NewResponseController(w)
	for {
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // one write must not last; the stream may
		states := l.states()
		data, err := json.Marshal(map[string]any{"clients": states, "news": result(states)})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

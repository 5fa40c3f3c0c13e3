package server

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/login"
)

//go:embed templates/*.html static
var files embed.FS

// frame is what every page has.
type frame struct {
	Title   string
	Problem string // what went wrong, in words for the visitor
	Done    string // what went well
	Focus   string // id of the field to begin with after a problem; empty: there is none
	To      destination
}

// Mark returns attributes for the field id. The one to begin with after a problem has the focus,
// and the problem is read aloud with it. described are ids of texts that describe the field
// anyway.
func (f frame) Mark(id string, described ...string) template.HTMLAttr {
	attributes := ""
	if f.Problem != "" && f.Focus == id {
		attributes, described = ` autofocus`, append([]string{"problem"}, described...)
	}
	if len(described) > 0 {
		attributes += ` aria-describedby="` + strings.Join(described, " ") + `"`
	}
	return template.HTMLAttr(attributes) // of names in our templates alone
}

// fieldOf returns the field that err is about: shown, where a password that is there is typed,
// or chosen, where another is chosen.
func fieldOf(err error, shown, chosen string) string {
	_, rejected := errors.AsType[login.RejectedPassword](err)
	switch {
	case rejected:
		return chosen
	case errors.Is(err, directory.ErrTaken), errors.Is(err, directory.ErrConfusable), errors.Is(err, directory.ErrBadIdentifier):
		return "identifier"
	case errors.Is(err, login.ErrRefused):
		return shown
	}
	return ""
}

// leads is where the forms of the page lead.
func (f frame) leads() destination { return f.To }

// page is a page of templates, which has a frame.
type page interface{ leads() destination }

// page adapts an action whose errors are shown as a page.
func (s *Server) page(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			status, text := s.inWords(w, r, err)
			if request.Unsafe(r.Method) && signedOut(err) {
				_ = s.askToSignIn(w, status, s.whence(r), "You are not signed in any more, so nothing was done. Sign in and try again.")
				return
			}
			_ = s.render(w, status, "problem.html", frame{Title: "Something went wrong", Problem: text})
		}
	})
}

// inWords says what went wrong. A credential that is over is taken away (SES-18);
// an outage leaves it where it is.
func (s *Server) inWords(w http.ResponseWriter, r *http.Request, err error) (status int, text string) {
	p := s.explainLogged(w, r, err)
	s.clearEnded(w, err)
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.Wait().Seconds())))
		return p.Status, p.Title + ". Try again in " + duration(p.Wait()) + "."
	}
	text = p.Title + "."
	if p.Detail != "" {
		text += " " + strings.ToUpper(p.Detail[:1]) + strings.TrimSuffix(p.Detail[1:], ".") + "."
	}
	return p.Status, text
}

// duration is d, of whole seconds, as people say it: never shorter than d.
func duration(d time.Duration) string {
	n, unit := int(d/time.Second), "second"
	if d >= 2*time.Minute {
		n, unit = int((d+time.Minute-1)/time.Minute), "minute"
	}
	if n > 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}

// render writes a page whole or not at all. The URL of no page has a secret of ours before its
// fragment: see [request.FormReferrerPolicy].
func (s *Server) render(w http.ResponseWriter, status int, name string, v page) error {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	if origin := v.leads().Origin; origin != "" {
		// A browser also asks this of the redirect that answers a form.
		w.Header().Set("Content-Security-Policy", strings.Replace(pagePolicy, "form-action 'self'", "form-action 'self' "+origin, 1))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Referrer-Policy", request.FormReferrerPolicy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// form reads a form that must have come from one of our own pages (CSRF-01).
func (s *Server) form(w http.ResponseWriter, r *http.Request) error {
	if err := s.fromOwnPage(r); err != nil {
		return err
	}
	return readForm(r)
}

// own reads a form of somebody who is signed in.
func (s *Server) own(w http.ResponseWriter, r *http.Request) (*counterfoil.Session, error) {
	if err := s.form(w, r); err != nil {
		return nil, err
	}
	return s.signedIn(r)
}

// pageStatic is for the files that the table of routes names.
func (s *Server) pageStatic(w http.ResponseWriter, r *http.Request) error {
	public(w)
	http.ServeFileFS(w, r, files, strings.TrimPrefix(r.URL.Path, "/"))
	return nil
}

// pageIcon is what browsers ask for by themselves.
func (s *Server) pageIcon(w http.ResponseWriter, r *http.Request) error {
	public(w)
	w.Header().Set("Content-Type", "image/x-icon")
	http.ServeFileFS(w, r, files, "static/favicon.ico")
	return nil
}

package server

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
)

//go:embed templates/*.html static/style.css
var files embed.FS

var pages = template.Must(template.ParseFS(files, "templates/*.html"))

// pageView is what the templates see.
type pageView struct {
	Title    string
	Problem  string // what went wrong, in words for the visitor
	Session  *counterfoil.Session
	Sessions []issuer.SessionRow
}

// page adapts an action whose errors are shown as a page.
func (s *Server) page(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := do(w, r)
		if err == nil {
			return
		}
		p := s.explainLogged(w, r, err)
		text := p.Title
		if p.Detail != "" {
			text += ": " + p.Detail
		}
		render(w, p.Status, "problem.html", pageView{Title: "Something went wrong", Problem: text})
	})
}

// render writes a page whole or not at all.
func render(w http.ResponseWriter, status int, name string, v pageView) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

func (s *Server) pageHome(w http.ResponseWriter, r *http.Request) error {
	session, err := s.signedIn(r)
	if errors.Is(err, counterfoil.ErrNoCredential) || errors.Is(err, counterfoil.ErrInvalidToken) {
		return render(w, http.StatusOK, "home.html", pageView{Title: "Counterfoil"})
	}
	if err != nil {
		return err
	}
	rows, err := s.issuer.Sessions(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	return render(w, http.StatusOK, "home.html", pageView{Title: "Your sessions", Session: session, Sessions: rows})
}

func (s *Server) pageLogin(w http.ResponseWriter, r *http.Request) error {
	return render(w, http.StatusOK, "login.html", pageView{Title: "Sign in"})
}

// form reads a form that must have come from one of our own pages.
func (s *Server) form(w http.ResponseWriter, r *http.Request) error {
	if err := counterfoil.CheckOrigin(r, s.origins); err != nil {
		return err
	}
	return readForm(w, r)
}

func (s *Server) pageSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	issued, err := s.signIn(r, loginBody{
		Identifier: r.PostForm.Get("identifier"), Password: secretText{secret.New(r.PostForm.Get("password"))}, Carrier: "cookie",
	})
	if err != nil {
		p := s.explainLogged(w, r, err)
		return render(w, p.Status, "login.html", pageView{Title: "Sign in", Problem: p.Title + ". " + p.Detail})
	}
	s.setCookies(w, issued)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (s *Server) pageSignOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	if err := s.signOut(r); err != nil && !errors.Is(err, counterfoil.ErrNoCredential) {
		return err
	}
	s.clearCookies(w)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (s *Server) pageRevoke(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	session, err := s.signedIn(r)
	if err != nil {
		return err
	}
	if err := s.endOwn(r, session, r.PostForm.Get("sid")); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (s *Server) pageStyle(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	http.ServeFileFS(w, r, files, "static/style.css")
	return nil
}

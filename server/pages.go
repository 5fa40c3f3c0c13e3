package server

import (
	"bytes"
	"cmp"
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
	"github.com/counterfoil/counterfoil/source"
)

//go:embed templates/*.html static
var files embed.FS

// frame is what every page has.
type frame struct {
	Title   said
	Problem said   // what went wrong
	Done    said   // what went well
	Focus   string // id of the field that Problem is about, which begins with the focus; empty: it is about none
	To      destination

	Layout  layout
	English bool    // the page has texts of its own, in English
	Who     string  // name of the visitor, with a way out beside it; empty: it is not shown
	Acting  *acting // set by render
	Nav     []navLink
	At      string // path of the entry of Nav that is this page
}

// layout is how wide a page is and where its parts stand. layout.html and style.css have them all.
type layout string

const (
	onCard layout = ""     // one form in the middle
	onPage layout = "page" // a column of text, with tabs above it if there is Nav
	onWide layout = "wide" // the console, with Nav at its side
)

// Class is the class of the body.
func (f frame) Class() layout { return cmp.Or(f.Layout, "card") }

// navLink is an entry of a navigation. Path has no path of the issuer.
type navLink struct {
	Path string
	Text said
}

// field is one of a form.
type field struct {
	ID       string // and name
	Label    string // key of the text
	Complete string // for browsers and password managers
	Hint     string // key of a text below; empty: there is none
	Value    string // what was typed before
	Problem  said   // what is wrong with it
}

// Field returns the field id of the page. The one that the problem is about has it below, and the focus.
func (f frame) Field(id, label, complete, hint string) field {
	in := field{ID: id, Label: label, Complete: complete, Hint: hint}
	if f.Focus == id {
		in.Problem = f.Problem
	}
	return in
}

// With returns the field with what was typed before.
func (in field) With(value string) field {
	in.Value = value
	return in
}

// Attributes are those of a field with a problem or a hint, which are read aloud with it.
func (in field) Attributes() template.HTMLAttr {
	attributes := ""
	var described []string
	if len(in.Problem) > 0 {
		attributes, described = ` autofocus aria-invalid="true"`, []string{in.ID + "-problem"}
	}
	if in.Hint != "" {
		described = append(described, in.ID+"-hint")
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
	case errors.Is(err, directory.ErrAddressTaken):
		return "address"
	case errors.Is(err, login.ErrRefused):
		return shown
	}
	return ""
}

// own returns the frame of a page.
func (f *frame) own() *frame { return f }

// page is a page of templates, which has a frame.
type page interface{ own() *frame }

// page adapts an action whose errors are shown as a page.
func (s *Server) page(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			s.wrong(w, r, err)
		}
	})
}

// problemPage says what went wrong, and where to go.
type problemPage struct {
	frame
	Again   string // path of the same page, if it may be there later; empty: it is not
	Detail  string // of the server, for who made the link or form; empty: there is none
	Request string // what support needs to find the log line; empty: there is none
}

// wrong shows err as a page.
func (s *Server) wrong(w http.ResponseWriter, r *http.Request, err error) {
	p := s.explainLogged(w, r, err)
	text := s.inWords(w, p, err)
	if request.Unsafe(r.Method) && signedOut(err) {
		_ = s.askToSignIn(w, r, p.Status, s.whence(r), say("problem.no-session"))
		return
	}
	page := problemPage{frame: frame{Title: say("wrong.title"), Problem: text}}
	if errors.Is(err, counterfoil.ErrForbidden) {
		if page.Acting = s.acting(r); page.Acting != nil {
			page.Problem = say("problem.acting", page.Acting.User)
		}
	}
	if key := "wrong.title." + strconv.Itoa(p.Status); s.has(key) {
		page.Title = say(key)
	}
	switch {
	case p.Type == "bad-request", p.Type == "not-found" && p.Detail != "":
		page.Detail = sentences(p.Title, p.Detail)
	case p.Status == http.StatusInternalServerError:
		page.Request = w.Header().Get(requestHeader)
	}
	if p.Status >= 500 && r.Method == http.MethodGet {
		page.Again = r.URL.RequestURI()
	}
	_ = s.render(w, r, p.Status, "problem.html", &page)
}

// sentences are the title and the detail of a problem for a person. detail may be empty.
func sentences(title, detail string) string {
	if detail == "" {
		return title + "."
	}
	return title + ". " + strings.ToUpper(detail[:1]) + strings.TrimSuffix(detail[1:], ".") + "."
}

// has reports whether there is a text with that key.
func (s *Server) has(key string) bool { return s.tongues[0].texts[key] != "" }

// refused answers a form: it returns what went wrong, and with which status.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, err error) (status int, text said) {
	p := s.explainLogged(w, r, err)
	return p.Status, s.inWords(w, p, err)
}

// inWords says what went wrong to a person. A credential that is over is taken away (SES-18); an outage
// leaves it where it is.
func (s *Server) inWords(w http.ResponseWriter, p *source.Problem, err error) said {
	s.clearEnded(w, err)
	rejected, isRejected := errors.AsType[login.RejectedPassword](err)
	key := "problem." + p.Type
	switch {
	case p.RetryAfter > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(p.Wait().Seconds())))
		switch {
		case errors.Is(err, counterfoil.ErrUnavailable):
			key = "problem.unavailable"
		case !s.has(key):
			key = "problem.wait"
		}
		return say(key, duration(p.Wait()))
	case isRejected:
		return say("problem.password-" + rejected.Rule)
	case errors.Is(err, directory.ErrConfusable):
		return say("problem.identifier-alike")
	case errors.Is(err, directory.ErrBadIdentifier):
		return say("problem.identifier-bad", directory.MaxIdentifier)
	case errors.Is(err, directory.ErrBadAddress):
		return say("problem.address-bad")
	case errors.Is(err, directory.ErrAddressTaken):
		return say("problem.address-taken")
	case s.has(key):
		return say(key)
	case p.Status >= 500:
		return say("problem.internal")
	case p.Status == http.StatusForbidden:
		return say("problem.forbidden")
	case p.Status == http.StatusNotFound, p.Status == http.StatusMethodNotAllowed:
		return say("problem.not-found")
	}
	return say("problem.bad-request")
}

// duration is d, of whole seconds, as people say it: never shorter than d.
func duration(d time.Duration) said {
	if d < 2*time.Minute {
		return sayCount("duration.seconds", int(d/time.Second))
	}
	return sayCount("duration.minutes", int((d+time.Minute-1)/time.Minute))
}

// scripted lets a page load our scripts, which are in static. No page needs them. Each is a module: none sees the
// names of another.
const scripted = pagePolicy + "; script-src 'self'"

// render writes a page whole or not at all, in the language of the visitor. The URL of no page has a
// secret of ours before its fragment: see [request.FormReferrerPolicy].
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, v page) error {
	f, l := v.own(), s.tongueOf(r)
	if f.English {
		l = s.tongues[0]
	}
	if f.Who == "" && f.Acting == nil && status < 500 { // nobody was found to be here as themselves
		f.Acting = s.acting(r)
	}
	var b bytes.Buffer
	if err := l.pages.ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	policy := scripted
	switch name {
	case "welcome.html", "console_log.html", "console_overview.html": // a script of it asks the API
		policy += "; connect-src 'self'"
	}
	if f.To.Origin != "" {
		// A browser also asks this of the redirect that answers a form.
		policy = strings.Replace(policy, "form-action 'self'", "form-action 'self' "+f.To.Origin, 1)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", request.FormReferrerPolicy)
	request.AddVary(h, []string{"Accept-Language"})
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

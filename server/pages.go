package server

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mileusna/useragent"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

//go:embed templates/*.html static
var files embed.FS

// frame is what every page has.
type frame struct {
	Title   string
	Problem string // what went wrong, in words for the visitor
	Done    string // what went well
	To      destination
}

// leads is where the forms of the page lead.
func (f frame) leads() destination { return f.To }

// page is a page of templates, which has a frame.
type page interface{ leads() destination }

// entryPage signs in or up.
type entryPage struct {
	frame
	Identifier   string // what was typed before, after a problem
	Registration bool   // there is a page to sign up
}

const accountTitle = "Your sessions"

// accountPage is the visitor's own sessions and password.
type accountPage struct {
	frame
	SignedIn bool
	Name     string
	Sessions []sessionLine
	StepUp   bool   // the login is old: the own session is shown, and the others after a step-up
	Password bool   // the visitor has one here, to step up with
	Others   bool   // there are sessions to end beside this one
	Next     string // cursor of the next page; empty: this is the last
	Notices  []noticeLine
}

// sessionLine is a session in words.
type sessionLine struct {
	ID, Device, Carrier, Client string
	First, Last                 string // addresses
	Created, Seen, Idle, End    string
	Current                     bool
	Damaged                     bool // only ID is known
	Grants                      []grantLine
}

// grantLine is what another client than the session's own holds of it, in words.
type grantLine struct{ Client, Seen string }

// noticeLine is a notice in words.
type noticeLine struct {
	ID, Time, Device, Address string
	Client                    string // whose grant was ended; empty: the whole session was
	Ended                     int    // sessions that a login beyond the limit ended; 0: it is about a refresh token
	Damaged                   bool   // only ID is known
}

const clockLayout = "2 Jan 2006, 15:04 MST"

func line(row issuer.SessionRow, current string) sessionLine {
	say := func(t time.Time) string { return t.UTC().Format(clockLayout) }
	if row.Damaged {
		return sessionLine{ID: row.ID, Damaged: true}
	}
	l := sessionLine{
		ID: row.ID, Device: deviceLabel(row.Device), Carrier: carrierInWords(row.Carrier),
		Created: say(row.Created), Seen: say(row.LastSeen), Idle: say(row.IdleExpires), End: say(row.AbsoluteExpires),
		Current: row.ID == current,
	}
	if row.Client != clients.Default {
		l.Client = row.Client
	}
	for _, g := range row.Grants {
		if g.Client != row.Client {
			l.Grants = append(l.Grants, grantLine{g.Client, say(g.LastUsed)})
		}
	}
	if row.FirstAddress.IsValid() {
		l.First = row.FirstAddress.String()
	}
	if row.LastAddress.IsValid() {
		l.Last = row.LastAddress.String()
	}
	return l
}

// carrierInWords says what c is to somebody who has not heard of carriers.
func carrierInWords(c counterfoil.Carrier) string {
	what := map[counterfoil.Format]string{counterfoil.Opaque: "session id", counterfoil.JWT: "JWT", counterfoil.JWE: "encrypted JWT"}[c.Format]
	if c.Transport == counterfoil.Cookie {
		return what + " in a cookie"
	}
	return what + " in a header"
}

// deviceLabel names a browser for its owner to recognise. It comes from the client and
// proves nothing.
func deviceLabel(agent string) string {
	ua := useragent.Parse(agent)
	switch {
	case ua.Name != "" && ua.OS != "":
		return ua.Name + " on " + ua.OS
	case ua.Name != "":
		return ua.Name
	}
	return "Unknown device"
}

// page adapts an action whose errors are shown as a page.
func (s *Server) page(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			status, text := s.inWords(w, r, err)
			if request.Unsafe(r.Method) && signedOut(err) {
				form := s.signInPage(s.whence(r))
				form.Problem = "You are not signed in any more, so nothing was done. Sign in and try again."
				_ = s.render(w, status, "login.html", form)
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
		wait := p.RetryAfter.Round(time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(max(int(wait/time.Second), 1)))
		return p.Status, p.Title + ". Try again in " + max(wait, time.Second).String() + "."
	}
	text = p.Title + "."
	if p.Detail != "" {
		text += " " + strings.ToUpper(p.Detail[:1]) + strings.TrimSuffix(p.Detail[1:], ".") + "."
	}
	return p.Status, text
}

// render writes a page whole or not at all. The URL of no page has a secret of ours before its
// fragment: see [request.FormReferrerPolicy].
func (s *Server) render(w http.ResponseWriter, status int, name string, v page) error {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	if origin := v.leads().ReturnTo.Origin(); origin != "" {
		// A browser also asks this of the redirect that answers a form.
		w.Header().Set("Content-Security-Policy", strings.Replace(pagePolicy, "form-action 'self'", "form-action 'self' "+origin, 1))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Referrer-Policy", request.FormReferrerPolicy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

func (s *Server) pageHome(w http.ResponseWriter, r *http.Request) error {
	return s.account(w, r, http.StatusOK, frame{Title: accountTitle})
}

// account shows the visitor's sessions under what f says, or an invitation to
// sign in.
func (s *Server) account(w http.ResponseWriter, r *http.Request, status int, f frame) error {
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		return s.render(w, http.StatusOK, "account.html", accountPage{frame: frame{Title: accountTitle, To: s.back(r, r.URL.RequestURI())}})
	case err != nil:
		return err
	}
	return s.accountOf(w, r, status, f, session)
}

func (s *Server) accountOf(w http.ResponseWriter, r *http.Request, status int, f frame, session *counterfoil.Session) error {
	page := accountPage{frame: f, SignedIn: true}
	rows, next, err := s.accountRows(r, session)
	if errors.Is(err, counterfoil.ErrStepUp) {
		page.StepUp = true
		rows, err = s.ownRow(r, session)
	}
	if err != nil {
		return err
	}
	if page.Name, page.Password, err = s.nameOf(r, session); err != nil {
		return err
	}
	notices, err := s.issuer.Notices(r.Context(), session.Subject)
	if err != nil {
		return err
	}
	for _, n := range notices {
		l := noticeLine{ID: n.ID, Ended: n.OverLimit, Damaged: n.Damaged, Time: n.Time.UTC().Format(clockLayout), Device: deviceLabel(n.Device)}
		if n.Grant {
			l.Client = n.Client
		}
		if n.Address.IsValid() {
			l.Address = n.Address.String()
		}
		page.Notices = append(page.Notices, l)
	}
	page.Next = next
	page.Others = next != ""
	for _, row := range rows {
		page.Sessions = append(page.Sessions, line(row, session.ID))
		page.Others = page.Others || row.ID != session.ID
	}
	return s.render(w, status, "account.html", page)
}

// nameOf returns what the visitor is called here, and whether there is a password.
func (s *Server) nameOf(r *http.Request, session *counterfoil.Session) (name string, password bool, err error) {
	user, err := s.users.ByID(r.Context(), session.Subject)
	switch {
	case errors.Is(err, store.ErrNotFound): // a subject of an application's own
		return session.Subject, false, nil
	case err != nil:
		return "", false, err
	}
	return user.Identifier, user.Password != "", nil
}

// accountLimit is how many sessions a page shows: all of them, by the default limit.
const accountLimit = 100

// accountRows returns the sessions of a page, and the cursor of the next one. The first
// page begins with the session that looks; the others follow as they were seen last.
func (s *Server) accountRows(r *http.Request, session *counterfoil.Session) (rows []issuer.SessionRow, next string, err error) {
	page := pageOf{limit: accountLimit}
	if r.Method == http.MethodGet && r.URL.Query().Has("cursor") {
		if page, err = s.readPage(r); err != nil {
			return nil, "", err
		}
		page.limit = accountLimit
	}
	rows, last, err := s.issuer.OwnSessions(r.Context(), session, page.after, page.limit)
	if err != nil {
		return nil, "", err
	}
	rows = slices.DeleteFunc(rows, func(row issuer.SessionRow) bool { return row.ID == session.ID })
	slices.SortFunc(rows, func(a, b issuer.SessionRow) int { return b.LastSeen.Compare(a.LastSeen) })
	if page.after == "" {
		own, err := s.ownRow(r, session)
		if err != nil {
			return nil, "", err
		}
		rows = append(own, rows...)
	}
	return rows, s.next("/", page, last), nil
}

// ownRow returns the session that looks, or nothing if it has just ended.
func (s *Server) ownRow(r *http.Request, session *counterfoil.Session) ([]issuer.SessionRow, error) {
	row, err := s.issuer.Session(r.Context(), session.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []issuer.SessionRow{*row}, nil
}

func (s *Server) signInPage(to destination) entryPage {
	return entryPage{frame: frame{Title: "Sign in", To: to}, Registration: s.registration}
}

func (s *Server) pageRegister(w http.ResponseWriter, r *http.Request) error {
	if !s.registration {
		return errNotFound
	}
	to, err := s.destination(r, r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "register.html", entryPage{frame: frame{Title: "Create an account", To: to}})
}

// welcomePage redeems an invitation.
type welcomePage struct {
	frame
	Token string
}

// pageWelcome knows no token: it is in the fragment of the link, which only the browser has. The
// script of the page puts it into the form, or the visitor does.
func (s *Server) pageWelcome(w http.ResponseWriter, _ *http.Request) error {
	return s.renderWelcome(w, http.StatusOK, welcomePage{frame: frame{Title: welcomeTitle}})
}

const welcomeTitle = "Choose a password"

// renderWelcome is render for the one page that has a script.
func (s *Server) renderWelcome(w http.ResponseWriter, status int, page welcomePage) error {
	w.Header().Set("Content-Security-Policy", pagePolicy+"; script-src 'self'")
	return s.render(w, status, "welcome.html", page)
}

func (s *Server) pageChoose(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	token := invitationIn(r.PostForm.Get("token"))
	err := s.users.Redeem(r.Context(), act(w, r, "", "invitation"), secret.New(token), secret.New(r.PostForm.Get("password")))
	page := s.signInPage(destination{})
	switch err = noInvitation(err); {
	case errors.Is(err, directory.ErrUsed): // there is a password to sign in with
		var status int
		status, page.Problem = s.inWords(w, r, err)
		return s.render(w, status, "login.html", page)
	case err != nil:
		status, text := s.inWords(w, r, err)
		return s.renderWelcome(w, status, welcomePage{frame{Title: welcomeTitle, Problem: text}, token})
	}
	page.Done = "Your password is set. Sign in with it."
	return s.render(w, http.StatusOK, "login.html", page)
}

// invitationIn returns the token in what a visitor has copied: the token, or the whole link.
func invitationIn(text string) string {
	return strings.TrimSpace(text[strings.LastIndexByte(text, '#')+1:])
}

// form reads a form that must have come from one of our own pages (CSRF-01).
func (s *Server) form(w http.ResponseWriter, r *http.Request) error {
	if err := s.fromOwnPage(r); err != nil {
		return err
	}
	return readForm(r)
}

func (s *Server) pageSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	return s.signInBy(w, r, "login.html", s.signInPage(to))
}

func (s *Server) pageSignUp(w http.ResponseWriter, r *http.Request) error {
	if !s.registration {
		return errNotFound
	}
	if err := s.form(w, r); err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	if _, err := s.ask(r, loginBody{Carrier: "cookie", Client: to.Client}, act(w, r, "", "")); err != nil {
		return err
	}
	page := entryPage{frame: frame{Title: "Create an account", To: to}, Identifier: r.PostForm.Get("identifier")}
	b := loginBody{Identifier: page.Identifier, Client: to.Client, Password: api.Hide(r.PostForm.Get("password"))}
	if err := s.signUp(w, r, b, r.PostForm.Get("name")); err != nil {
		status, text := s.inWords(w, r, err)
		page.Problem = text
		return s.render(w, status, "register.html", page)
	}
	return s.signInBy(w, r, "register.html", page)
}

// signInBy signs in with what the form says, and shows the form again if that fails.
func (s *Server) signInBy(w http.ResponseWriter, r *http.Request, name string, page entryPage) error {
	page.Identifier = r.PostForm.Get("identifier")
	done, err := s.signIn(w, r, loginBody{
		Identifier: page.Identifier, Carrier: "cookie", Client: page.To.Client,
		Method: directory.KindPassword, Password: api.Hide(r.PostForm.Get("password")),
	})
	if err != nil {
		status, text := s.inWords(w, r, err)
		page.Problem = text
		return s.render(w, status, name, page)
	}
	return s.letIn(w, done, page.To)
}

// challengePage asks for the answer to a challenge, which must be one text: {"answer": …}.
type challengePage struct {
	frame
	Attempt string
	Prompt  string // of the challenge; empty: it has none
}

// letIn lets the visitor in, or shows the challenge.
func (s *Server) letIn(w http.ResponseWriter, done progress, to destination) error {
	if done.challenge == nil {
		s.setCookies(w, done.issued)
		s.leave(w, to)
		return nil
	}
	c := s.challenge(w, done.challenge)
	var public struct {
		Prompt string `json:"prompt"`
	}
	_ = json.Unmarshal(c.Challenge, &public) // without a prompt the page asks in words of its own
	return s.render(w, http.StatusOK, "challenge.html", challengePage{frame{Title: "One more step", To: to}, c.Attempt, public.Prompt})
}

func (s *Server) pageContinue(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	answer, err := json.Marshal(map[string]string{"answer": r.PostForm.Get("answer")})
	if err != nil {
		return err
	}
	done, err := s.proceed(w, r, r.PostForm.Get("attempt"), secret.New(string(answer)), to.Client)
	if errors.Is(err, login.ErrRefused) || errors.Is(err, login.ErrOver) {
		status, text := s.inWords(w, r, err)
		if session, err := s.signedIn(r); err == nil { // most often it was a step-up
			return s.notProven(w, r, status, session, frame{Problem: text, To: to})
		}
		page := s.signInPage(to)
		page.Problem = text
		return s.render(w, status, "login.html", page)
	}
	if err != nil { // the challenge can still be answered
		status, text := s.inWords(w, r, err)
		return s.render(w, status, "challenge.html", challengePage{frame{Title: "One more step", Problem: text, To: to}, r.PostForm.Get("attempt"), ""})
	}
	return s.letIn(w, done, to)
}

func (s *Server) pageSignOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	if err := s.signOut(w, r); err != nil && !errors.Is(err, counterfoil.ErrNoCredential) {
		return err
	}
	s.signedOut(w)
	s.seeOther(w, r, "/")
	return nil
}

// own reads a form of somebody who is signed in.
func (s *Server) own(w http.ResponseWriter, r *http.Request) (*counterfoil.Session, error) {
	if err := s.form(w, r); err != nil {
		return nil, err
	}
	return s.signedIn(r)
}

func (s *Server) pageRevoke(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	if err := s.issuer.EndOwn(r.Context(), session.Subject, r.PostForm.Get("sid"), "", endedBySubject(w, r, session)); err != nil {
		return err
	}
	s.seeOther(w, r, "/")
	return nil
}

func (s *Server) pageDismiss(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	if err := s.issuer.Dismiss(r.Context(), session.Subject, r.PostForm.Get("id")); err != nil {
		return err
	}
	s.seeOther(w, r, "/")
	return nil
}

func (s *Server) pageRevokeOthers(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	_, err = s.issuer.EndOthers(r.Context(), session, act(w, r, audit.BySubject(session.Subject), ""))
	if errors.Is(err, counterfoil.ErrStepUp) {
		return s.accountOf(w, r, http.StatusUnauthorized, frame{Title: accountTitle, Problem: "No session was ended: you signed in too long ago."}, session)
	}
	if err != nil {
		return err
	}
	s.seeOther(w, r, "/")
	return nil
}

// pageStepUp has the visitor enter the password again, and leads to the destination.
func (s *Server) pageStepUp(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	begin, err := byMethod(directory.KindPassword, api.Hide(r.PostForm.Get("password")), api.Object{})
	if err != nil {
		return err
	}
	done, err := s.proveAgain(w, r, session, begin)
	if err != nil {
		status, text := s.inWords(w, r, err)
		return s.notProven(w, r, status, session, frame{Problem: text, To: to})
	}
	return s.letIn(w, done, to)
}

// notProven shows the form of a step-up again: that of the account page, if it leads there.
func (s *Server) notProven(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame) error {
	if f.To.ReturnTo.String() != "" {
		return s.prove(w, r, status, session, f)
	}
	f.Title = accountTitle
	return s.accountOf(w, r, status, f, session)
}

func (s *Server) pagePassword(w http.ResponseWriter, r *http.Request) error {
	session, err := s.own(w, r)
	if err != nil {
		return err
	}
	issued, err := s.newPassword(w, r, session, secret.New(r.PostForm.Get("current")), secret.New(r.PostForm.Get("next")))
	if err != nil {
		status, text := s.inWords(w, r, err)
		return s.accountOf(w, r, status, frame{Title: accountTitle, Problem: "The password was not changed. " + text}, session)
	}
	s.setCookies(w, issued)
	return s.accountOf(w, r, http.StatusOK, frame{Title: accountTitle, Done: "The password was changed, and every other session was ended."}, issued.Session)
}

// pageStatic is for the files that the table of routes names.
func (s *Server) pageStatic(w http.ResponseWriter, r *http.Request) error {
	public(w)
	http.ServeFileFS(w, r, files, strings.TrimPrefix(r.URL.Path, "/"))
	return nil
}

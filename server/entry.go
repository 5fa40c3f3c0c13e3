package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
)

// entryPage signs in or up.
type entryPage struct {
	frame
	Identifier   string // what was typed before, after a problem
	Registration bool   // there is a page to sign up
	Mail         bool   // there is a page for who forgot the password
	ByMail       bool   // a code can be mailed to sign in with
	Already      string // name of the visitor who is signed in already; empty: nobody is, or it makes no difference
}

func (s *Server) signInPage(to destination) entryPage {
	return entryPage{frame: frame{Title: say("login.title"), To: to}, Registration: s.registration, Mail: s.users.Mails(), ByMail: s.signInByMail}
}

// askToSignIn shows the form empty, under what went wrong.
func (s *Server) askToSignIn(w http.ResponseWriter, r *http.Request, status int, to destination, problem said) error {
	page := s.signInPage(to)
	page.Problem = problem
	return s.render(w, r, status, "login.html", &page)
}

func (s *Server) pageRegister(w http.ResponseWriter, r *http.Request) error {
	if !s.registration {
		return errNotFound
	}
	to, err := s.destination(r, r.URL.Query())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "register.html", &entryPage{frame: frame{Title: say("register.title"), To: to}, Already: s.already(r)})
}

// welcomePage redeems an invitation.
type welcomePage struct {
	frame
	Token string
	First bool // the invitation is that of the first administrator, who also chooses an identifier
}

func welcome(f frame, token string, first bool) *welcomePage {
	if f.Title = say("welcome.title"); first {
		f.Title = say("welcome.first")
	}
	return &welcomePage{f, token, first}
}

// pageWelcome knows no token: it is in the fragment of the link, which only the browser has. The
// script of the page puts it into the form, or the visitor does.
func (s *Server) pageWelcome(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, "welcome.html", welcome(frame{}, "", false))
}

func (s *Server) pageChoose(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	token := invitationIn(r.PostForm.Get("token"))
	first, _ := s.users.CheckInvitation(r.Context(), secret.New(token)) // the answer to the form says what is wrong
	err = s.users.Redeem(r.Context(), act(w, r, "", "invitation"), secret.New(token), r.PostForm.Get("identifier"), secret.New(r.PostForm.Get("password")))
	switch err = noInvitation(err); {
	case errors.Is(err, directory.ErrUsed): // there is a password to sign in with
		status, text := s.refused(w, r, err)
		return s.askToSignIn(w, r, status, to, text)
	case err != nil:
		status, text := s.refused(w, r, err)
		if errors.Is(err, login.ErrRefused) {
			text = say("problem.invitation-void")
		}
		return s.render(w, r, status, "welcome.html", welcome(frame{Problem: text, Focus: fieldOf(err, "token", "password"), To: to}, token, first))
	}
	page := to.Link("/login")
	if first && s.already(r) == "" { // who is signed in as somebody else would be led to the console as that one
		page = s.back(r, inConsole()).Link(page)
	}
	return s.finish(w, page, passwordSet, 0)
}

// invitationIn returns the token in what a visitor has copied: the token, or the whole link.
func invitationIn(text string) string {
	return strings.TrimSpace(text[strings.LastIndexByte(text, '#')+1:])
}

func (s *Server) pageSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := s.form(w, r); err != nil {
		return err
	}
	to, err := s.destination(r, r.PostForm)
	if err != nil {
		return err
	}
	return s.signInBy(w, r, s.signInPage(to))
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
	page := entryPage{frame: frame{Title: say("register.title"), To: to}, Identifier: r.PostForm.Get("identifier")}
	b := loginBody{Identifier: page.Identifier, Client: to.Client, Password: api.Hide(r.PostForm.Get("password"))}
	if err := s.signUp(w, r, b, r.PostForm.Get("name")); err != nil {
		status, text := s.refused(w, r, err)
		page.Problem, page.Focus = text, fieldOf(err, "password", "password")
		return s.render(w, r, status, "register.html", &page)
	}
	signIn := s.signInPage(to) // shown if that fails: the account is there, and cannot be made again
	signIn.Done = say("register.done")
	return s.signInBy(w, r, signIn)
}

// signInBy signs in with what the form says, and shows the form again if that fails.
func (s *Server) signInBy(w http.ResponseWriter, r *http.Request, page entryPage) error {
	page.Identifier = r.PostForm.Get("identifier")
	b := loginBody{
		Identifier: page.Identifier, Carrier: "cookie", Client: page.To.Client,
		Method: directory.KindPassword, Password: api.Hide(r.PostForm.Get("password")),
	}
	if s.signInByMail && r.PostForm.Get("method") == directory.KindMail { // the password that was typed is looked at by nobody
		b.Method, b.Password = directory.KindMail, api.Hidden{}
	}
	done, err := s.signIn(w, r, b)
	if err != nil {
		status, text := s.refused(w, r, err)
		page.Problem, page.Focus = text, fieldOf(err, "password", "password")
		return s.render(w, r, status, "login.html", &page)
	}
	return s.letIn(w, r, done, page.To)
}

// challengePage asks for the answer to a challenge, which must be one text: {"answer": …}.
type challengePage struct {
	frame
	Attempt string
	Prompt  string // of the challenge; empty: it has none
	Mailed  bool   // the answer is a code that was mailed
}

// letIn lets the visitor in, or shows the challenge.
func (s *Server) letIn(w http.ResponseWriter, r *http.Request, done progress, to destination) error {
	if done.challenge == nil {
		s.setCookies(w, done.issued)
		if to.Kept != "" {
			return s.resume(w, r, done.issued.Session.Subject, to)
		}
		s.leave(w, to)
		return nil
	}
	c := s.challenge(w, done.challenge)
	var public struct {
		Prompt string `json:"prompt"`
		Wrong  bool   `json:"wrong"`
	}
	_ = json.Unmarshal(c.Challenge, &public) // without a prompt the page asks in words of its own
	page, status := &challengePage{frame{Title: say("challenge.title"), To: to}, c.Attempt, public.Prompt, false}, http.StatusOK
	if page.Mailed = s.signInByMail && c.Method == directory.KindMail; page.Mailed {
		page.Title = say("code.title")
	}
	if page.Mailed && public.Wrong {
		page.Problem, page.Focus, status = say("problem.code-wrong"), "answer", http.StatusUnauthorized
	}
	return s.render(w, r, status, "challenge.html", page)
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
		status, text := s.refused(w, r, err)
		if errors.Is(err, login.ErrRefused) {
			text = say("problem.answer-wrong")
		}
		if session, err := s.signedIn(r); err == nil { // most often it was a step-up
			return s.notProven(w, r, status, session, frame{Problem: text, To: to})
		}
		return s.askToSignIn(w, r, status, to, text)
	}
	if err != nil { // the challenge can still be answered
		status, text := s.refused(w, r, err)
		return s.render(w, r, status, "challenge.html", &challengePage{frame{Title: say("challenge.title"), Problem: text, To: to}, r.PostForm.Get("attempt"), "", r.PostForm.Get("mailed") != ""})
	}
	return s.letIn(w, r, done, to)
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
		status, text := s.refused(w, r, err)
		if errors.Is(err, login.ErrRefused) {
			text = say("problem.password-wrong")
		}
		return s.notProven(w, r, status, session, frame{Problem: text, Focus: fieldOf(err, "password", "password"), To: to})
	}
	return s.letIn(w, r, done, to)
}

// notProven shows the form of a step-up again: that of the account page, if it leads there.
func (s *Server) notProven(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame) error {
	if f.To.ReturnTo.String() != "" {
		return s.prove(w, r, status, session, f)
	}
	f.Title = say("account.title")
	return s.accountOf(w, r, status, f, session)
}

// provePage has somebody who is signed in prove it again.
type provePage struct {
	frame
	Name string
}

// pageLogin shows the form, unless a program has sent somebody here who is signed in
// already: then the login must only be fresh enough.
func (s *Server) pageLogin(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	to, err := s.destination(r, query)
	if err != nil {
		return err
	}
	maxAge, fresh, err := maxAgeIn(query)
	if err != nil {
		return err
	}
	form := s.signInPage(to)
	form.Done = s.done(w, r)
	if to.ReturnTo.String() == "" && !fresh {
		form.Already = s.already(r)
		return s.render(w, r, http.StatusOK, "login.html", &form)
	}
	session, err := s.signedIn(r)
	switch {
	case signedOut(err):
		s.clearEnded(w, err)
		return s.render(w, r, http.StatusOK, "login.html", &form)
	case err != nil:
		return err
	case !to.of(session.Client): // the visitor is signed in for something else
		return s.render(w, r, http.StatusOK, "login.html", &form)
	}
	if fresh {
		err = s.issuer.Fresh(session.AuthTime, maxAge-onTheWay)
	}
	switch {
	case err == nil:
		s.leave(w, to)
		return nil
	case !errors.Is(err, counterfoil.ErrStepUp):
		return err
	}
	return s.prove(w, r, http.StatusOK, session, frame{To: to})
}

// already returns the name of the visitor who is signed in. It is said to be kind: an outage is found
// out by the form.
func (s *Server) already(r *http.Request) string {
	session, err := s.signedIn(r)
	if err != nil {
		return ""
	}
	name, _, err := s.nameOf(r, session)
	if err != nil {
		return ""
	}
	return name
}

// onTheWay is how soon a login may be too old that is called fresh: the page that sent the
// visitor here must not find it too old when the visitor comes back, and send them again.
const onTheWay = 5 * time.Second

// maxAgeIn reads max_age: how many seconds old the login may be.
func maxAgeIn(query url.Values) (maxAge time.Duration, given bool, err error) {
	text := query.Get("max_age")
	if text == "" {
		return 0, false, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, false, badRequest("max_age is a number of seconds")
	}
	return time.Duration(seconds) * time.Second, true, nil
}

// prove asks for the password of session under what f says. Who has none here signs in.
func (s *Server) prove(w http.ResponseWriter, r *http.Request, status int, session *counterfoil.Session, f frame) error {
	name, password, err := s.nameOf(r, session)
	if err != nil {
		return err
	}
	if !password {
		return s.askToSignIn(w, r, status, f.To, f.Problem)
	}
	f.Title = say("prove.title")
	return s.render(w, r, status, "prove.html", &provePage{f, name})
}

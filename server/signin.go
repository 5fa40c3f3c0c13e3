package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/source"
)

type loginBody = api.Login[api.Hidden]

// byMethod is what a body says of how somebody proves who it is, for package flow.
func byMethod(method string, password api.Hidden, input api.Object) (flow.Request, error) {
	text := password.Reveal()
	switch {
	case text == "":
		return flow.Request{Method: method, Input: input.String}, nil
	case input.Reveal() != "" || method != "" && method != directory.KindPassword:
		return flow.Request{}, badRequest("send password, or method and input")
	}
	object, err := json.Marshal(map[string]string{"password": text})
	return flow.Request{Method: directory.KindPassword, Input: secret.New(string(object))}, err
}

// progress is how far somebody came who signs in: either member is set.
type progress struct {
	issued    *issuer.Issued
	challenge *flow.Result
	device    secret.String // with issued: goes into the answer; empty: it went into a cookie
}

// pending is what is kept of a login until its challenges are answered.
type pending struct {
	Client  string `json:"client,omitempty"`
	Carrier string `json:"carrier,omitempty"`
	Scope   string `json:"scope,omitempty"`
	Account string `json:"account,omitempty"` // a pseudonym, for the audit trail
}

func carrierOf(name string) (counterfoil.Carrier, error) {
	if name == "" {
		return counterfoil.Carrier{}, nil
	}
	c, err := source.ParseCarrier(name)
	if err != nil {
		return c, badRequest("carrier is cookie, bearer, jwt-cookie, jwe or jwe-cookie")
	}
	return c, nil
}

func sessionRequest(r *http.Request, c counterfoil.Carrier, client string, a audit.Act) issuer.Request {
	return issuer.Request{Client: client, Carrier: c, UserAgent: r.UserAgent(), Act: a}
}

// signIn proves who it is, and makes the session, unless there is a challenge first.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, b loginBody) (progress, error) {
	a := act(w, r, "", "")
	ask, err := s.ask(r, b, a)
	if err != nil {
		return progress{}, err
	}
	begin, err := byMethod(b.Method, b.Password, b.Input)
	if err != nil {
		return progress{}, err
	}
	keep := pending{Client: b.Client, Carrier: ask.Carrier.String(), Scope: b.Scope, Account: s.pseudonym(b.Identifier)}
	if begin.Keep, err = json.Marshal(keep); err != nil {
		return progress{}, err
	}
	begin.Identifier, begin.Device, begin.Address = b.Identifier, s.device(r), a.Address
	begin.Client, begin.Apart = b.Client, ask.Carrier.Transport == counterfoil.Cookie
	got, err := s.flow.Begin(r.Context(), begin)
	if err != nil {
		s.tellRefused(a, keep.Client, keep.Account, err)
		return progress{}, err
	}
	return s.enter(w, r, got, keep, ask)
}

// enter makes the session that ask wants, if got proves who it is.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, got flow.Result, keep pending, ask issuer.Request) (progress, error) {
	if got.Proof == nil {
		return progress{challenge: &got}, nil
	}
	var err error
	if ask.Replaces, err = s.inCookies(r); err != nil {
		return progress{}, err
	}
	ask.RefreshCookie = wantsRefreshCookie(r)
	issued, err := s.issuer.Login(r.Context(), *got.Proof, ask)
	if err != nil {
		ask.Act.By = audit.BySubject(got.Proof.Subject)
		s.tellRefused(ask.Act, keep.Client, keep.Account, err)
		return progress{}, err
	}
	return progress{issued: issued, device: s.knowDevice(w, r, issued.Session.Carrier, got.Account)}, nil
}

// ask is the session that b asks for, if its client may have such a one. It comes
// before a credential is looked at or an account is made. And what is not a client's name
// may be a secret in the wrong member: it must not be told to anybody.
func (s *Server) ask(r *http.Request, b loginBody, a audit.Act) (issuer.Request, error) {
	c, err := carrierOf(b.Carrier)
	if err != nil {
		return issuer.Request{}, err
	}
	ask := sessionRequest(r, c, b.Client, a)
	ask.Scopes = strings.Fields(b.Scope)
	if ask, err = s.issuer.Admits(r.Context(), ask); err != nil {
		return issuer.Request{}, err
	}
	return ask, keepsCookie(r, ask.Carrier)
}

// attemptCookie has the secret of a challenge in browsers.
const (
	attemptCookie         = "__Host-Http-cf_att"
	insecureAttemptCookie = "cf_att"
)

func (s *Server) attemptCookie() string {
	if s.secure {
		return attemptCookie
	}
	return insecureAttemptCookie
}

// handOver answers with the session, or with the challenge.
func (s *Server) handOver(w http.ResponseWriter, r *http.Request, status int, p progress) error {
	if p.challenge == nil {
		return s.hand(w, status, p.issued, p.device, wantsRefreshCookie(r))
	}
	return writeJSON(w, http.StatusAccepted, s.challenge(w, p.challenge))
}

// challenge gives the client what it needs to answer.
func (s *Server) challenge(w http.ResponseWriter, c *flow.Result) api.Challenge {
	left := int64(c.Expires.Sub(s.now()) / time.Second)
	if text := c.Secret.Reveal(); text != "" {
		setCookie(w, s.attemptCookie(), text, "Strict", int(left))
	}
	return api.Challenge{Attempt: c.Attempt, Method: c.Method, Challenge: c.Challenge, ExpiresIn: left}
}

// continueLogin answers a challenge, of a login or of a step-up.
func (s *Server) continueLogin(w http.ResponseWriter, r *http.Request) error {
	var b api.Continue[api.Hidden]
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := s.fromBrowser(r, b.Client); err != nil {
		return err
	}
	done, err := s.proceed(w, r, b.Attempt.Reveal(), b.Answer.String, b.Client)
	if err != nil {
		return err
	}
	return s.handOver(w, r, http.StatusOK, done)
}

// proceed answers a challenge with a JSON object.
func (s *Server) proceed(w http.ResponseWriter, r *http.Request, attempt string, answer secret.String, client string) (progress, error) {
	a := act(w, r, "", "")
	say := flow.Answer{Attempt: attempt, Client: client, Input: answer, Address: a.Address}
	if value, ok := onlyCookie(r, s.attemptCookie()); ok {
		if err := s.fromOrigin(r, client); err != nil {
			return progress{}, err
		}
		say.Secret = secret.New(value)
	}
	var keep pending
	var session *counterfoil.Session // that is stepped up
	say.Kept = func(kept json.RawMessage) error { return json.Unmarshal(kept, &keep) }
	say.Session = func(context.Context) (id string, err error) {
		if session, err = s.signedIn(r); err != nil {
			return "", err
		}
		return session.ID, nil
	}
	got, err := s.flow.Finish(r.Context(), say)
	switch {
	case err != nil && session != nil:
		s.tellStepUp(act(w, r, audit.BySubject(session.Subject), ""), session, err)
	case err != nil:
		s.tellRefused(a, keep.Client, keep.Account, err)
	}
	if errors.Is(err, login.ErrRefused) {
		err = errAnswer
	}
	if err != nil {
		return progress{}, err
	}
	if got.Proof != nil && say.Secret.Reveal() != "" {
		setCookie(w, s.attemptCookie(), "", "Strict", 0)
	}
	if session != nil {
		return s.raise(w, r, got, session)
	}
	ask, err := s.ask(r, loginBody{Carrier: keep.Carrier, Client: keep.Client, Scope: keep.Scope}, a)
	if err != nil {
		return progress{}, err
	}
	return s.enter(w, r, got, keep, ask)
}

// errAnswer is a wrong answer to a challenge.
var errAnswer = &source.Problem{Status: http.StatusUnauthorized, Type: "login-refused", Title: "Login refused", Detail: "The answer is wrong. Begin again.", Cause: login.ErrRefused}

// tellRefused tells the audit trail of a login that was not. What was typed as the
// identifier may be a password typed into the wrong field, so only its pseudonym is told:
// it shows that two attempts were on the same account.
func (s *Server) tellRefused(a audit.Act, client, account string, err error) {
	e := a.Entry(audit.Login, "")
	e.Outcome, e.Client = audit.Refused, client
	if account != "" {
		e.Detail = "account=" + account
	}
	switch {
	case login.Unchecked(err):
		e.Action = audit.Limit
	case errors.Is(err, counterfoil.ErrUnavailable), errors.Is(err, context.Canceled):
		return // an outage says nothing about the attempt: it is in the log
	}
	if a.By == "" {
		e.By = audit.ByUnknown
	}
	e.Reason = err.Error()
	s.issuer.Audit().Tell(e)
}

// pseudonym is a short keyed hash of whatever account an identifier means.
func (s *Server) pseudonym(identifier string) string {
	if canonical, err := directory.Canonical(identifier); err == nil {
		identifier = canonical
	}
	m := hmac.New(sha256.New, s.pseudonymKey)
	m.Write([]byte(identifier))
	return hex.EncodeToString(m.Sum(nil)[:6])
}

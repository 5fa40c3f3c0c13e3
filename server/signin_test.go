package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// riddle is a way of signing in with a challenge. Who has one must also answer it after
// another method.
type riddle struct{}

func (riddle) Name() string { return "riddle" }

func (riddle) challenge(account login.Account) *login.Challenge {
	answer := "nothing"
	if len(account.Credentials) > 0 {
		answer = strings.Trim(string(account.Credentials[0].Data), `"`)
	}
	return &login.Challenge{Public: map[string]string{"prompt": "What is <it>?"}, State: []byte(answer)}
}

func (m riddle) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	return login.Step{Challenge: m.challenge(account)}, nil
}

func (riddle) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Answer string `json:"answer"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	if len(account.Credentials) == 0 || in.Answer != string(a.State) {
		return login.Step{}, login.ErrRefused
	}
	return login.Step{Proof: account.Prove("kba"), Used: &account.Credentials[0]}, nil
}

func (m riddle) After(ctx context.Context, a login.Attempt) (*login.Challenge, error) {
	account, err := a.Account(ctx)
	if err != nil || len(account.Credentials) == 0 {
		return nil, err
	}
	return m.challenge(account), nil
}

// riddled gives alice a riddle.
func (b *bench) riddled() {
	b.Helper()
	u, err := b.users.ByIdentifier(b.Context(), "alice")
	must(b.T, err)
	must(b.T, b.users.SetCredential(b.Context(), rights.Owner(), u.ID, audit.Act{}, login.Credential{Kind: "riddle", Data: json.RawMessage(`"a man"`)}))
}

// challenged fails the test unless the answer is a challenge, and returns its attempt and
// the cookie with its secret.
func (b *bench) challenged(res *http.Response, body string) (attempt, cookie string) {
	b.Helper()
	if res.StatusCode != http.StatusAccepted || !strings.Contains(body, `"prompt":"What is \u003cit\u003e?"`) || !strings.Contains(body, `"expires_in":`) {
		b.Fatalf("%d %s, want a challenge", res.StatusCode, body)
	}
	for _, c := range res.Cookies() {
		if c.Name != "cf_att" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.MaxAge > 300 {
			b.Errorf("cookie %v", c)
		}
		cookie = c.Name + "=" + c.Value
	}
	return textOf(body, "attempt"), cookie
}

func answering(attempt, answer string) string {
	return `{"attempt":"` + attempt + `","answer":{"answer":"` + answer + `"}}`
}

// refused fails the test unless the answer is that problem.
func (b *bench) refused(what, kind string, status int, res *http.Response, body string) {
	b.Helper()
	if res.StatusCode != status || !strings.Contains(body, "urn:counterfoil:problem:"+kind) {
		b.Errorf("%s = %d %s, want %d %s", what, res.StatusCode, body, status, kind)
	}
}

// LOGIN-20: a program has the secret of a challenge in the answer. It answers once.
func TestChallengeOfAProgram(t *testing.T) {
	b := newBench(t)
	b.riddled()
	begin := func() string {
		attempt, cookie := b.challenged(b.call("POST", "/v1/login", `{"identifier":"Alice","method":"riddle","carrier":"bearer","client":"app"}`))
		if len(attempt) != 69 || cookie != "" {
			t.Fatalf("attempt %s, cookie %s", attempt, cookie)
		}
		return attempt
	}
	attempt := begin()
	say := func(attempt, answer, client string) (*http.Response, string) {
		return b.call("POST", "/v1/login/continue", strings.TrimSuffix(answering(attempt, answer), "}")+`,"client":"`+client+`"}`)
	}
	res, body := say(attempt, "a man", "")
	b.refused("another client", "login-over", http.StatusUnauthorized, res, body)
	res, body = say(attempt[:26], "a man", "app")
	b.refused("without the secret", "login-over", http.StatusUnauthorized, res, body)
	got := b.issued(say(attempt, "a man", "app"))
	if s := got.Session; s.Carrier != "bearer" || s.Client != "app" || strings.Join(s.Methods, " ") != "kba" {
		t.Errorf("session %+v", s)
	}
	res, body = say(attempt, "a man", "app")
	b.refused("the answer again", "login-over", http.StatusUnauthorized, res, body)
	attempt = begin()
	res, body = say(attempt, "a fish", "app")
	b.refused("a wrong answer", "login-refused", http.StatusUnauthorized, res, body)
	if !strings.Contains(body, "The answer is wrong") {
		t.Errorf("a wrong answer = %s", body)
	}
	res, body = say(attempt, "a man", "app")
	b.refused("after a wrong answer", "login-over", http.StatusUnauthorized, res, body)
	nobody, _ := b.challenged(b.call("POST", "/v1/login", `{"identifier":"nobody","method":"riddle","carrier":"bearer"}`))
	res, body = say(nobody, "nothing", "")
	b.refused("nobody", "login-refused", http.StatusUnauthorized, res, body)
}

// LOGIN-20: a browser has the secret in a cookie that no script sees. Another browser, and a page of
// another site, cannot answer.
func TestChallengeOfABrowser(t *testing.T) {
	b := newBench(t)
	b.riddled()
	attempt, cookie := b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`, "Origin", b.url))
	if len(attempt) != 26 || cookie == "" {
		t.Fatalf("attempt %s, cookie %s", attempt, cookie)
	}
	_, other := b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`, "Origin", b.url))
	secret := strings.TrimPrefix(cookie, "cf_att=")
	for what, c := range map[string]struct {
		attempt string
		kind    string
		status  int
		header  []string
	}{
		"no cookie":            {attempt, "login-over", http.StatusUnauthorized, []string{"Origin", b.url}},
		"another's cookie":     {attempt, "login-over", http.StatusUnauthorized, []string{"Origin", b.url, "Cookie", other}},
		"two cookies":          {attempt, "login-over", http.StatusUnauthorized, []string{"Origin", b.url, "Cookie", other + "; " + cookie}},
		"the secret in a body": {attempt + secret, "login-over", http.StatusUnauthorized, []string{"Origin", b.url}},
		"another site":         {attempt, "cross-origin", http.StatusForbidden, []string{"Origin", "https://evil.test", "Cookie", cookie}},
		"no origin":            {attempt, "cross-origin", http.StatusForbidden, []string{"Cookie", cookie}},
	} {
		res, body := b.call("POST", "/v1/login/continue", answering(c.attempt, "a man"), c.header...)
		b.refused(what, c.kind, c.status, res, body)
	}
	res, body := b.call("POST", "/v1/login/continue", answering(attempt, "a man"), "Origin", b.url, "Cookie", cookie)
	got := b.issued(res, body)
	if strings.Join(got.Session.Methods, " ") != "pwd kba" || b.status(got) != http.StatusOK {
		t.Errorf("session %+v", got.Session)
	}
	cleared := false
	for _, c := range res.Cookies() {
		cleared = cleared || c.Name == "cf_att" && c.MaxAge < 0
	}
	if !cleared {
		t.Errorf("cookies %v, want the secret gone", res.Cookies())
	}
}

// A step-up can have a challenge too. It is answered by the session that asked.
func TestChallengeOfAStepUp(t *testing.T) {
	for _, carrier := range []string{"cookie", "bearer"} {
		b := newBench(t)
		old, other := b.login(carrier), b.login(carrier)
		b.riddled()
		ask := append(old.credential(), "Origin", b.url)
		attempt, cookie := b.challenged(b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, ask...))
		with := func(c []string) []string {
			if c = append([]string{}, c...); cookie != "" {
				c[1] += "; " + cookie
			}
			return append(c, "Origin", b.url)
		}
		res, body := b.call("POST", "/v1/login/continue", answering(attempt, "a man"), with(other.credential())...)
		b.refused(carrier+", another session", "login-over", http.StatusUnauthorized, res, body)
		up := b.issued(b.call("POST", "/v1/login/continue", answering(attempt, "a man"), with(old.credential())...))
		if strings.Join(up.Session.Methods, " ") != "pwd kba" || b.status(up) != http.StatusOK || b.status(old) != http.StatusUnauthorized {
			t.Errorf("%s: stepped up %+v, now %d, before %d", carrier, up.Session, b.status(up), b.status(old))
		}
		alone, cookie2 := b.challenged(b.call("POST", "/v1/session/step-up", `{"method":"riddle"}`, append(up.credential(), "Origin", b.url)...))
		cookie = cookie2
		b.issued(b.call("POST", "/v1/login/continue", answering(alone, "a man"), with(up.credential())...))
	}
}

// The pages ask for the second step, too.
func TestChallengePage(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	b.riddled()
	origin := []string{"Origin", "http://127.0.0.1:8080"}
	w := b.form("/login", map[string][]string{"identifier": {"alice"}, "password": {pass}}, origin...)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "What is &lt;it&gt;?") || len(w.Result().Cookies()) != 1 {
		t.Fatalf("the page = %d %s", w.Code, w.Body)
	}
	_, rest, _ := strings.Cut(w.Body.String(), `name="attempt" value="`)
	attempt, _, _ := strings.Cut(rest, `"`)
	cookie := w.Result().Cookies()[0]
	answer := func(text string, header ...string) *httptest.ResponseRecorder {
		return b.form("/login/continue", map[string][]string{"attempt": {attempt}, "answer": {text}}, append(header, origin...)...)
	}
	if w := answer("a man"); w.Code != http.StatusUnauthorized || len(w.Result().Cookies()) != 0 {
		t.Errorf("without the cookie = %d", w.Code)
	}
	w = answer("a man", "Cookie", cookie.Name+"="+cookie.Value)
	if w.Code != http.StatusSeeOther || !strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), " "), source.InsecureCookieName+"=") {
		t.Errorf("the right answer = %d %v", w.Code, w.Header())
	}
	if w = answer("a man", "Cookie", cookie.Name+"="+cookie.Value); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `action="/login"`) {
		t.Errorf("again = %d %s", w.Code, w.Body)
	}
}

// LOGIN-19: a credential that is taken away between a challenge and its answer is good
// for nothing.
func TestCredentialTakenAway(t *testing.T) {
	b := newBench(t)
	b.riddled()
	u, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	attempt, _ := b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`))
	must(t, b.users.DeleteCredential(t.Context(), rights.Owner(), u.ID, audit.Act{}, "riddle", ""))
	res, body := b.call("POST", "/v1/login/continue", answering(attempt, "a man"))
	b.refused("after it is gone", "login-refused", http.StatusUnauthorized, res, body)
	if all, err := b.users.Credentials(t.Context(), u.ID); err != nil || len(all) != 0 {
		t.Errorf("Credentials = %v, %v", all, err)
	}
	b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`))
	if err := b.users.SetCredential(t.Context(), rights.Owner(), u.ID, audit.Act{}, login.Credential{Kind: "password", Data: json.RawMessage(`{"hash":"x"}`)}); err == nil {
		t.Error("a password was set as a credential")
	}
}

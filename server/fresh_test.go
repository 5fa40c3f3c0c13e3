package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// left is a session of alice, by carrier c, that she signed in to age ago.
func (b *bench) left(age time.Duration, c counterfoil.Carrier) issued {
	b.Helper()
	u, err := b.users.ByIdentifier(b.Context(), "alice")
	must(b.T, err)
	rev, err := b.issuer.SubjectRev(b.Context(), u.ID)
	must(b.T, err)
	got, err := b.issuer.Login(b.Context(), login.Proof{Subject: u.ID, Methods: []string{"pwd"}, At: time.Now().Add(-age), SubjectRev: rev}, issuer.Request{Carrier: c})
	must(b.T, err)
	i := issued{Access: got.Access.Reveal()}
	i.Session.ID = got.Session.ID
	if c.Transport == counterfoil.Cookie {
		i.cookies, i.Access = []*http.Cookie{{Name: source.InsecureCookieName, Value: i.Access}}, ""
	}
	return i
}

// SES-15: a session that was left open, or stolen, shows no other one and does not end the
// others: that takes a login of the last 15 minutes, or a step-up. One session can be ended,
// and signed out of, without.
func TestOthersNeedAFreshLogin(t *testing.T) {
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE} {
		t.Run(c.String(), func(t *testing.T) {
			b := newBench(t)
			other := b.left(time.Hour, counterfoil.CarrierBearer)
			old := b.left(15*time.Minute+time.Second, c)
			ask := append(old.credential(), "Origin", b.url)
			for _, method := range []string{"GET", "DELETE"} {
				res, body := b.call(method, "/v1/sessions", "", ask...)
				if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `"max_age":900`) || strings.Contains(body, other.Session.ID) || len(res.Cookies()) > 0 {
					t.Errorf("%s with an old login = %d %s, cookies %v", method, res.StatusCode, body, res.Cookies())
				}
				if challenge := res.Header.Get("WWW-Authenticate"); (challenge == `Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="900"`) == (c.Transport == counterfoil.Cookie) {
					t.Errorf("%s: challenge %q", method, challenge)
				}
			}
			if b.status(old) != http.StatusOK || b.status(other) != http.StatusOK {
				t.Fatal("a session has ended")
			}
			up := b.issued(b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, ask...))
			for _, method := range []string{"GET", "DELETE"} {
				if res, body := b.call(method, "/v1/sessions", "", append(up.credential(), "Origin", b.url)...); res.StatusCode != http.StatusOK {
					t.Errorf("%s after the step-up = %d %s", method, res.StatusCode, body)
				}
			}
			if b.status(up) != http.StatusOK || b.status(other) != http.StatusUnauthorized {
				t.Errorf("the session = %d, the other = %d", b.status(up), b.status(other))
			}
			// What takes nothing from the owner needs no proof: one session, by its id, and a logout.
			one, mine := b.left(time.Hour, counterfoil.CarrierBearer), b.left(time.Hour, c)
			ask = append(mine.credential(), "Origin", b.url)
			if res, body := b.call("DELETE", "/v1/sessions/"+one.Session.ID, "", ask...); res.StatusCode != http.StatusNoContent || b.status(one) != http.StatusUnauthorized {
				t.Errorf("ending one = %d %s", res.StatusCode, body)
			}
			if res, body := b.call("POST", "/v1/logout", "", ask...); res.StatusCode != http.StatusNoContent || b.status(mine) != http.StatusUnauthorized {
				t.Errorf("logout = %d %s", res.StatusCode, body)
			}
		})
	}
}

// SES-15: the page of an old login shows the session that looks, and asks for the password
// instead of showing the others. The right one leads back to the list.
func TestAccountPageStepsUp(t *testing.T) {
	b := newBench(t)
	http.DefaultClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() { http.DefaultClient.CheckRedirect = nil })
	other := b.left(time.Minute, counterfoil.CarrierBearer)
	old := b.left(time.Hour, counterfoil.CarrierJWTCookie)
	ask := append(old.credential(), "Origin", b.url)
	const asks = `action="/session/step-up"`
	for _, path := range []string{"/", "/?next=x"} {
		res, page := b.call("GET", path, "", ask...)
		if res.StatusCode != http.StatusOK || !strings.Contains(page, asks) || !strings.Contains(page, old.Session.ID) || !strings.Contains(page, "Signed in as <bdi>alice") ||
			strings.Contains(page, other.Session.ID) || strings.Contains(page, "/sessions/others") {
			t.Errorf("GET %s of an old login = %d %s", path, res.StatusCode, page)
		}
	}
	if res, page := b.call("POST", "/sessions/others", "", ask...); res.StatusCode != http.StatusUnauthorized || !strings.Contains(page, asks) || b.status(other) != http.StatusOK {
		t.Errorf("ending the others = %d %s", res.StatusCode, page)
	}
	confirm := func(password, origin string) (*http.Response, string) {
		return b.call("POST", "/session/step-up", url.Values{"password": {password}}.Encode(), append(old.credential(), "Origin", origin)...)
	}
	if res, page := confirm("not this one at all", b.url); res.StatusCode != http.StatusUnauthorized || !strings.Contains(page, asks) || !strings.Contains(page, "That password is not right") || len(res.Cookies()) > 0 {
		t.Errorf("with a wrong password = %d %s, cookies %v", res.StatusCode, page, res.Cookies())
	}
	if res, _ := confirm(pass, "https://evil.test"); res.StatusCode != http.StatusForbidden {
		t.Errorf("from another site = %d, want 403", res.StatusCode)
	}
	res, page := confirm(pass, b.url)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" {
		t.Fatalf("with the password = %d %s", res.StatusCode, page)
	}
	if b.status(old) != http.StatusUnauthorized {
		t.Error("the credential from before the step-up is still good")
	}
	up := issued{cookies: res.Cookies()}
	ask = []string{"Cookie", up.cookieHeader(), "Origin", b.url}
	if res, page := b.call("GET", "/", "", ask...); res.StatusCode != http.StatusOK || !strings.Contains(page, other.Session.ID) || strings.Contains(page, asks) {
		t.Errorf("the page after the step-up = %d %s", res.StatusCode, page)
	}
	if res, page := b.call("POST", "/sessions/others", "", ask...); res.StatusCode != http.StatusSeeOther || b.status(other) != http.StatusUnauthorized {
		t.Errorf("ending the others after the step-up = %d %s", res.StatusCode, page)
	}
}

// SES-15: a step-up on a page asks for the second step, and a wrong answer leads back to the
// page of the account: the person stays signed in.
func TestAccountPageStepsUpInTwoSteps(t *testing.T) {
	b := newBench(t)
	http.DefaultClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() { http.DefaultClient.CheckRedirect = nil })
	b.riddled()
	old := b.left(time.Hour, counterfoil.CarrierCookie)
	for _, c := range []struct {
		answer string
		want   int
	}{{"a sphinx", http.StatusUnauthorized}, {"a man", http.StatusSeeOther}} {
		res, page := b.call("POST", "/session/step-up", url.Values{"password": {pass}}.Encode(), append(old.credential(), "Origin", b.url)...)
		_, rest, asked := strings.Cut(page, `name="attempt" value="`)
		if res.StatusCode != http.StatusOK || !asked {
			t.Fatalf("step-up = %d %s, want a challenge", res.StatusCode, page)
		}
		attempt, _, _ := strings.Cut(rest, `"`)
		cookies := old.cookieHeader()
		for _, c := range res.Cookies() {
			cookies += "; " + c.Name + "=" + c.Value
		}
		res, page = b.call("POST", "/login/continue", url.Values{"attempt": {attempt}, "answer": {c.answer}}.Encode(), "Cookie", cookies, "Origin", b.url)
		if res.StatusCode != c.want || c.want != http.StatusSeeOther && !strings.Contains(page, `action="/session/step-up"`) {
			t.Errorf("answer %q = %d %s, want %d", c.answer, res.StatusCode, page, c.want)
		}
	}
}

// A person whose account is elsewhere has no password here: the page does not ask for one.
func TestAccountPageOfAStranger(t *testing.T) {
	b := newBench(t)
	got, err := b.issuer.Login(t.Context(), login.Proof{Subject: "usr_elsewhere", At: time.Now().Add(-time.Hour)}, issuer.Request{Carrier: counterfoil.CarrierCookie})
	must(t, err)
	res, page := b.call("GET", "/", "", "Cookie", source.InsecureCookieName+"="+got.Access.Reveal())
	if res.StatusCode != http.StatusOK || strings.Contains(page, "/session/step-up") || !strings.Contains(page, "Sign in again") {
		t.Errorf("the page = %d %s", res.StatusCode, page)
	}
}

// CORS-01: a client's page whose login is old can step up.
func TestStepUpOfAnotherOrigin(t *testing.T) {
	b := newBench(t)
	must(t, b.issuer.Clients().Set(t.Context(), rights.Owner(), "default", audit.Act{}, func(c *clients.Client) { c.Origins = []string{"https://app.test"} }))
	old := b.left(time.Hour, counterfoil.CarrierCookie)
	res, body := b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, append(old.credential(), "Origin", "https://app.test")...)
	if res.StatusCode != http.StatusOK || res.Header.Get("Access-Control-Allow-Origin") != "https://app.test" {
		t.Errorf("step-up by a client's page = %d %s, %v", res.StatusCode, body, res.Header)
	}
}

package server_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// TOK-32: an access token says what a verifier needs and no more: no name, no address,
// nothing that was not asked for.
func TestDefaultClaims(t *testing.T) {
	b := newBench(t)
	b.client("shop", clients.Client{Scopes: []string{"read"}})
	for _, c := range []struct {
		name, client string
		roles        []string
		extra        []string // beside what every token has
	}{
		{"plain", "app", nil, nil},
		{"with a role", "app", []string{"staff"}, []string{"roles"}},
		{"with a scope", "shop", nil, []string{"scope"}},
	} {
		got := b.session("alice", issuer.Request{Client: c.client, Carrier: counterfoil.CarrierBearer, UserAgent: "phone"}, c.roles...)
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Access.Reveal(), ".")[1])
		must(t, err)
		var claims map[string]any
		must(t, json.Unmarshal(raw, &claims))
		want := append([]string{"amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "rv", "sid", "sub"}, c.extra...)
		slices.Sort(want)
		if has := slices.Sorted(maps.Keys(claims)); !slices.Equal(has, want) {
			t.Errorf("%s: claims %v, want %v", c.name, has, want)
		}
	}
}

// LOGIN-07: while strangers cannot make themselves an account, register says the same of
// every name. Where they can, a taken name is told (decision 0007), and trying names is
// slowed down like trying passwords.
func TestRegisterTellsNoNames(t *testing.T) {
	closed := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	var answers []string
	for _, name := range []string{"alice", "nobody"} {
		w := closed.answer("POST", "/v1/register", `{"identifier":"`+name+`","password":"`+pass+`"}`)
		page := closed.form("/register", map[string][]string{"identifier": {name}, "password": {pass}}, "Origin", "http://127.0.0.1:8080")
		if w.Code/100 != 4 || page.Code/100 != 4 {
			t.Errorf("closed: %d, page %d", w.Code, page.Code)
		}
		answers = append(answers, w.Body.String()+page.Body.String())
	}
	if answers[0] != answers[1] {
		t.Errorf("closed: alice gets %s, nobody %s", answers[0], answers[1])
	}
	open := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	told, slowed, begun := 0, false, time.Now()
	for range 30 {
		w := open.answer("POST", "/v1/register", `{"identifier":"alice","password":"`+pass+`"}`)
		switch w.Code {
		case http.StatusConflict:
			told++
		case http.StatusTooManyRequests:
			slowed = w.Header().Get("Retry-After") != ""
		default:
			t.Fatalf("open: %d %s", w.Code, w.Body)
		}
	}
	// Twenty at once, and one more in every three seconds that this machine took.
	allowed := 20 + 1 + int(time.Since(begun)/(3*time.Second))
	if told == 0 || told > allowed || (!slowed && allowed < 30) {
		t.Errorf("%d of 30 names in a row were told, of %d allowed; slowed down: %v", told, allowed, slowed)
	}
}

// SES-16: what somebody has who is not signed in yet is a session nowhere: not the mark
// of a known browser, not a challenge, not an invitation, not a CSRF token, not a refresh token, not an
// API key.
func TestHalfALoginIsNoSession(t *testing.T) {
	b := newBench(t)
	got := b.login("jwt-cookie")
	values := map[string]string{"API key": b.key}
	for _, c := range got.cookies {
		if c.Name != source.InsecureCookieName {
			values["cookie "+c.Name] = c.Value
		}
	}
	_, body := b.call("GET", "/v1/csrf", "", "Cookie", got.cookieHeader())
	values["CSRF token"] = textOf(body, "csrf_token")
	user, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	_, body = b.call("POST", "/v1/admin/users/"+user.ID+"/invitations", "", "Authorization", "Bearer "+b.key)
	values["invitation"] = textOf(body, "token")
	b.riddled()
	values["attempt"], _ = b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","method":"riddle","carrier":"bearer"}`))
	_, attempt := b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","method":"riddle"}`))
	values["secret of an attempt"] = strings.TrimPrefix(attempt, "cf_att=")
	if len(values) != 7 {
		t.Fatalf("only %v", slices.Sorted(maps.Keys(values)))
	}
	v := b.verifier()
	for name, value := range values {
		if value == "" {
			t.Fatalf("no %s", name)
		}
		for _, header := range [][]string{{"Authorization", "Bearer " + value}, {"Cookie", "cf=" + value}} {
			for _, path := range []string{"/v1/session", "/v1/sessions", "/v1/csrf"} {
				if res, body := b.call("GET", path, "", header...); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s as %s on %s = %d %s", name, header[0], path, res.StatusCode, body)
				}
			}
		}
		if got, err := v.Verify(t.Context(), value); err == nil {
			t.Errorf("%s: a verifier takes it for %v", name, got)
		}
		if name == "cookie "+source.InsecureRefreshCookieName {
			continue // it is what it is
		}
		if res, body := b.call("POST", "/v1/refresh", `{"refresh_token":"`+value+`"}`); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s as a refresh token = %d %s", name, res.StatusCode, body)
		}
	}
}

// Who is signed in is told that the password is wrong, and not that a name may be.
func TestWrongPasswordIsCalledWrong(t *testing.T) {
	b := newBench(t)
	got := b.login("bearer")
	for path, c := range map[string]struct{ body, title string }{
		"/v1/password":        {`{"current":"not hers at all","next":"an evening by the river"}`, "The current password is wrong"},
		"/v1/session/step-up": {`{"password":"not hers at all"}`, "The password is wrong"},
	} {
		res, body := b.call("POST", path, c.body, got.credential()...)
		b.refused(path, "login-refused", http.StatusUnauthorized, res, body)
		if textOf(body, "title") != c.title || strings.Contains(body, "identifier") {
			t.Errorf("%s = %s, want %q", path, body, c.title)
		}
	}
}

// LOGIN-12: the holder of an invitation can ask whether it is good, which does not use it up.
func TestInvitationIsChecked(t *testing.T) {
	b := newBench(t)
	_, body := b.call("POST", "/v1/admin/users", `{"identifier":"wendy"}`, "Authorization", "Bearer "+b.key)
	var made struct{ Invitation struct{ Token string } }
	must(t, json.Unmarshal([]byte(body), &made))
	token := made.Invitation.Token
	check := func(token string) (*http.Response, string) {
		return b.call("POST", "/v1/invitations/check", `{"token":"`+token+`"}`)
	}
	for range 2 {
		if res, body := check(token); res.StatusCode != http.StatusNoContent {
			t.Fatalf("a good one = %d %s", res.StatusCode, body)
		}
	}
	for _, void := range []string{"", "cfi_", strings.Repeat("x", len(token)), token + "x"} {
		res, body := check(void)
		b.refused("a void one", "login-refused", http.StatusUnauthorized, res, body)
		if textOf(body, "title") != "This invitation is no longer good" {
			t.Errorf("a void one = %s", body)
		}
		res, body = b.call("POST", "/v1/invitations", `{"token":"`+void+`","password":"an evening by the river"}`)
		if b.refused("redeeming it", "login-refused", http.StatusUnauthorized, res, body); textOf(body, "title") != "This invitation is no longer good" {
			t.Errorf("redeeming a void one = %s", body)
		}
	}
	if res, body := b.call("POST", "/v1/invitations", `{"token":"`+token+`","password":"an evening by the river"}`); res.StatusCode != http.StatusNoContent {
		t.Fatalf("redeeming it = %d %s", res.StatusCode, body)
	}
	res, body := check(token)
	b.refused("a used one", "invitation-used", http.StatusGone, res, body)
	if res, body := b.call("POST", "/v1/invitations/check", `{"token":"`+token+`"}`, "Origin", "https://evil.test"); res.StatusCode != http.StatusForbidden {
		t.Errorf("asked by another site = %d %s", res.StatusCode, body)
	}
}

// textOf is a member of a JSON object; empty if it is not there.
func textOf(body, name string) string {
	var members map[string]any
	if json.Unmarshal([]byte(body), &members) != nil {
		return ""
	}
	text, _ := members[name].(string)
	return text
}

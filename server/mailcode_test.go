package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// Who wants a code instead of the password gets it by the button of the sign-in page, types it there, and is
// where the sign-in leads. A user without a proven address sees the same page.
func TestSignInByMailedCode(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, SignInByMail: true})
	for _, name := range []string{"ada@example.com", "eve@example.com"} {
		u, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, name, "", secret.New(pass), nil)
		must(t, err)
		_, err = b.users.Update(t.Context(), rights.Owner(), u.ID, audit.Act{}, func(u *directory.User) error {
			if name == "ada@example.com" {
				u.Verified = time.Now()
			}
			return nil
		})
		must(t, err)
	}
	v := b.visitor().open("/login?return_to=/notes").at(http.StatusOK, "Mail me a code instead")
	v.send("/login", typed("identifier", "ada@example.com", "method", "mail")).at(http.StatusOK, "<h1>Enter the code</h1>")
	m := b.box.last(t)
	code := m.Code.Reveal()
	if m.Kind != accounts.MailSignIn || m.To != "ada@example.com" || m.Path != "" || strings.Contains(v.page.Body.String(), code) {
		t.Errorf("the mail is %+v", m)
	}
	v.send("/login/continue", typed("answer", wrong(code))).at(http.StatusUnauthorized, "That code is not right").at(http.StatusUnauthorized, `aria-invalid="true"`)
	v.send("/login/continue", typed("answer", code)).sentTo("/notes")
	v.open("/").at(http.StatusOK, "ada@example.com")

	before := b.box.count(t)
	v = b.visitor().open("/login").send("/login", typed("identifier", "eve@example.com", "method", "mail", "password", pass)).at(http.StatusOK, "<h1>Enter the code</h1>")
	if n := b.box.count(t); n != before {
		t.Errorf("%d messages to an address that nobody has proven", n-before)
	}
	for range 4 {
		v.send("/login/continue", typed("answer", "12345678")).at(http.StatusUnauthorized, "That code is not right")
	}
	v.send("/login/continue", typed("answer", "12345678")).at(http.StatusUnauthorized, "<h1>Sign in</h1>")
}

// Signing in by mail is off unless it is asked for, and cannot be on without mail.
func TestSignInByMailIsOff(t *testing.T) {
	b := mailed(t)
	v := b.visitor().open("/login")
	if strings.Contains(v.page.Body.String(), "Mail me a code") {
		t.Errorf("the button is there: %s", v.page.Body)
	}
	v.send("/login", typed("identifier", "ada@example.com", "method", "mail")).at(http.StatusUnauthorized, "not right")
	if w := b.answer("POST", "/v1/login", `{"identifier":"ada@example.com","method":"mail","input":{}}`); w.Code != http.StatusBadRequest || b.box.count(t) != 0 {
		t.Errorf("by the API = %d %s, %d messages", w.Code, w.Body, b.box.count(t))
	}
	if _, err := server.Open(t.Context(), server.Config{Store: memory.New(), URL: authURL, Offline: true, SignInByMail: true}); err == nil {
		t.Error("a server without mail signs in by mail")
	}
}

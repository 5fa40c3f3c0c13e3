package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// mailed is a bench with the user ada@example.com.
func mailed(t *testing.T) *bench {
	b := assemble(t, server.Config{URL: authURL, Registration: true})
	_, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "ada@example.com", "", secret.New(pass), nil)
	must(t, err)
	return b
}

// signedInAs is a browser in which a user is signed in.
func (b *bench) signedInAs(identifier string) *visitor {
	b.Helper()
	u, err := b.users.ByIdentifier(b.Context(), identifier)
	must(b.T, err)
	v := b.visitor()
	v.cookies[source.InsecureCookieName] = b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	return v
}

const next = "a morning by the river"

// Who forgot the password chooses another by the pages: with the code where they asked, and after a wrong
// one. Other browsers are signed out. The application that sent them here is where they end.
func TestForgottenPassword(t *testing.T) {
	b := mailed(t)
	other := b.signedInAs("ada@example.com")
	v := b.visitor().open("/login?return_to=/notes").link("Forgot your password?").at(http.StatusOK, "<h1>Forgot your password?</h1>")
	v.send("/forgot", typed("identifier", " ADA@example.com")).at(http.StatusOK, "<h1>Enter the code</h1>")
	letter := b.box.last(t)
	code := letter.Code.Reveal()
	if letter.Kind != accounts.MailReset || letter.Path != "/welcome" || !strings.Contains(v.page.Body.String(), `autocomplete="one-time-code"`) || strings.Contains(v.page.Body.String(), code) {
		t.Errorf("the mail is %+v, the page %s", letter, v.page.Body)
	}
	v.send("/forgot/code", typed("code", wrong(code))).at(http.StatusUnauthorized, "That code is not right")
	v.at(http.StatusUnauthorized, `aria-describedby="code-problem code-hint"`)
	v.send("/forgot/code", typed("code", code[:4]+" "+code[4:])).at(http.StatusOK, "<h1>Choose a password</h1>")
	v.send("/welcome", typed("password", "short", "token", tokenOf(v))).at(http.StatusUnprocessableEntity, "too short")
	v.send("/welcome", typed("password", next, "token", tokenOf(v))).sentTo("/login?return_to=%2Fnotes")
	v.open("/login?return_to=/notes").at(http.StatusOK, "Your password is set.")
	v.send("/login", typed("identifier", "ada@example.com", "password", next)).sentTo("/notes")
	other.open("/").at(http.StatusOK, "You are not signed in")
	if got := b.box.last(t); got.Kind != accounts.MailPassword || got.To != "ada@example.com" {
		t.Errorf("the notice is %+v", got)
	}
	b.visitor().open("/forgot").send("/forgot", typed("identifier", "ada@example.com")).send("/forgot/code", typed("code", code)).at(http.StatusUnauthorized, "not right")
}

// tokenOf is the token that the form of an invitation has.
func tokenOf(v *visitor) string {
	for _, input := range inputs.FindAllString(v.page.Body.String(), -1) {
		if attribute(input, "name") == "token" {
			return attribute(input, "value")
		}
	}
	return ""
}

// LOGIN-07: the page and the API answer the same for any name, status, headers and all, except for
// what is random.
func TestForgottenPasswordOfAnybody(t *testing.T) {
	b := mailed(t)
	gone, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "gone@example.com", "", secret.New(pass), nil)
	must(t, err)
	_, err = b.users.Update(t.Context(), rights.Owner(), gone.ID, audit.Act{}, func(u *directory.User) error { u.Status = directory.Disabled; return nil })
	must(t, err)
	for _, path := range []string{"/v1/recovery", "/forgot"} {
		want := ""
		for n, name := range []string{"ada@example.com", "gone@example.com", "alice", "nobody@example.com", "nobody"} {
			before := b.box.count(t)
			var got string
			if path == "/forgot" {
				v := b.visitor().open("/forgot").send("/forgot", typed("identifier", name))
				_, rest, _ := strings.Cut(v.page.Body.String(), `name="handle" value="`)
				got = fmt.Sprint(v.page.Code, v.page.Header(), strings.Replace(v.page.Body.String(), rest[:43], "", 1))
			} else {
				w := b.answer("POST", path, `{"identifier":"`+name+`"}`)
				got = fmt.Sprint(w.Code, w.Header(), strings.Replace(w.Body.String(), textOf(w.Body.String(), "recovery"), "", 1))
			}
			if _, rest, found := strings.Cut(got, "X-Request-Id:["); found {
				got = strings.Replace(got, rest[:16], "", 1)
			}
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s for %s\n%s\nfor others\n%s", path, name, got, want)
			}
			if sent := b.box.count(t) > before; sent != (n == 0) {
				t.Errorf("%s for %s: sent %v", path, name, sent)
			}
		}
	}
}

// LOGIN-09: a stranger who asks for all mails of an hour does not keep the owner from one, in a browser or a program that has
// signed in before.
func TestForgottenOnAKnownDevice(t *testing.T) {
	b := mailed(t)
	owner := b.visitor().open("/login").send("/login", typed("identifier", "ada@example.com", "password", pass))
	in := b.answer("POST", "/v1/login", `{"identifier":"ada@example.com","password":"`+pass+`","carrier":"bearer"}`)
	sent := func(header ...string) bool {
		before := b.box.count(t)
		b.answer("POST", "/v1/recovery", `{"identifier":"ada@example.com"}`, header...)
		return b.box.count(t) > before
	}
	for n := range 4 {
		if got := sent(); got != (n < 3) {
			t.Errorf("mail %d that a stranger asks for: sent %v", n+1, got)
		}
	}
	before := b.box.count(t)
	owner.open("/forgot").send("/forgot", typed("identifier", "ada@example.com")).at(http.StatusOK, "<h1>Enter the code</h1>")
	if b.box.count(t) != before+1 {
		t.Error("the browser of the owner gets no mail")
	}
	if !sent(api.DeviceHeader, textOf(in.Body.String(), "device")) {
		t.Error("the program of the owner gets no mail")
	}
	if sent(api.DeviceHeader, "cfd_"+strings.Repeat("A", 64)) {
		t.Error("a device that never signed in gets a mail")
	}
}

// LOGIN-07: who is signed in gets the same answer for an address that another user has as for one that nobody has. Who
// reads mail there is told.
func TestAddressOfAnother(t *testing.T) {
	b := mailed(t)
	_, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "bob", Address: "bob@example.com", Verified: time.Now()})
	must(t, err)
	in := b.answer("POST", "/v1/login", `{"identifier":"ada@example.com","password":"`+pass+`","carrier":"bearer"}`)
	for _, path := range []string{"/v1/address", "/address"} {
		want := ""
		for _, address := range []string{"new@example.com", "bob@example.com"} {
			var got string
			if path == "/address" {
				v := b.signedInAs("ada@example.com").open("/address").send("/address", typed("address", address)).at(http.StatusOK, "<h1>Enter the code</h1>")
				_, rest, _ := strings.Cut(v.page.Body.String(), `name="handle" value="`)
				got = strings.Replace(v.page.Body.String(), rest[:43], "", 1)
			} else {
				w := b.answer("POST", path, `{"address":"`+address+`"}`, "Authorization", "Bearer "+textOf(in.Body.String(), "access_token"))
				got = fmt.Sprint(w.Code, strings.Replace(w.Body.String(), textOf(w.Body.String(), "confirmation"), "", 1))
			}
			if got = strings.ReplaceAll(got, address, ""); want == "" {
				want = got
			} else if got != want {
				t.Errorf("%s for %s\n%s\nfor a free one\n%s", path, address, got, want)
			}
			kind := accounts.MailVerify
			if address == "bob@example.com" {
				kind = accounts.MailTaken
			}
			if m := b.box.last(t); m.Kind != kind || m.To != address {
				t.Errorf("%s for %s: the mail is %+v", path, address, m)
			}
		}
	}
}

var anyURL = regexp.MustCompile(`https?://\S+`)

// LOGIN-13: the link of a mail leads to the configured URL, whatever the request says: each has another name of
// the server as its Host.
func TestLinksInMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spoofed := [][]string{{"X-Forwarded-Host", "evil.test"}, {"Forwarded", "host=evil.test;proto=http"}, {"X-Forwarded-Proto", "http"}, {"Origin", authURL}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var sent atomic.Int32
		b := assemble(t, server.Config{URL: authURL, Post: noPost{}, Mail: mail.Options{URL: "log:", From: "auth@example.com"}, Delivered: func(outbox.Told) {
			if int(sent.Add(1)) == len(spoofed) {
				cancel()
			}
		}})
		for n, header := range spoofed {
			name := fmt.Sprintf("ada%d@example.com", n)
			_, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, name, "", secret.New(pass), nil)
			must(t, err)
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/recovery", strings.NewReader(`{"identifier":"`+name+`"}`))
			r.Host = "example.com" // see bench.open
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set(header[0], header[1])
			w := httptest.NewRecorder()
			b.server.ServeHTTP(w, r)
			if w.Code != http.StatusAccepted {
				t.Fatalf("with %v: %d %s", header, w.Code, w.Body)
			}
		}
		b.embedded.Outbox().Run(ctx)
		mails := 0
		for line := range strings.Lines(b.log.String()) {
			var m struct{ Msg, Text string }
			must(t, json.Unmarshal([]byte(line), &m))
			if !strings.HasPrefix(m.Msg, "mail,") {
				continue
			}
			mails++
			links := anyURL.FindAllString(m.Text, -1)
			if len(links) == 0 || slices.ContainsFunc(links, func(link string) bool { return !strings.HasPrefix(link, authURL+"/") }) || !strings.HasPrefix(links[0], authURL+"/welcome#cfp_") {
				t.Errorf("the links are %q", links)
			}
		}
		if mails != len(spoofed) {
			t.Errorf("%d mails were sent, want %d", mails, len(spoofed))
		}
	})
}

// Who has no password is led to no page of it while an address is proven.
func TestProveAddressWithoutPassword(t *testing.T) {
	b := mailed(t)
	_, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "bob@example.com"})
	must(t, err)
	v := b.signedInAs("bob@example.com").open("/address").send("/address", typed()).at(http.StatusOK, "<h1>Enter the code</h1>")
	again := b.signedInAs("bob@example.com").open("/address").send("/address", typed())
	again.send("/address/code", typed("code", wrong(b.box.last(t).Code.Reveal()))).at(http.StatusUnauthorized, "That code is not right")
	for _, page := range []*visitor{v, again} {
		if strings.Contains(page.page.Body.String(), `href="/password"`) {
			t.Errorf("it is: %s", page.page.Body)
		}
	}
}

// A new user confirms the address by the link of the mail, where they are signed in. Elsewhere they sign in first,
// and come back to the link. The page names account and address, and to open a link does nothing.
func TestConfirmAddressByLink(t *testing.T) {
	b := mailed(t)
	v := b.visitor().open("/register").send("/register", typed("identifier", "eve@example.com", "password", next))
	m := b.box.last(t)
	if m.Kind != accounts.MailVerify || m.To != "eve@example.com" || m.Path != "/address/confirm" || m.Code.Reveal() != "" {
		t.Fatalf("who signs up is sent %+v", m)
	}
	v.open("/address").at(http.StatusOK, "not confirmed")
	elsewhere := b.visitor().open(m.Path).at(http.StatusOK, "Confirm your e-mail address")
	v.open("/address").at(http.StatusOK, "not confirmed")
	elsewhere.send("/address/confirm", typed("token", "nonsense")).at(http.StatusUnauthorized, "This link is no longer good")
	elsewhere.send("/address/confirm", typed("token", authURL+m.Path+"#"+m.Token.Reveal())).at(http.StatusUnauthorized, "first sign in")
	elsewhere.send("/login", typed("identifier", "eve@example.com", "password", next)).at(http.StatusOK, "data-resume")
	elsewhere.send("/address/confirm", typed()).at(http.StatusOK, `You are signed in as <bdi>eve@example.com</bdi>. Is <bdi>eve@example.com</bdi> your address?`)
	v.open("/address").at(http.StatusOK, "not confirmed")
	elsewhere.send("/address/confirm", typed()).sentTo("/address")
	elsewhere.open("/address").at(http.StatusOK, "Your e-mail address is confirmed.")
	v.open("/address").at(http.StatusOK, "eve@example.com")
	if strings.Contains(v.page.Body.String(), "not confirmed") {
		t.Errorf("after the link: %s", v.page.Body)
	}
	elsewhere.open(m.Path).send("/address/confirm", typed("token", m.Token.Reveal())).at(http.StatusUnauthorized, "This link is no longer good")
}

// A stranger who signs up with the address of somebody, or asks for it as another one, gains nothing when its owner opens the
// mail: the link counts for who is signed in to the account (LOGIN-17).
func TestLinkOfAStrangersAccount(t *testing.T) {
	b := mailed(t)
	stranger := b.visitor().open("/register").send("/register", typed("identifier", "victim@example.com", "password", next))
	link := b.box.last(t)
	owner := b.signedInAs("ada@example.com")
	for name, v := range map[string]*visitor{"nobody": b.visitor(), "another user": owner} {
		v.open(link.Path).send("/address/confirm", typed("token", link.Token.Reveal(), "sure", "yes")).at(http.StatusUnauthorized, "first sign in")
		stranger.open("/address").at(http.StatusOK, "not confirmed")
		if name == "another user" {
			v.send("/login", typed("identifier", "ada@example.com", "password", pass)).sentTo("/address/confirm")
		}
	}
	bearer := func(identifier, password string) []string {
		w := b.answer("POST", "/v1/login", `{"identifier":"`+identifier+`","password":"`+password+`","carrier":"bearer"}`)
		return []string{"Authorization", "Bearer " + textOf(w.Body.String(), "access_token")}
	}
	body := `{"token":"` + link.Token.Reveal() + `"}`
	if w := b.answer("POST", "/v1/address/confirm", body); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "no-credential") {
		t.Errorf("the link without a session = %d %s", w.Code, w.Body)
	}
	if w := b.answer("POST", "/v1/address/confirm", body, bearer("ada@example.com", pass)...); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "link-over") {
		t.Errorf("the link in a session of another user = %d %s", w.Code, w.Body)
	}
	stranger.open("/address").at(http.StatusOK, "not confirmed")
	if w := b.answer("POST", "/v1/address/confirm", body, bearer("victim@example.com", next)...); w.Code != http.StatusOK {
		t.Errorf("the link in a session of its user = %d %s", w.Code, w.Body)
	}
}

// A change of address by the pages: it needs a fresh login, the code counts at the page that asked, and the
// one before gets it back, with another password.
func TestChangeAddressOnThePages(t *testing.T) {
	b := mailed(t)
	v := b.signedInAs("ada@example.com").open("/address").at(http.StatusOK, "ada@example.com")
	v.send("/address", typed()).at(http.StatusOK, "Enter the code")
	v.send("/address/code", typed("code", b.box.last(t).Code.Reveal())).sentTo("/address")
	v.open("/address").at(http.StatusOK, "Your e-mail address is confirmed.")

	for bad, text := range map[string]string{"nonsense": "no e-mail address", "ada@example.com, eve@example.com": "no e-mail address"} {
		sends(v.open("/address"), "address", bad).at(http.StatusUnprocessableEntity, text).at(http.StatusUnprocessableEntity, `id="address-problem"`)
	}
	sends(v.open("/address"), "address", "New@Example.com").at(http.StatusOK, "New@Example.com")
	code := b.box.last(t).Code.Reveal()
	v.send("/address/code", typed("code", wrong(code))).at(http.StatusUnauthorized, "That code is not right")
	v.send("/address/code", typed("code", code)).sentTo("/address")
	v.open("/address").at(http.StatusOK, "Your e-mail address was changed").at(http.StatusOK, "new@example.com")
	undo := b.box.last(t)
	if undo.Kind != accounts.MailMoved || undo.To != "ada@example.com" || undo.Path != "/address/undo" {
		t.Fatalf("the address before is told %+v", undo)
	}
	owner := b.visitor().open(undo.Path).at(http.StatusOK, "Get your e-mail address back")
	v.open("/").at(http.StatusOK, "new@example.com")
	owner.send("/address/undo", typed("token", undo.Token.Reveal())).at(http.StatusOK, "<h1>Choose a password</h1>")
	v.open("/").at(http.StatusOK, "You are not signed in")
	owner.send("/welcome", typed("password", next, "token", tokenOf(owner))).sentTo("/login")
	owner.open("/login").send("/login", typed("identifier", "ada@example.com", "password", next)).sentTo("/")
	owner.open("/address/undo").send("/address/undo", typed("token", undo.Token.Reveal())).at(http.StatusUnauthorized, "This link is no longer good")
}

// sends sends the second form of the page of the address, which has a field.
func sends(v *visitor, name, value string) *visitor {
	v.keep(v.form("/address", typed(name, value), append(v.headers(), "Origin", v.url)...))
	return v
}

// A login that is old changes no address, and says so where the form is.
func TestChangeAddressNeedsAFreshLogin(t *testing.T) {
	b := mailed(t)
	v := b.own(time.Hour).open("/address").at(http.StatusOK, "Prove that it is you")
	if strings.Contains(v.page.Body.String(), `name="address"`) {
		t.Errorf("the form is there: %s", v.page.Body)
	}
	sends(v, "address", "thief@example.com").at(http.StatusUnauthorized, "Prove that it is you")
	if n := b.box.count(t); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	v.send("/session/step-up", typed("password", pass)).sentTo("/address")
	sends(v.open("/address"), "address", "alice@example.com").at(http.StatusOK, "Enter the code")
}

// LOGIN-11: what is no mail address is none at any door, which says so and changes nothing. As an identifier it is a name
// without an address.
func TestAddressesThatNoMailReaches(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true, Post: noPost{}, Mail: mail.Options{URL: "log:", From: "auth@example.com"}})
	key := []string{"Authorization", "Bearer " + b.key}
	for i, address := range []string{"x@corp", "a@bücher.example", "a@ab--c.example", "a@xn--a.example"} {
		w := b.answer("POST", "/v1/register", `{"identifier":"`+address+`","password":"`+next+`","carrier":"bearer"}`)
		if w.Code != http.StatusCreated {
			t.Errorf("sign-up of %s = %d %s", address, w.Code, w.Body)
		}
		if w := b.answer("POST", "/v1/recovery", `{"identifier":"`+address+`"}`); w.Code != http.StatusAccepted {
			t.Errorf("recovery of %s = %d %s", address, w.Code, w.Body)
		}
		u, err := b.users.ByIdentifier(t.Context(), address)
		must(t, err)
		doors := [][]string{
			{"POST", "/v1/address", `{"address":"` + address + `"}`, "Authorization", "Bearer " + textOf(w.Body.String(), "access_token")},
			append([]string{"PATCH", "/v1/admin/users/" + u.ID, `{"address":"` + address + `"}`}, key...),
			append([]string{"POST", "/v1/admin/users", fmt.Sprintf(`{"identifier":"new%d","address":%q}`, i, address)}, key...),
			append([]string{"POST", "/v1/admin/users", fmt.Sprintf(`{"identifier":"new%d","address":%q,"mail":true}`, i, address)}, key...),
		}
		for _, door := range doors {
			w := b.answer(door[0], door[1], door[2], door[3:]...)
			if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "not-acceptable") || !strings.Contains(w.Body.String(), "Address is not acceptable") {
				t.Errorf("%s %s with the address %s = %d %s", door[0], door[1], address, w.Code, w.Body)
			}
		}
		imports := fmt.Sprintf(`{"users":[{"identifier":"new%d","address":%q}]}`, i, address)
		if w := b.answer("POST", "/v1/admin/users/import", imports, key...); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "refused") || !strings.Contains(w.Body.String(), "a mail address is") {
			t.Errorf("import of %s = %d %s", address, w.Code, w.Body)
		}
		if _, err := b.users.ByIdentifier(t.Context(), fmt.Sprint("new", i)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a user with the address %s was made: %v", address, err)
		}
		if u, err := b.users.ByID(t.Context(), u.ID); err != nil || u.Address != "" {
			t.Errorf("%s is the address %q, %v", address, u.Address, err)
		}
	}
}

// Without mail there is no page and no link that leads nowhere, and the API says why.
func TestWithoutMail(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true, Post: noPost{}})
	for _, page := range []string{"/login", "/", "/password"} {
		if body := b.own(time.Minute).open(page).page.Body.String(); strings.Contains(body, "/forgot") || strings.Contains(body, "/address") {
			t.Errorf("%s: %s", page, body)
		}
	}
	b.visitor().open("/forgot").at(http.StatusNotFound, "")
	b.own(time.Minute).open("/address").at(http.StatusNotFound, "")
	if w := b.answer("POST", "/v1/recovery", `{"identifier":"alice"}`); w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "no-mail") {
		t.Errorf("recovery = %d %s", w.Code, w.Body)
	}
}

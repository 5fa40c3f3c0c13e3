package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
)

// Lists that name users by their ids say what they are called, and who did something too. Who was deleted, or is
// no user here, is absent, and the console shows the id.
func TestUsersAreNamed(t *testing.T) {
	t.Parallel()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	bob, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "bob@example.org", hostile, secret.New(pass), nil)
	must(t, err)
	gone, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "carol", "Carol", secret.New(pass), nil)
	must(t, err)
	alice, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	for _, subject := range []string{bob.ID, alice.ID, "usr_of_a_program"} {
		b.session(subject, issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Phone"})
	}
	must(t, b.users.Delete(t.Context(), rights.Owner(), gone.ID, audit.Act{By: audit.BySubject(alice.ID)}))
	want := map[string]api.Person{bob.ID: {Identifier: "bob@example.org", Name: hostile}, alice.ID: {Identifier: "alice", Name: "Alice"}}
	for path, body := range map[string]string{
		"/v1/admin/sessions": "", "/v1/admin/audit?limit=200": "",
		"/v1/admin/revocations": `{"filter":{"device":"phone"},"dry_run":true}`,
	} {
		method := "GET"
		if body != "" {
			method = "POST"
		}
		var got api.Named
		w := b.answer(method, path, body, "Authorization", "Bearer "+b.key)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || fmt.Sprint(got.Users) != fmt.Sprint(want) {
			t.Errorf("%s %s = %d, %v, want %v", method, path, w.Code, got.Users, want)
		}
	}
	if w := b.answer("GET", "/v1/admin/sessions?user=usr_of_a_program", "", "Authorization", "Bearer "+b.key); strings.Contains(w.Body.String(), `"users"`) {
		t.Errorf("nobody is named: %s", w.Body)
	}
	v := b.console(time.Minute, "admin")
	link := `<a href="/admin/users/` + alice.ID + `" title="` + alice.ID + `"><bdi>Alice</bdi></a> <bdi class="soft">alice</bdi>`
	v.open("/admin/sessions").at(http.StatusOK, link).at(http.StatusOK, "<code>usr_of_a_program</code>").at(http.StatusOK, `aria-label="Revoke Phone of Alice, `)
	v.open("/admin/audit").at(http.StatusOK, link).at(http.StatusOK, "<code>"+gone.ID+"</code>")
	v.open("/admin/revoke/found?device=phone").at(http.StatusOK, link)
	v.open("/admin").at(http.StatusOK, link)
	v.open("/admin/log").at(http.StatusOK, link)
}

// The dry run of a revocation by filter shows all its samples, with user, device and last use.
func TestConsoleShowsSamples(t *testing.T) {
	t.Parallel()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	for n := range 25 {
		b.session(fmt.Sprintf("usr_%d", n), issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Phone"})
	}
	v := b.console(time.Minute, "admin").open("/admin/revoke/found?device=phone").at(http.StatusOK, "The dry run has found 25 sessions. The first 20 of them are below.")
	body := v.page.Body.String()
	if rows, seen := strings.Count(body, `<p class="whose"><code>usr_`), strings.Count(body, "last seen <time "); rows != 20 || seen != 20 || strings.Contains(body, ">Revoke</a>") {
		t.Errorf("%d samples, %d of them with their last use: %s", rows, seen, body)
	}
}

// A list that is not what its page is for shows ten sessions and folds the others, on the account page too.
func TestSessionsAreFolded(t *testing.T) {
	t.Parallel()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	alice, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	own := b.own(time.Minute)
	page := func(v *visitor, path string) (shown, folded int) {
		v.open(path).at(http.StatusOK, `class="panel list sessions"`)
		before, after, _ := strings.Cut(v.page.Body.String(), `<details class="more">`)
		return strings.Count(before, "last seen <time "), strings.Count(after, "last seen <time ")
	}
	boss := b.console(time.Minute, "admin")
	for n := 1; n <= 12; n++ {
		shown, folded := page(own, "/")
		if shown != min(n, 10) || folded != n-shown {
			t.Errorf("of %d sessions %d are shown and %d folded", n, shown, folded)
		}
		if s, f := page(boss, "/admin/users/"+alice.ID); s != shown || f != folded {
			t.Errorf("the console shows %d and folds %d of %d", s, f, n)
		}
		b.session(alice.ID, issuer.Request{Carrier: counterfoil.CarrierCookie})
	}
	own.open("/").at(http.StatusOK, "<summary>3 more sessions</summary>")
	if shown, folded := page(boss, "/admin/sessions"); shown != 14 || folded != 0 {
		t.Errorf("the list of all sessions shows %d and folds %d", shown, folded)
	}
}

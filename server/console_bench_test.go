package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// BenchmarkConsole is how long the server takes for a page of the console, with 202 sessions on SQLite, as
// in the test in a browser.
func BenchmarkConsole(b *testing.B) {
	fatal := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	db, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "console.db"))
	fatal(err)
	defer db.Close()
	e, err := server.Open(ctx, server.Config{
		Store: db, SealKey: [32]byte{1}, URL: "http://127.0.0.1:8080", Hosts: []string{"example.com"}, Offline: true, InsecureHashes: true,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
	})
	fatal(err)
	defer e.Close()
	user := func(name string, sessions int, roles ...string) (id, credential string) {
		u, _, _, err := e.Users().CreateInvited(ctx, rights.Owner(), audit.Act{}, directory.User{Identifier: name + "@example.org", Name: name, Roles: roles})
		fatal(err)
		rev, err := e.Issuer().SubjectRev(ctx, u.ID)
		fatal(err)
		for range sessions {
			got, err := e.Issuer().Login(ctx, login.Proof{Subject: u.ID, Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev, Roles: roles}, issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0"})
			fatal(err)
			credential = got.Access.Reveal()
		}
		return u.ID, credential
	}
	_, boss := user("boss", 1, "admin")
	long := ""
	for n := range 5 {
		long, _ = user(fmt.Sprintf("user%d", n), 40)
	}
	for name, path := range map[string]string{
		"overview": "/admin", "users": "/admin/users", "user": "/admin/users/" + long, "sessions": "/admin/sessions", "log": "/admin/log", "audit": "/admin/audit", "settings": "/admin/settings",
		"form-found": "/admin/revoke/found?user=" + long, "form-disable": "/admin/users/" + long + "/disable",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
				r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: boss})
				w := httptest.NewRecorder()
				if e.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

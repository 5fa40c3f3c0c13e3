package server_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// Each kind of message has words in each language, and needs no more than it is given.
func TestEachMessageIsAMail(t *testing.T) {
	e, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), URL: authURL, Offline: true, InsecureHashes: true, SignInByMail: true, Logger: slog.New(slog.DiscardHandler),
		Mail: mail.Options{URL: "log:", From: "auth@example.com"},
	})
	must(t, err)
	defer e.Close()
	if !e.Users().Mails() {
		t.Error("a server with mail does not use it")
	}
	now, token := time.Now(), login.NewSecret("cfp_x")
	notice := []any{"ada", now, "192.0.2.1"}
	for kind, m := range map[accounts.MessageKind]accounts.Message{
		accounts.MailReset:    {Code: login.NewSecret("12345678"), Path: "/welcome", Token: token, Args: []any{"ada"}},
		accounts.MailInvite:   {Path: "/welcome", Token: token, Args: []any{"ada", now}},
		accounts.MailVerify:   {Path: "/address/confirm", Token: token},
		accounts.MailTaken:    {},
		accounts.MailMoved:    {Path: "/address/undo", Token: token, Args: []any{"ada", "new@example.com", now}},
		accounts.MailLeft:     {},
		accounts.MailRestored: {Args: notice}, accounts.MailPassword: {Args: notice}, accounts.MailAdded: {Args: notice}, accounts.MailRemoved: {Args: notice},
		accounts.MailSignIn: {Code: login.NewSecret("12345678"), Args: []any{"ada"}, Expires: now},
	} {
		for _, language := range []string{"", "en", "de"} {
			m.Kind, m.To, m.Language = kind, "ada@example.com", language
			if rec, err := server.PostBy(authURL, e.Mail()).Record(m); err != nil || len(rec.Value) == 0 {
				t.Errorf("%s in %q: %v", kind, language, err)
			} else if apart := strings.Contains(string(rec.Value), `"lane":"unproven"`); apart != (kind == accounts.MailVerify || kind == accounts.MailTaken) {
				t.Errorf("%s has a lane of its own: %t", kind, apart)
			}
		}
	}
	if _, err := server.PostBy(authURL, e.Mail()).Record(accounts.Message{Kind: accounts.MailSignIn, To: "ada@example.com", Args: []any{1.5}}); err == nil {
		t.Error("an argument without words is no error")
	}
}

package password_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store/memory"
)

const good = "four words of prose"

func newPasswords(t *testing.T) (*password.Passwords, *directory.Directory) {
	t.Helper()
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	p, err := password.New(password.Options{Users: users, Throttle: newThrottle(t, db, nil), SubjectRev: func(context.Context, string) (uint64, error) { return 7, nil }, InsecureHashes: true})
	if err != nil {
		t.Fatal(err)
	}
	return p, users
}

func attempt(identifier, pass string) login.Attempt {
	return login.Attempt{Identifier: identifier, Password: secret.New(pass), Address: netip.MustParseAddr("192.0.2.1")}
}

// LOGIN-03, LOGIN-06, LOGIN-08, LOGIN-11: who gets in, and that all others get one answer.
func TestProve(t *testing.T) {
	p, users := newPasswords(t)
	user, err := p.Register(t.Context(), audit.Act{}, "Alice@Example.org", "Alice", secret.New(good), []string{"staff"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(user.Password, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("stored as %s", user.Password)
	}
	if got := fmt.Sprintf("%+v", password.ProductionPolicy); got != "m=65536,t=2,p=1" {
		t.Errorf("the program hashes with %s", got)
	}
	if _, err := users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "nopassword"}); err != nil {
		t.Fatal(err)
	}
	proof, err := p.Prove(t.Context(), attempt("ALICE@example.org", good))
	if err != nil || proof.Subject != user.ID || proof.SubjectRev != 7 || proof.Roles[0] != "staff" {
		t.Errorf("Prove = %+v, %v", proof, err)
	}
	for _, a := range []login.Attempt{
		attempt("alice@example.org", good+" "), attempt("alice@example.org", strings.ToUpper(good)),
		attempt("nobody", good), attempt("nopassword", ""), attempt("nopassword", "null"), attempt("a@b@c", good),
	} {
		if proof, err := p.Prove(t.Context(), a); !errors.Is(err, login.ErrRefused) || proof.Subject != "" {
			t.Errorf("Prove(%s) = %+v, %v, want ErrRefused", a.Identifier, proof, err)
		}
	}
}

// LOGIN-01, LOGIN-02: length in code points, nothing guessable, no other rules.
func TestAcceptable(t *testing.T) {
	p, _ := newPasswords(t)
	for pass, ok := range map[string]bool{
		"fourteen chars": false, "fifteen chars !": true, strings.Repeat("ü", 14): false,
		"öffne die Tür nun": true, strings.Repeat("ab", 10): false, "my counterfoil password": false,
		"bobbinson is my name": false, strings.Repeat("long ", 60): false, "bad \xff text is refused": false,
		"password12345678": false, "Pass-Word 2026 !!!": false, "letmein letmein letmein": false, "31.12.1999 23:59": false,
		"iloveyouiloveyou": false, "correct horse battery staple": true, "robert likes plum cake": false,
	} {
		_, err := p.Register(t.Context(), audit.Act{}, "bobbinson", "Robert B", secret.New(pass), nil)
		var rejected login.RejectedPassword
		if refused := errors.As(err, &rejected); refused == ok {
			t.Errorf("Register(%q) = %v, want accepted: %v", pass, err, ok)
		}
	}
}

// LOGIN-09: aliases share one counter.
func TestThrottle(t *testing.T) {
	p, _ := newPasswords(t)
	if _, err := p.Register(t.Context(), audit.Act{}, "carol", "", secret.New(good), nil); err != nil {
		t.Fatal(err)
	}
	for _, alias := range []string{"carol", "Carol", "CAROL", " carol", "ｃarol"} {
		if _, err := p.Prove(t.Context(), attempt(alias, "wrong password here")); !errors.Is(err, login.ErrRefused) {
			t.Fatalf("Prove(%q) = %v", alias, err)
		}
	}
	var throttled login.Throttled
	if _, err := p.Prove(t.Context(), attempt("carol", good)); !errors.As(err, &throttled) || throttled.RetryAfter <= 0 || throttled.RetryAfter > 15*time.Minute {
		t.Errorf("sixth attempt = %v, want Throttled", err)
	}
}

// LOGIN-14: the current password is needed, and the old one ends.
func TestChange(t *testing.T) {
	p, _ := newPasswords(t)
	u, err := p.Register(t.Context(), audit.Act{}, "erin", "", secret.New(good), nil)
	if err != nil {
		t.Fatal(err)
	}
	const next = "another four words"
	if err := p.Change(t.Context(), audit.Act{}, u.ID, secret.New("not the current one"), secret.New(next)); !errors.Is(err, login.ErrRefused) {
		t.Errorf("Change with a wrong password = %v, want ErrRefused", err)
	}
	if err := p.Change(t.Context(), audit.Act{}, u.ID, secret.New(good), secret.New(next)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prove(t.Context(), attempt("erin", good)); !errors.Is(err, login.ErrRefused) {
		t.Errorf("Prove(old) = %v, want ErrRefused", err)
	}
	if _, err := p.Prove(t.Context(), attempt("erin", next)); err != nil {
		t.Errorf("Prove(new) = %v", err)
	}
}

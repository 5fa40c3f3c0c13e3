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
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store/memory"
)

const good = "four words of prose"

func newPasswords(t *testing.T) (prover, *directory.Directory) {
	t.Helper()
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	return newProver(t, db, users, newThrottle(t, db, nil), password.Options{}), users
}

// register adds a user with a password, as package accounts does.
func register(ctx context.Context, p prover, users *directory.Directory, from netip.Addr, identifier, name, pass string, roles ...string) (directory.User, error) {
	hash, err := p.Choose(ctx, from, identifier, name, secret.New(pass))
	if err != nil {
		return directory.User{}, err
	}
	return users.Create(ctx, audit.Act{}, directory.User{Identifier: identifier, Name: name, Roles: roles, Password: hash})
}

var nowhere netip.Addr

// LOGIN-03, LOGIN-06, LOGIN-08, LOGIN-11: who gets in, and that all others get one answer.
func TestProve(t *testing.T) {
	p, users := newPasswords(t)
	user, err := register(t.Context(), p, users, nowhere, "Alice@Example.org", "Alice", good, "staff")
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
	for _, a := range []flow.Request{
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
		"iloveyouiloveyou": false, "correct horse battery staple": false, "Correct-Horse-Battery-Staple 47": false, "robert likes plum cake": false,
	} {
		_, err := p.Choose(t.Context(), nowhere, "bobbinson", "Robert B", secret.New(pass))
		var rejected login.RejectedPassword
		if refused := errors.As(err, &rejected); refused == ok {
			t.Errorf("Choose(%q) = %v, want accepted: %v", pass, err, ok)
		}
	}
}

// LOGIN-09: aliases share one counter.
func TestThrottle(t *testing.T) {
	p, users := newPasswords(t)
	if _, err := register(t.Context(), p, users, nowhere, "carol", "", good); err != nil {
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

// LOGIN-14: the current password is needed. A wrong one costs one hash and is compared with
// nothing else: that the next one is the password of now stays unsaid.
func TestReplace(t *testing.T) {
	p, users := newPasswords(t)
	u, err := register(t.Context(), p, users, nowhere, "erin", "", good)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(current, next string) (string, int64, error) {
		before := p.Hashed()
		hash, err := p.Replace(t.Context(), nowhere, u, secret.New(current), secret.New(next))
		return hash, p.Hashed() - before, err
	}
	for _, next := range []string{"another four words", good, "short"} {
		if hash, hashed, err := replace("not the current one", next); !errors.Is(err, login.ErrRefused) || hash != "" || hashed != 1 {
			t.Errorf("Replace by %q with a wrong password = %q, %v after %d hashes, want ErrRefused after one", next, hash, err, hashed)
		}
	}
	if hash, _, err := replace(good, "another four words"); err != nil || hash == "" {
		t.Errorf("Replace = %q, %v", hash, err)
	}
}

// LOGIN-12: a hash of the same password is no change to anybody: invitations stay.
func TestRehash(t *testing.T) {
	p, users := newPasswords(t)
	u, err := users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "old", Password: password.Hash(good, 32, 1)})
	if err != nil {
		t.Fatal(err)
	}
	invitation, _, err := users.Invite(t.Context(), u.ID, audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prove(t.Context(), attempt("old", good)); err != nil {
		t.Fatal(err)
	}
	after, due, err := users.Read(t.Context(), u.ID)
	if err != nil || after.Password == u.Password || after.Version != u.Version || due.Pending() {
		t.Errorf("after a login the user is %+v, due is %+v, %v", after, due, err)
	}
	if _, used, err := users.Invited(t.Context(), invitation); err != nil || used {
		t.Errorf("the invitation after a login: %v", err)
	}
}

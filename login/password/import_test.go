package password_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
)

const oldHash, oldPassword = "$2b$04$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "pässword of olden days"

// LOGIN-03: the first login with a hash from elsewhere makes one of ours.
func TestAdopt(t *testing.T) {
	p, users := newPasswords(t)
	if _, _, err := p.Adopt(t.Context(), nowhere, "$1$x$y"); !errors.Is(err, password.ErrHash) {
		t.Errorf("Adopt = %v, want ErrHash", err)
	}
	hash, work, err := p.Adopt(t.Context(), nowhere, oldHash)
	if err != nil || hash != oldHash || work <= 0 {
		t.Fatalf("Adopt = %s, %v, %v", hash, work, err)
	}
	if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: "old@example.org", Password: hash}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prove(t.Context(), attempt("old@example.org", oldPassword+"x")); !errors.Is(err, login.ErrRefused) {
		t.Errorf("Prove(wrong) = %v", err)
	}
	for range 2 {
		if _, err := p.Prove(t.Context(), attempt("old@example.org", oldPassword)); err != nil {
			t.Fatalf("Prove = %v", err)
		}
		if got, err := users.ByIdentifier(t.Context(), "old@example.org"); err != nil || !strings.HasPrefix(got.Password, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("after a login it is %s, %v", got.Password, err)
		}
	}
}

// LOGIN-06: once a user with a hash that costs differently is there, every refusal
// takes the same time: of an imported user, of one of ours, of nobody.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, users := newPasswords(t)
		if _, err := users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "ours", Password: password.Hash(good, 64, 1)}); err != nil {
			t.Fatal(err)
		}
		refused := func(want time.Duration) {
			t.Helper()
			for _, name := range []string{"ours", "old", "nobody"} {
				begun := time.Now()
				if _, err := p.Prove(t.Context(), attempt(name, "wrong")); !errors.Is(err, login.ErrRefused) {
					t.Errorf("Prove(%s) = %v", name, err)
				}
				if took := time.Since(begun); took != want {
					t.Errorf("refusing %s takes %v, want %v", name, took, want)
				}
			}
		}
		refused(0)
		for _, u := range []struct {
			name string
			work time.Duration
		}{{"old", 2999 * time.Millisecond}, {"cheaper", time.Second}} {
			if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: u.name, Password: oldHash}, u.work); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // in the bubble: what throttles forgets
			refused(3 * time.Second)
		}
	})
}

// LOGIN-09: who goes away before the refusal has guessed all the same. The right password
// is answered sooner than a wrong one, so there is no need to wait for that.
func TestLeavingEarlyIsAGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, users := newPasswords(t)
		if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: "old", Password: oldHash}, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		guess := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := p.Prove(ctx, attempt("old", "wrong"))
			return err
		}
		for range 5 {
			if err := guess(); err == nil || isThrottled(err) {
				t.Fatalf("guess = %v", err)
			}
		}
		if err := guess(); !isThrottled(err) {
			t.Errorf("after five wrong guesses = %v, want Throttled", err)
		}
	})
}

package directory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store/memory"
)

// LOGIN-12: the first invitation of a user, with whom nobody can sign in yet, is good for 24
// hours. One to a user who has a password is a reset, and good for 15 minutes.
func TestInvitationLifetimes(t *testing.T) {
	now := time.Now()
	d, err := directory.New(directory.Options{Store: memory.New(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	invite := func(identifier, hash string) (token secret.String, expires time.Time) {
		t.Helper()
		u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: identifier, Password: hash})
		if err != nil {
			t.Fatal(err)
		}
		if token, expires, err = d.Invite(t.Context(), u.ID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		return token, expires
	}
	_, created, ends, err := d.CreateInvited(t.Context(), audit.Act{}, directory.User{Identifier: "created"})
	if err != nil {
		t.Fatal(err)
	}
	first, firstEnds := invite("first", "")
	reset, resetEnds := invite("reset", "a hash")
	for name, c := range map[string]struct {
		token   secret.String
		expires time.Time
		want    time.Duration
	}{
		"created with it": {created, ends, 24 * time.Hour}, "no password": {first, firstEnds, 24 * time.Hour}, "a password": {reset, resetEnds, 15 * time.Minute},
	} {
		begun := now
		if got := c.expires.Sub(begun); got != c.want {
			t.Errorf("%s: good for %v, want %v", name, got, c.want)
		}
		now = begun.Add(c.want - time.Second)
		if _, _, err := d.Invited(t.Context(), c.token); err != nil {
			t.Errorf("%s: at the last second = %v", name, err)
		}
		now = begun.Add(c.want)
		if _, _, err := d.Invited(t.Context(), c.token); !errors.Is(err, login.ErrRefused) {
			t.Errorf("%s: at its end = %v, want ErrRefused", name, err)
		}
		now = begun
	}
}

// The invitation of a user makes no other user.
func TestInvitationOfAUserFoundsNobody(t *testing.T) {
	d := open(t, memory.New())
	_, token, _, err := d.CreateInvited(t.Context(), audit.Act{}, directory.User{Identifier: "wendy"})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := d.Found(t.Context(), token, audit.Act{}, directory.User{Identifier: "root", Password: "a hash"}); !errors.Is(err, login.ErrRefused) {
		t.Errorf("Found = %+v, %v, want ErrRefused", u, err)
	}
}

package accounts_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
)

// LOGIN-15: the invitation of the first administrator is good once, while there is none. A newer
// one ends it, and so does an administrator who is made in another way.
func TestFirstAdministrator(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	invite := func() login.Secret {
		t.Helper()
		token, expires, err := n.Users().InviteAdministrator(t.Context(), noAct)
		if left := time.Until(expires); err != nil || token.Reveal() == "" || left > 24*time.Hour || left < 23*time.Hour {
			t.Fatalf("InviteAdministrator = %v for %v, %v", token.Reveal() != "", left, err)
		}
		return token
	}
	redeem := func(token login.Secret, identifier, password string) error {
		return n.Users().RedeemAs(t.Context(), noAct, token, identifier, secret.New(password))
	}
	n.user("somebody", "staff", accounts.RoleSupport)
	before, token := invite(), invite()
	for what, c := range map[string]struct {
		token      login.Secret
		identifier string
		password   string
		want       error
	}{
		"an older one":     {before, "root", pass, login.ErrRefused},
		"no identifier":    {token, "", pass, directory.ErrBadIdentifier},
		"somebody's":       {token, "Somebody", pass, directory.ErrTaken},
		"a short password": {token, "root", "short", nil},
		"another token":    {secret.New("cfi_" + strings.Repeat("A", 43)), "root", pass, login.ErrRefused},
		"not a token":      {secret.New(""), "root", pass, login.ErrRefused},
	} {
		err := redeem(c.token, c.identifier, c.password)
		if rejected := errors.As(err, new(login.RejectedPassword)); c.want == nil && !rejected || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: RedeemAs = %v, want %v", what, err, c.want)
		}
	}
	if err := n.Users().Redeem(t.Context(), noAct, token, secret.New(pass)); !errors.Is(err, login.ErrRefused) {
		t.Errorf("Redeem, which makes nobody, = %v", err)
	}
	if first, err := n.Users().CheckInvitation(t.Context(), token); !first || err != nil {
		t.Errorf("CheckInvitation = %v, %v", first, err)
	}
	must(t, redeem(token, "Root", pass))
	u, err := n.Users().ByIdentifier(t.Context(), "root")
	if err != nil || !slices.Equal(u.Roles, []string{accounts.RoleAdmin}) || u.Status != directory.Active || u.Password == "" {
		t.Errorf("the first administrator is %+v, %v", u, err)
	}
	if err := redeem(token, "second", pass); !errors.Is(err, directory.ErrUsed) {
		t.Errorf("a second time: %v, want ErrUsed", err)
	}
	if token, _, err := n.Users().InviteAdministrator(t.Context(), noAct); err != nil || token.Reveal() != "" {
		t.Errorf("with an administrator: an invitation, %v", err)
	}

	_, err = n.Users().Update(t.Context(), u.ID, noAct, status(directory.Disabled)) // by the owner of the machine
	must(t, err)
	token = invite()
	invited, _, _, err := n.Users().CreateInvited(t.Context(), noAct, directory.User{Identifier: "other", Roles: []string{accounts.RoleAdmin}})
	must(t, err)
	if first, err := n.Users().CheckInvitation(t.Context(), token); first || !errors.Is(err, login.ErrRefused) {
		t.Errorf("CheckInvitation once there is %s = %v, %v", invited.Identifier, first, err)
	}
	if err := redeem(token, "late", pass); !errors.Is(err, login.ErrRefused) {
		t.Errorf("once somebody else is one: %v, want ErrRefused", err)
	}
}

// An invitation of a user says nothing about an identifier, and gives no role.
func TestInvitationOfAUserFoundsNothing(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	u, token, _, err := n.Users().CreateInvited(t.Context(), noAct, directory.User{Identifier: "wendy"})
	must(t, err)
	must(t, n.Users().RedeemAs(t.Context(), noAct, token, "root", secret.New(pass)))
	if _, err := n.Users().ByIdentifier(t.Context(), "root"); err == nil {
		t.Error("an invitation of a user made another")
	}
	if u, err = n.Users().ByID(t.Context(), u.ID); err != nil || len(u.Roles) > 0 || u.Password == "" {
		t.Errorf("the user is %+v, %v", u, err)
	}
}

// Of many who open one link at once, at several nodes, one becomes the administrator.
func TestOneFirstAdministrator(t *testing.T) {
	t.Parallel()
	s := stores{users: onSQLite(t)}
	one, two := open(t, s), open(t, s)
	token, _, err := one.Users().InviteAdministrator(t.Context(), noAct)
	must(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards made
	made := 0
	for _, name := range []string{"ann", "ben", "cas", "dan", "eve", "fay"} {
		n := one
		if name > "cas" {
			n = two
		}
		wg.Go(func() {
			err := n.Users().RedeemAs(t.Context(), noAct, token, name, secret.New(pass))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, login.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	users, _, err := one.Users().List(t.Context(), "", 0)
	if made != 1 || len(users) != 1 || err != nil {
		t.Errorf("%d became the administrator, and there are %d users, %v", made, len(users), err)
	}
}

package accounts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storetest"
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
		return n.Users().Redeem(t.Context(), noAct, token, identifier, secret.New(password))
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
			t.Errorf("%s: Redeem = %v, want %v", what, err, c.want)
		}
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
}

// once are ways in which somebody was an administrator and is none any more, by the owner of the machine.
var once = map[string]func(n node){
	"disabled": func(n node) {
		u := n.user("former", accounts.RoleAdmin)
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, status(directory.Disabled))
		must(n.t, err)
	},
	"another role": func(n node) {
		u := n.user("former", accounts.RoleAdmin)
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles(accounts.RoleSupport))
		must(n.t, err)
	},
	"deleted": func(n node) {
		must(n.t, n.Users().Delete(n.t.Context(), rights.Owner(), n.user("former", accounts.RoleAdmin).ID, noAct))
	},
	"invited, and deleted": func(n node) {
		u, _, _, err := n.Users().CreateInvited(n.t.Context(), rights.Owner(), noAct, directory.User{Identifier: "former", Roles: []string{accounts.RoleAdmin}})
		must(n.t, err)
		must(n.t, n.Users().Delete(n.t.Context(), rights.Owner(), u.ID, noAct))
	},
	"promoted, and deleted": func(n node) {
		u := n.user("former", "staff")
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles("staff", accounts.RoleAdmin))
		must(n.t, err)
		must(n.t, n.Users().Delete(n.t.Context(), rights.Owner(), u.ID, noAct))
	},
	"imported as disabled": func(n node) {
		_, err := n.Users().Import(n.t.Context(), rights.Owner(), noAct, directory.User{Identifier: "former", Status: directory.Disabled, Roles: []string{accounts.RoleAdmin}}, "", false)
		must(n.t, err)
	},
}

// LOGIN-15: once there was an administrator, a link that nobody has used is void for ever, at every node
// and after every start, and there is no other one.
func TestFoundingLinkEnds(t *testing.T) {
	t.Parallel()
	for name, become := range once {
		for round, s := range rounds(t) {
			one, two := open(t, s), open(t, s)
			token, _, err := one.Users().InviteAdministrator(t.Context(), noAct)
			must(t, err)
			if first, err := two.Users().CheckInvitation(t.Context(), token); !first || err != nil {
				t.Fatalf("CheckInvitation before = %v, %v", first, err)
			}
			become(two)
			for node, n := range map[string]node{"one": one, "two": two, "started later": open(t, s)} {
				if first, err := n.Users().CheckInvitation(t.Context(), token); first || !errors.Is(err, login.ErrRefused) {
					t.Errorf("%s, %s, node %s: CheckInvitation = %v, %v", round, name, node, first, err)
				}
				if err := n.Users().Redeem(t.Context(), noAct, token, "late", secret.New(pass)); !errors.Is(err, login.ErrRefused) {
					t.Errorf("%s, %s, node %s: Redeem = %v, want ErrRefused", round, name, node, err)
				}
				if token, _, err := n.Users().InviteAdministrator(t.Context(), noAct); err != nil || token.Reveal() != "" {
					t.Errorf("%s, %s, node %s: another link, %v", round, name, node, err)
				}
			}
		}
	}
}

// A version without the mark may have made the administrators: what it left counts, and so does what this
// version does to them.
func TestFoundingAfterAVersionWithoutTheMark(t *testing.T) {
	t.Parallel()
	unmark := func(s stores) {
		_, err := s.users.Commit(t.Context(), store.Batch{Delete: []store.Key{{Kind: "founded", ID: "administrator"}}})
		must(t, err)
	}
	for round, s := range rounds(t) {
		n := open(t, s)
		token, _, err := n.Users().InviteAdministrator(t.Context(), noAct)
		must(t, err)
		u := n.user("root", accounts.RoleAdmin)
		unmark(s)
		if err := n.Users().Redeem(t.Context(), noAct, token, "late", secret.New(pass)); !errors.Is(err, login.ErrRefused) {
			t.Errorf("%s: Redeem = %v, want ErrRefused", round, err)
		}
		for what, change := range map[string]func() error{
			"another role": func() error {
				_, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles(accounts.RoleSupport))
				return err
			},
			"deleted": func() error { return n.Users().Delete(t.Context(), rights.Owner(), u.ID, noAct) },
		} {
			if _, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles(accounts.RoleAdmin)); err != nil { // deleted
				u = n.user("root", accounts.RoleAdmin)
			}
			unmark(s)
			must(t, change())
			if err := n.Users().Redeem(t.Context(), noAct, token, "late", secret.New(pass)); !errors.Is(err, login.ErrRefused) {
				t.Errorf("%s, and %s: Redeem = %v, want ErrRefused", round, what, err)
			}
		}
	}
}

// Somebody becomes an administrator in another way between what the use of a link reads and its commit.
func TestFoundingBesideACommand(t *testing.T) {
	t.Parallel()
	for n, at := range []storetest.Fault{
		{Op: storetest.OpCommit, Kind: "invitation"},
		{Op: storetest.OpGet, Kind: "founded"}, {Op: storetest.OpGet, Kind: "founded", After: 1}, {Op: storetest.OpGet, Kind: "founded", After: 2},
		{Op: storetest.OpSearch, Kind: "user"}, {Op: storetest.OpSearch, Kind: "user", After: 1},
	} {
		s := inMemory(t)
		users, round := storetest.Faulty(s), fmt.Sprint(n, at.Op)
		one, two := open(t, stores{users, users}), open(t, stores{s, s})
		token, _, err := one.Users().InviteAdministrator(t.Context(), noAct)
		must(t, err)
		happened := false
		at.Times, at.Slow, at.Before = 1, true, func() { happened = true; two.user("root", accounts.RoleAdmin) }
		users.Inject(at)
		if err := one.Users().Redeem(t.Context(), noAct, token, "late", secret.New(pass)); !errors.Is(err, login.ErrRefused) {
			t.Errorf("%s: Redeem = %v, want ErrRefused", round, err)
		}
		if all, _, err := two.Users().List(t.Context(), "", 0); !happened || err != nil || len(all) != 1 || all[0].Identifier != "root" {
			t.Errorf("%s: there are %v, %v", round, all, err)
		}
	}

	// The link is used between what a start reads and its commit.
	users := storetest.Faulty(inMemory(t))
	one, two := open(t, stores{users, users}), open(t, stores{users, users})
	token, _, err := two.Users().InviteAdministrator(t.Context(), noAct)
	must(t, err)
	users.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "invitation", Times: 1, Slow: true, Before: func() {
		must(t, two.Users().Redeem(t.Context(), noAct, token, "root", secret.New(pass)))
	}})
	if token, _, err := one.Users().InviteAdministrator(t.Context(), noAct); err != nil || token.Reveal() != "" {
		t.Errorf("a link beside an administrator, %v", err)
	}
}

// An invitation of a user says nothing about an identifier, and gives no role.
func TestInvitationOfAUserFoundsNothing(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	u, token, _, err := n.Users().CreateInvited(t.Context(), rights.Owner(), noAct, directory.User{Identifier: "wendy"})
	must(t, err)
	must(t, n.Users().Redeem(t.Context(), noAct, token, "root", secret.New(pass)))
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
			err := n.Users().Redeem(t.Context(), noAct, token, name, secret.New(pass))
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

package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

const pass, nextPass = "a long and quiet afternoon", "another long afternoon"

var noAct audit.Act

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stores are those of one installation.
type stores struct{ users, sessions store.Store }

// engines are the durable stores. Each call of one makes a new installation.
var engines = map[string]func(t *testing.T) stores{
	"sqlite": func(t *testing.T) stores {
		s := onSQLite(t)
		return stores{s, s}
	},
	"postgres": func(t *testing.T) stores {
		s := onPostgres(t)
		return stores{s, s}
	},
	"redis": func(t *testing.T) stores {
		s, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + testsvc.StartRedis(t).Addr()})
		must(t, err)
		t.Cleanup(func() { s.Close() })
		return stores{onSQLite(t), s}
	},
}

func onSQLite(t *testing.T) store.Store {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "users.db"))
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func onPostgres(t *testing.T) store.Store {
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	return postgresAt(t, dsn)
}

func postgresAt(t *testing.T, dsn string) store.Store {
	s, err := postgres.Open(t.Context(), postgres.Options{URL: dsn})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func inMemory(t *testing.T) store.Store {
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	return s
}

// node is one server on some stores.
type node struct {
	*server.Embedded
	t *testing.T
}

func open(t *testing.T, s stores) node {
	t.Helper()
	return openKeeping(t, s, 0)
}

// openForSteps opens a node that commits nothing in the background, for tests that step
// in between the commits of one call: it keeps no audit entries, so none are moved.
func openForSteps(t *testing.T, s stores) node {
	t.Helper()
	return openKeeping(t, s, -1)
}

func openKeeping(t *testing.T, s stores, keep time.Duration) node {
	t.Helper()
	return openTelling(t, s, keep, func(audit.Entry) {})
}

func openTelling(t *testing.T, s stores, keep time.Duration, tell func(audit.Entry)) node {
	t.Helper()
	e, err := server.Open(t.Context(), server.Config{
		Store: s.users, Sessions: s.sessions, URL: "https://auth.test", SealKey: [32]byte{1},
		Logger: slog.New(slog.DiscardHandler), Audit: tell, InsecureHashes: true, KeepAudit: keep,
	})
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return node{e, t}
}

// user makes one with a password.
func (n node) user(identifier string, roles ...string) directory.User {
	n.t.Helper()
	u, err := n.Users().Register(n.t.Context(), rights.Owner(), noAct, identifier, "", secret.New(pass), roles)
	must(n.t, err)
	return u
}

// signIn makes a session of u.
func (n node) signIn(u directory.User, c counterfoil.Carrier) *issuer.Issued {
	n.t.Helper()
	rev, err := n.Issuer().SubjectRev(n.t.Context(), u.ID)
	must(n.t, err)
	i, err := n.Issuer().Login(n.t.Context(), login.Proof{Subject: u.ID, Roles: u.Roles, At: time.Now(), SubjectRev: rev}, issuer.Request{Carrier: c})
	must(n.t, err)
	return i
}

func status(to string) func(*directory.User) error {
	return func(u *directory.User) error { u.Status = to; return nil }
}

func roles(to ...string) func(*directory.User) error {
	return func(u *directory.User) error { u.Roles = to; return nil }
}

// state is what is written of a user, and what is in force for the sessions.
type state struct {
	written directory.User
	gone    bool
	force   issuer.Subject
}

func (n node) state(id string) (s state) {
	n.t.Helper()
	var err error
	s.force, err = n.Issuer().Subject(n.t.Context(), id)
	must(n.t, err)
	s.written, err = n.Users().ByID(n.t.Context(), id)
	if s.gone = errors.Is(err, store.ErrNotFound); !s.gone {
		must(n.t, err)
	}
	return s
}

func (s state) String() string {
	return fmt.Sprintf("written is %s %q (gone %v), in force is disabled %v %q", s.written.Status, s.written.Roles, s.gone, s.force.Disabled, s.force.Roles)
}

// agrees reports whether what is in force is what is written.
func (s state) agrees() bool {
	if s.gone {
		return s.force.Disabled
	}
	return s.force.Disabled == (s.written.Status == directory.Disabled) && (s.force.ClaimsVersion == 0 || slices.Equal(s.force.Roles, s.written.Roles))
}

// within reports whether nobody can do more than is written.
func (s state) within() bool {
	if s.gone || s.force.Disabled {
		return s.force.Disabled
	}
	more := slices.ContainsFunc(s.force.Roles, func(role string) bool { return !slices.Contains(s.written.Roles, role) })
	return s.written.Status == directory.Active && !more
}

// ended fails the test unless the session of i is over for everybody: at a look-up, at a
// refresh, and, as soon as news of it arrived, at the verifier.
func (n node) ended(what string, i *issuer.Issued) {
	n.t.Helper()
	if _, err := n.Issuer().Lookup(n.t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		n.t.Errorf("%s: Lookup = %v, want ErrInvalidToken", what, err)
	}
	if refresh := i.Refresh.Reveal(); refresh != "" {
		if _, err := n.Issuer().Refresh(n.t.Context(), refresh, issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
			n.t.Errorf("%s: Refresh = %v, want ErrInvalidToken", what, err)
		}
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	var err error
	for !errors.Is(err, counterfoil.ErrInvalidToken) {
		if ctx.Err() != nil {
			n.t.Fatalf("%s: Verify = %v, want ErrInvalidToken", what, err)
		}
		_, err = n.Verifier().Verify(n.t.Context(), i.Access.Reveal())
	}
}

// SES-14: who is disabled or deleted, or whose password is set, is signed out, on each
// durable store, by whatever copy and wherever the change was made.
func TestSessionsEndWithTheAccount(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := open(t, engine(t))
			for what, change := range map[string]func(u directory.User) error{
				"disabled": func(u directory.User) error {
					_, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, status(directory.Disabled))
					return err
				},
				"deleted": func(u directory.User) error { return n.Users().Delete(t.Context(), rights.Owner(), u.ID, noAct) },
				"password set": func(u directory.User) error {
					return n.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass))
				},
				"made an administrator": func(u directory.User) error {
					_, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles(accounts.RoleAdmin))
					return err
				},
			} {
				u := n.user(strings.ReplaceAll(what, " ", "-"))
				other := n.user("not-" + u.Identifier)
				bearer, cookie, others := n.signIn(u, counterfoil.CarrierBearer), n.signIn(u, counterfoil.CarrierCookie), n.signIn(other, counterfoil.CarrierBearer)
				for _, i := range []*issuer.Issued{bearer, cookie, others} {
					if _, err := n.Verifier().Verify(t.Context(), i.Access.Reveal()); err != nil {
						t.Fatalf("%s: before it, Verify = %v", what, err)
					}
				}
				must(t, change(u))
				n.ended(what, bearer)
				n.ended(what, cookie)
				if _, err := n.Issuer().Refresh(t.Context(), others.Refresh.Reveal(), issuer.Renewal{}); err != nil {
					t.Errorf("%s: Refresh of somebody else = %v", what, err)
				}
			}
		})
	}
}

// SES-14, SES-04: a new password ends all other sessions, and the caller has a new one.
func TestChangePassword(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := open(t, engine(t))
			u := n.user("alice")
			other, own := n.signIn(u, counterfoil.CarrierBearer), n.signIn(u, counterfoil.CarrierCookie)
			change := func(current, next string) (*issuer.Issued, error) {
				return n.Users().ChangePassword(t.Context(), own.Session, noAct, secret.New(current), secret.New(next), issuer.Request{Carrier: counterfoil.CarrierBearer})
			}
			if _, err := change("not the current one", nextPass); !errors.Is(err, login.ErrRefused) {
				t.Fatalf("ChangePassword = %v, want ErrRefused", err)
			}
			if _, err := n.Issuer().Lookup(t.Context(), other.Access.Reveal()); err != nil {
				t.Errorf("after a refused change a session is %v", err)
			}
			got, err := change(pass, nextPass)
			must(t, err)
			n.ended("another session", other)
			n.ended("the session of before", own)
			if _, err := n.Issuer().Lookup(t.Context(), got.Access.Reveal()); err != nil {
				t.Errorf("the new session is %v", err)
			}
			must(t, n.Users().Finish(t.Context()))
			if _, err := n.Issuer().Lookup(t.Context(), got.Access.Reveal()); err != nil {
				t.Errorf("after Finish the new session is %v", err)
			}
		})
	}
}

// LOGIN-12: an invitation is good once, and who was signed in before is out. Doing the same
// again says at once that it was used: no hash is computed, and the password is not compared.
func TestRedeem(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	u := n.user("alice")
	before := n.signIn(u, counterfoil.CarrierBearer)
	invitation, _, err := n.Users().Invite(t.Context(), rights.Owner(), u.ID, noAct)
	must(t, err)
	redeem := func(next string) error { return n.Users().Redeem(t.Context(), noAct, invitation, "", secret.New(next)) }
	var rejected login.RejectedPassword
	if err := redeem("short"); !errors.As(err, &rejected) {
		t.Errorf("Redeem with a short password = %v", err)
	}
	must(t, redeem(nextPass))
	n.ended("of before", before)
	after := n.signIn(u, counterfoil.CarrierBearer)
	for _, next := range []string{nextPass, pass, "short"} {
		for range 30 { // nothing is counted: there is nothing to guess at
			if err := redeem(next); !errors.Is(err, directory.ErrUsed) {
				t.Fatalf("Redeem again with %q = %v, want ErrUsed", next, err)
			}
		}
	}
	if _, err := n.Issuer().Lookup(t.Context(), after.Access.Reveal()); err != nil {
		t.Errorf("the same again ended a session of after it: %v", err)
	}
}

// LOGIN-12: a new password takes an open invitation away. The invitation then
// sets no other one.
func TestPasswordTakesInvitationAway(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	for name, change := range map[string]func(directory.User) error{
		"set": func(u directory.User) error {
			return n.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass))
		},
		"changed": func(u directory.User) error {
			own := n.signIn(u, counterfoil.CarrierBearer)
			_, err := n.Users().ChangePassword(t.Context(), own.Session, noAct, secret.New(pass), secret.New(nextPass), issuer.Request{})
			return err
		},
	} {
		u := n.user(name)
		invitation, _, err := n.Users().Invite(t.Context(), rights.Owner(), u.ID, noAct)
		must(t, err)
		must(t, change(u))
		if err := n.Users().Redeem(t.Context(), noAct, invitation, "", secret.New("a third long afternoon")); !errors.Is(err, login.ErrRefused) {
			t.Errorf("%s: Redeem = %v, want ErrRefused", name, err)
		}
	}
}

// SES-04: only an administrator makes a session of one, and a program learns so before
// there is one.
func TestSignIn(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	boss := n.user("boss")
	_, err := n.Users().Update(t.Context(), rights.Owner(), boss.ID, noAct, roles(accounts.RoleAdmin))
	must(t, err)
	for _, c := range []struct {
		subject string
		roles   []string
		admin   bool
		want    error
	}{
		{"somebody", []string{"staff"}, false, nil},
		{"somebody", []string{accounts.RoleAdmin}, false, accounts.ErrAdminRole},
		{"somebody", []string{accounts.RoleAdmin}, true, nil},
		{boss.ID, nil, false, accounts.ErrAdminRole},
		{boss.ID, nil, true, nil},
	} {
		by := &directory.APIKey{Client: "maker", Clients: []string{clients.Default}, Scopes: []string{directory.ScopeSessions}}
		who := accounts.OfKey(*by)
		if c.admin {
			by, who = nil, rights.Owner()
		}
		_, err := n.Users().SignIn(t.Context(), who, c.subject, c.roles, issuer.Request{}, by)
		if !errors.Is(err, c.want) {
			t.Errorf("SignIn(%s, %s, %v) = %v, want %v", c.subject, c.roles, c.admin, err, c.want)
		}
	}
	if rows, _, err := n.Issuer().Sessions(t.Context(), boss.ID, "", 0); err != nil || len(rows) != 1 {
		t.Errorf("%d sessions of the administrator, %v, want 1", len(rows), err)
	}
}

// LOGIN-16: an import never touches who is there, and a user who comes disabled is so for
// programs that make sessions, too.
func TestImport(t *testing.T) {
	const hash = "$2b$04$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK"
	n := open(t, stores{users: inMemory(t)})
	made := time.Date(2019, 1, 2, 3, 4, 5, 0, time.UTC)
	u := directory.User{Identifier: "Old@Example.org", Status: directory.Disabled, Roles: []string{"staff"}, Created: made, Password: "ignored"}
	for _, created := range []string{"9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"} { // of another year in UTC, which JSON cannot carry
		far := u
		far.Created, _ = time.Parse(time.RFC3339, created)
		for _, dry := range []bool{true, false} {
			if _, err := n.Users().Import(t.Context(), rights.Owner(), noAct, far, hash, dry); !errors.Is(err, directory.ErrBadUser) {
				t.Errorf("import of a user created %s = %v, want ErrBadUser", created, err)
			}
		}
	}
	if _, err := n.Users().Import(t.Context(), rights.Owner(), noAct, u, hash, true); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Users().ByIdentifier(t.Context(), u.Identifier); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after a dry run: %v, want ErrNotFound", err)
	}
	got, err := n.Users().Import(t.Context(), rights.Owner(), noAct, u, hash, false)
	must(t, err)
	if got.Password != hash || !got.Created.Equal(made) || got.Status != directory.Disabled {
		t.Errorf("imported as %+v", got)
	}
	if _, err := n.Users().SignIn(t.Context(), rights.Owner(), got.ID, nil, issuer.Request{}, nil); !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("SignIn of a user who is disabled = %v, want ErrProveAgain", err)
	}
	for _, dry := range []bool{true, false} {
		if _, err := n.Users().Import(t.Context(), rights.Owner(), noAct, u, hash, dry); !errors.Is(err, directory.ErrTaken) {
			t.Errorf("a second Import = %v, want ErrTaken", err)
		}
		if _, err := n.Users().Import(t.Context(), rights.Owner(), noAct, directory.User{Identifier: "a@b@c"}, hash, dry); !errors.Is(err, directory.ErrBadIdentifier) {
			t.Errorf("Import = %v, want ErrBadIdentifier", err)
		}
	}
}

// A change may set what it likes: nothing but name, status and roles is written.
func TestUpdateWritesNothingElse(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	u := n.user("alice", "a")
	got, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, func(u *directory.User) error {
		u.Roles[0] = "b"
		*u = directory.User{Name: "Alice", Status: directory.Active, Roles: u.Roles, Identifier: "other", Version: 77}
		return nil
	})
	must(t, err)
	if got.ID != u.ID || got.Identifier != "alice" || got.Password != u.Password || !got.Created.Equal(u.Created) || got.Version != 1 || got.Roles[0] != "b" {
		t.Errorf("Update = %+v", got)
	}
	if s := n.state(u.ID); !s.agrees() {
		t.Error(s)
	}
	for _, bad := range []func(*directory.User) error{status(""), status("gone"), roles("two words")} {
		if _, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, bad); !errors.Is(err, directory.ErrBadUser) {
			t.Errorf("Update = %v, want ErrBadUser", err)
		}
	}
}

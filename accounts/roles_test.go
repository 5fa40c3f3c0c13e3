package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store/storetest"
)

var everyRole = []string{accounts.RoleAdmin, accounts.RoleSupport, accounts.RoleAuditor}

// acting is the Actor of a session with roles that was signed in to just now.
func (n node) acting(right rights.Right, roles ...string) (rights.Actor, error) {
	return n.Users().Administer(&counterfoil.Session{Subject: "somebody", Roles: roles, AuthTime: time.Now()}, right)
}

func (n node) support() rights.Actor {
	n.t.Helper()
	who, err := n.acting(rights.Revoke, accounts.RoleSupport)
	must(n.t, err)
	return who
}

// The table of roles, scopes and rights, once more: who changes one changes both.
func TestRights(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	for role, want := range map[string]string{
		accounts.RoleAdmin: "read audit revoke write", accounts.RoleSupport: "read revoke", accounts.RoleAuditor: "read audit", "staff": "", "Admin": "", "admin ": "", "": "",
	} {
		var has []string
		for _, right := range append(rights.All(), "", "everything") {
			who, err := n.acting(right, "staff", role)
			if err == nil && who.May(right) {
				has = append(has, string(right))
			} else if !errors.Is(err, counterfoil.ErrForbidden) || who.May(rights.Read) {
				t.Errorf("%q, %s: %v, %v, want a refusal that gives nothing", role, right, who, err)
			}
		}
		if got := strings.Join(has, " "); got != want || accounts.Administers(role) != (want != "") {
			t.Errorf("the role %q has the rights %q, want %q", role, got, want)
		}
	}
	for scope, want := range map[string][]rights.Right{
		directory.ScopeAdmin: rights.All(), directory.ScopeAdminRead: {rights.Read, rights.Audit},
		directory.ScopeFeed: nil, directory.ScopeIntrospect: nil, directory.ScopeSessions: nil, directory.ScopeHandover: nil, directory.ScopeExchange: nil,
	} {
		who := accounts.OfKey(directory.APIKey{Scopes: []string{scope}})
		for _, right := range append(rights.All(), "") {
			if has := slices.Contains(want, right); who.May(right) != has || slices.Contains(accounts.ScopesWith(right), scope) != has {
				t.Errorf("scope %s has %q: %v, want %v", scope, right, !has, has)
			}
		}
	}
}

// Who changes something has signed in within five minutes. To read takes no more than a session, and the Actor of an older login can do no more
// than that: what asks it for a right need not ask for the time of the login.
func TestFreshAdministrator(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	for age, want := range map[time.Duration]error{
		0: nil, accounts.FreshAdmin - 10*time.Second: nil, accounts.FreshAdmin + time.Second: counterfoil.ErrStepUp, 24 * time.Hour: counterfoil.ErrStepUp,
	} {
		for _, right := range rights.All() {
			who, err := n.Users().Administer(&counterfoil.Session{Roles: []string{accounts.RoleAdmin}, AuthTime: time.Now().Add(-age)}, right)
			if reads := right == rights.Read || right == rights.Audit; reads && err != nil || !reads && !errors.Is(err, want) {
				t.Errorf("%s, %v after the login: %v, want %v", right, age, err, want)
			}
			if fresh := want == nil; err == nil && (who.May(rights.Write) != fresh || who.May(rights.Revoke) != fresh || !who.May(rights.Read) || !who.May(rights.Audit)) {
				t.Errorf("who was let through to %s %v after the login may do %+v", right, age, who)
			}
		}
	}
	if accounts.FreshAdmin != 5*time.Minute {
		t.Errorf("FreshAdmin = %v, and the documents say five minutes", accounts.FreshAdmin)
	}
}

// Support ends sessions of users, and none of who administers: whatever says so first, the
// user's record, what is in force, or a session that a program made.
func TestSupportEndsNoSessionOfAdministrators(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	support := n.support()
	admin, err := n.acting(rights.Write, accounts.RoleAdmin)
	must(t, err)
	signedIn := func(u directory.User) func() (string, string) {
		return func() (string, string) { return u.ID, n.signIn(u, counterfoil.CarrierBearer).Session.ID }
	}
	foreign := func(name string, count int, roles ...string) func() (string, string) {
		return func() (sub, sid string) {
			for range count { // the last of them has the roles
				_, err := n.Users().SignIn(t.Context(), rights.Owner(), name, nil, issuer.Request{}, nil)
				must(t, err)
			}
			issued, err := n.Users().SignIn(t.Context(), rights.Owner(), name, roles, issuer.Request{}, nil)
			must(t, err)
			return name, issued.Session.ID
		}
	}
	demoted := n.user("demoted", accounts.RoleAdmin)
	_, err = n.Users().Update(t.Context(), rights.Owner(), demoted.ID, noAct, roles("staff"))
	must(t, err)
	demoted.Roles = []string{"staff"}
	promoted := n.user("promoted", "staff")
	_, err = n.Users().Update(t.Context(), rights.Owner(), promoted.ID, noAct, roles("staff", accounts.RoleAuditor))
	must(t, err)
	inForce := n.user("in-force", "staff")
	must(t, n.Issuer().SetSubject(t.Context(), inForce.ID, noAct, func(s *issuer.Subject) { s.Roles = []string{accounts.RoleAdmin} }))
	cases := map[string]struct {
		make  func() (subject, sid string)
		spare bool
	}{
		"a user":                        {signedIn(n.user("alice", "staff")), false},
		"a user who was one":            {signedIn(demoted), false},
		"somebody else's user":          {foreign("elsewhere", 0, "staff"), false},
		"a user who became one":         {signedIn(promoted), true},
		"one by what is in force":       {signedIn(inForce), true},
		"one by a session of a program": {foreign("boss-elsewhere", 0, accounts.RoleAdmin), true},
		"one by the last of many":       {foreign("many-elsewhere", issuer.MaxPage+1, accounts.RoleSupport), true},
	}
	for _, role := range everyRole {
		cases[role] = struct {
			make  func() (subject, sid string)
			spare bool
		}{signedIn(n.user("the-"+role, "staff", role)), true}
	}
	for name, c := range cases {
		for way, end := range map[string]func(who rights.Actor, subject, sid string) error{
			"one": func(who rights.Actor, _, sid string) error {
				_, err := n.Users().EndSession(t.Context(), who, sid, noAct)
				return err
			},
			"all": func(who rights.Actor, subject, _ string) error {
				_, err := n.Users().EndSessions(t.Context(), who, subject, noAct)
				return err
			},
		} {
			subject, sid := c.make()
			err := end(support, subject, sid)
			_, gone := n.Issuer().Session(t.Context(), sid)
			if errors.Is(err, counterfoil.ErrForbidden) != c.spare || (err != nil) != c.spare || (gone == nil) != c.spare {
				t.Errorf("%s, %s: support ends it: %v, and the session is there: %v", name, way, err, gone)
			}
			if c.spare {
				must(t, end(admin, subject, sid))
			}
			if _, err := n.Issuer().Session(t.Context(), sid); err == nil {
				t.Errorf("%s, %s: the session lives on", name, way)
			}
		}
	}
}

// takes are the exported methods that change a user who is there, each with ways to take a role of administration away
// from the user; none: it leaves status and roles as they are.
var takes = map[string]map[string]func(n node, ctx context.Context, who rights.Actor, id string) error{
	"Update": {
		"the role": func(n node, ctx context.Context, who rights.Actor, id string) error {
			_, err := n.Users().Update(ctx, who, id, byRoot, roles("staff"))
			return err
		},
		"disabled": func(n node, ctx context.Context, who rights.Actor, id string) error {
			_, err := n.Users().Update(ctx, who, id, byRoot, status(directory.Disabled))
			return err
		},
	},
	"Delete": {"deleted": func(n node, ctx context.Context, who rights.Actor, id string) error {
		return n.Users().Delete(ctx, who, id, byRoot)
	}},

	"AskAddress": nil, "VerifyAddress": nil, "UndoAddress": nil, "Recover": nil, "AnswerRecovery": nil,
	"SetPassword": nil, "ChangePassword": nil, "Redeem": nil, "Invite": nil, "InviteByMail": nil,
	"SetCredential": nil, "DeleteCredential": nil, "EndSession": nil, "EndSessions": nil, "EndOthers": nil, "Revoke": nil,
}

// away is a way of takes by its name.
func away(name string) func(n node, ctx context.Context, who rights.Actor, id string) error {
	for _, ways := range takes {
		if do := ways[name]; do != nil {
			return do
		}
	}
	panic(name)
}

// others are the exported methods that change no user who is there.
var others = []string{
	"AddressNeedsProof", "Administer", "Authenticate", "ByID", "ByIdentifier", "Called", "CheckInvitation", "ComposeCode", "Count", "Create",
	"CreateInvited", "CreateInvitedByMail", "Credentials", "DeleteKey", "EndUndos", "Exchange", "Finish", "Impersonate", "Import",
	"InviteAdministrator", "KeyByID", "Keys", "List", "Mails", "NewKey", "RedeemCode", "Register", "Reindex", "Search", "SendCode", "SetOwnCredential",
	"SignIn", "SignUp", "Verifies",
}

// The last administrator is not taken away by mistake, by no exported way. The owner of the machine may: there,
// another one can be made.
func TestLastAdministrator(t *testing.T) {
	t.Parallel()
	for m := range reflect.TypeFor[*accounts.Accounts]().Methods() {
		if _, ok := takes[m.Name]; ok == slices.Contains(others, m.Name) {
			t.Errorf("this test does not know whether %s can take an administrator away", m.Name)
		}
	}
	n := open(t, stores{users: inMemory(t)})
	admin, err := n.acting(rights.Write, accounts.RoleAdmin)
	must(t, err)
	boss := n.user("boss", accounts.RoleAdmin, "staff")
	n.user("helper", accounts.RoleSupport, accounts.RoleAuditor)
	asleep := n.user("asleep", accounts.RoleAdmin)
	_, err = n.Users().Update(t.Context(), rights.Owner(), asleep.ID, noAct, status(directory.Disabled))
	must(t, err)
	key := accounts.OfKey(directory.APIKey{Scopes: []string{directory.ScopeAdmin}})
	reader := accounts.OfKey(directory.APIKey{Scopes: []string{directory.ScopeAdminRead}})
	for _, ways := range takes {
		for way, do := range ways {
			for _, who := range []rights.Actor{admin, key, rights.Program()} {
				if err := do(n, t.Context(), who, boss.ID); !errors.Is(err, accounts.ErrLastAdministrator) {
					t.Errorf("%s: %v, want ErrLastAdministrator", way, err)
				}
			}
			for _, who := range []rights.Actor{{}, reader} {
				if err := do(n, t.Context(), who, boss.ID); !errors.Is(err, counterfoil.ErrForbidden) {
					t.Errorf("%s, by who may not write: %v, want ErrForbidden", way, err)
				}
			}
		}
	}
	if u, err := n.Users().ByID(t.Context(), boss.ID); err != nil || u.Status != directory.Active || len(u.Roles) != 2 {
		t.Errorf("the last administrator is %+v, %v", u, err)
	}
	_, err = n.Users().Update(t.Context(), admin, boss.ID, noAct, roles(accounts.RoleAdmin)) // and stays one
	must(t, err)
	second := n.user("second", accounts.RoleAdmin)
	must(t, away("the role")(n, t.Context(), admin, boss.ID))
	must(t, n.Users().Delete(t.Context(), rights.Owner(), second.ID, noAct))
}

// byRoot is what an administrator does.
var byRoot = audit.Act{By: audit.BySubject("root"), Request: "req_1"}

// Of two administrators who take each other away, one between any two steps of the other, one stays, and what the
// refused change took from the sessions meanwhile is given back: also if its caller is gone by then. The trail does not
// say that the caller changed anything.
func TestAdministratorsTakeEachOtherAway(t *testing.T) {
	t.Parallel()
	for round, s := range rounds(t) {
		var mu sync.Mutex       // guards heard
		var heard []audit.Entry // of first
		users, sessions := storetest.Faulty(s.users), storetest.Faulty(s.sessions)
		first := openTelling(t, stores{users, sessions}, -1, func(e audit.Entry) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, e)
		})
		second := openForSteps(t, s)
		refused, given := 0, 0
		for _, a := range []string{"the role", "disabled", "deleted"} {
			for _, b := range []string{"the role", "deleted"} {
				for _, on := range []*storetest.FaultyStore{users, sessions} {
					for _, op := range []storetest.Op{storetest.OpGet, storetest.OpCommit} {
						for _, gone := range []bool{false, true} {
							for step, hit := 0, true; hit; step++ {
								hit = false
								name := fmt.Sprintf("%s: %s, and before its %s %d %s, caller gone %t", round, a, op, step, b, gone)
								one, other := second.known(), second.known()
								for _, u := range []directory.User{one, other} {
									_, err := second.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles("a", accounts.RoleAdmin))
									must(t, err)
								}
								ctx, hangUp := context.WithCancel(t.Context())
								var errB error
								on.Inject(storetest.Fault{Op: op, After: step, Times: 1, Slow: true, Before: func() {
									if hit = true; gone {
										hangUp()
									}
									errB = away(b)(second, t.Context(), rights.Program(), other.ID)
								}})
								errA := away(a)(first, ctx, rights.Program(), one.ID)
								hangUp()
								on.Heal()
								if !hit {
									errB = away(b)(second, t.Context(), rights.Program(), other.ID)
								}
								stays, wrong := one, errB
								if errA == nil {
									stays, wrong = other, errA
								}
								if wrong != nil || !errors.Is(errors.Join(errA, errB), accounts.ErrLastAdministrator) {
									t.Fatalf("%s: %v, %v", name, errA, errB)
								}
								mu.Lock()
								told := heard
								heard = nil
								mu.Unlock()
								for _, e := range told {
									switch {
									case errA == nil || e.Outcome != audit.OK || e.Subject != one.ID || e.Action != audit.ChangeUser && e.Action != audit.DeleteUser:
									case e.By == byRoot.By:
										t.Errorf("%s: the trail says that the refused caller did %+v", name, e)
									case e.By == audit.ByIssuer && e.Reason == "a refused change is given back" && e.Request == byRoot.Request:
										given++
									}
								}
								if errA != nil {
									refused++
								}
								if at := second.state(stays.ID); !at.agrees() {
									t.Errorf("%s: of who stays %v", name, at)
								}
								must(t, second.Users().Delete(t.Context(), rights.Owner(), stays.ID, noAct)) // the next pair is alone
							}
						}
					}
				}
			}
		}
		if refused == 0 || given == 0 {
			t.Errorf("the second was first %d times, and something was given back %d times", refused, given)
		}
	}
}

// SES-04: who gets any role of administration signs in anew, and no program that makes
// sessions makes one that has it.
func TestEveryRoleOfAdministrationNeedsALogin(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	for _, role := range everyRole {
		u := n.user("to-be-"+role, "staff")
		before := n.signIn(u, counterfoil.CarrierBearer)
		_, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles("staff", role))
		must(t, err)
		n.ended("the role "+role, before)
		by := &directory.APIKey{Client: "maker", Clients: []string{"default"}, Scopes: []string{directory.ScopeSessions, directory.ScopeAdminRead}}
		for subject, asked := range map[string][]string{u.ID: nil, "somebody": {"staff", role}} {
			if _, err := n.Users().SignIn(t.Context(), accounts.OfKey(*by), subject, asked, issuer.Request{}, by); !errors.Is(err, accounts.ErrAdminRole) {
				t.Errorf("a program makes a session of %s with the role %s: %v", subject, role, err)
			}
		}
	}
}

// A key that reads the administration and acts for a user reads while the user may read
// all of it.
func TestReadingKey(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	ask := directory.APIKey{Client: "siem", Scopes: []string{directory.ScopeAdminRead}}
	for role, want := range map[string]bool{accounts.RoleAdmin: true, accounts.RoleAuditor: true, accounts.RoleSupport: false, "staff": false} {
		u := n.user("reads-as-"+role, role)
		ask.User = u.ID
		_, key, err := n.Users().NewKey(t.Context(), rights.Owner(), noAct, ask)
		if (err == nil) != want {
			t.Errorf("a key of a user with the role %s: %v, want one: %v", role, err, want)
		}
		if !want {
			continue
		}
		k, err := n.Users().Authenticate(t.Context(), key.Reveal())
		if who := accounts.OfKey(k); err != nil || !who.May(rights.Audit) || who.May(rights.Revoke) || who.May(rights.Write) {
			t.Errorf("the key of %s may %v, %v", role, who, err)
		}
		_, err = n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles("staff"))
		must(t, err)
		if k, err = n.Users().Authenticate(t.Context(), key.Reveal()); err != nil || accounts.OfKey(k).May(rights.Read) {
			t.Errorf("the key of somebody who was %s reads on: %v", role, err)
		}
	}
}

// A login that rests on a role that was taken away meanwhile fails.
func TestRoleTakenDuringALogin(t *testing.T) {
	t.Parallel()
	n := open(t, stores{users: inMemory(t)})
	u := n.user("brief", accounts.RoleSupport)
	rev, err := n.Issuer().SubjectRev(t.Context(), u.ID)
	must(t, err)
	_, err = n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles())
	must(t, err)
	if _, err := n.Issuer().Login(t.Context(), login.Proof{Subject: u.ID, Roles: u.Roles, At: time.Now(), SubjectRev: rev}, issuer.Request{}); !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("Login = %v, want ErrProveAgain", err)
	}
}

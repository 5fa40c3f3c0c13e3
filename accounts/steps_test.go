package accounts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// change is one change of a user who is active and has the roles a and c.
type change struct {
	name string
	do   func(n node, ctx context.Context, u directory.User) error
	ends bool // all sessions of before
}

func updating(how func(*directory.User) error) func(node, context.Context, directory.User) error {
	return func(n node, ctx context.Context, u directory.User) error {
		_, err := n.Users().Update(ctx, rights.Owner(), u.ID, noAct, how)
		return err
	}
}

var changes = []change{
	{"no roles", updating(roles()), false},
	{"fewer roles", updating(roles("a")), false},
	{"more roles", updating(roles("a", "b", "c")), false},
	{"other roles", updating(roles("b")), false},
	{"administrator", updating(roles("a", "c", accounts.RoleAdmin)), true},
	{"disabled", updating(status(directory.Disabled)), true},
	{"enabled", updating(status(directory.Active)), false},
	{"disabled with other roles", updating(func(u *directory.User) error {
		u.Status, u.Roles = directory.Disabled, []string{"b"}
		return nil
	}), true},
	{"password set", func(n node, ctx context.Context, u directory.User) error {
		return n.Users().SetPassword(ctx, rights.Owner(), u.ID, noAct, secret.New(nextPass))
	}, true},
	{"deleted", func(n node, ctx context.Context, u directory.User) error {
		err := n.Users().Delete(ctx, rights.Owner(), u.ID, noAct)
		if errors.Is(err, store.ErrNotFound) {
			err = nil // done before
		}
		return err
	}, true},
}

// rounds are the ways to hold users and sessions: together, and apart.
func rounds(t *testing.T) map[string]stores {
	one := inMemory(t)
	return map[string]stores{"one store": {one, one}, "two stores": {inMemory(t), inMemory(t)}}
}

var numbered int

func (n node) known() directory.User {
	n.t.Helper()
	numbered++
	u := n.user(fmt.Sprint("user", numbered), "a")
	u, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles("a", "c")) // the sessions are told
	must(n.t, err)
	return u
}

// A server is killed before or after any commit of a change, with the answer lost or not.
// Nobody can do more than is written then, and what is written comes into force, by Finish
// at another server as well as by the same call again.
func TestStoppedBetweenSteps(t *testing.T) {
	for round, s := range rounds(t) {
		users, sessions := storetest.Faulty(s.users), storetest.Faulty(s.sessions)
		if s.users == s.sessions {
			sessions = users
		}
		dying, other := openForSteps(t, stores{users, sessions}), openForSteps(t, s)
		for _, c := range changes {
			for _, on := range []*storetest.FaultyStore{users, sessions} {
				for _, lost := range []bool{false, true} {
					for _, again := range []bool{false, true} {
						for spared, hit := 0, true; hit; spared++ {
							name := fmt.Sprintf("%s, %s: stopped at commit %d, lost %v, same again %v", round, c.name, spared, lost, again)
							u := other.known()
							before := other.signIn(u, counterfoil.CarrierBearer)
							calls := on.Calls(storetest.OpCommit)
							on.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared, Times: 1, Lost: lost, Before: func() {
								// From here on it reaches nothing.
								for _, f := range []*storetest.FaultyStore{users, sessions} {
									f.Inject(storetest.Fault{})
								}
							}})
							err := c.do(dying, t.Context(), u)
							users.Heal()
							sessions.Heal()
							if hit = on.Calls(storetest.OpCommit)-calls > spared; hit && err == nil {
								t.Errorf("%s: no error", name)
							}
							if s := other.state(u.ID); !s.within() {
								t.Errorf("%s: %v", name, s)
							}
							if again {
								must(t, c.do(dying, t.Context(), u))
							}
							must(t, other.Users().Finish(t.Context()))
							if s := other.state(u.ID); !s.agrees() && (again || s.force.Version <= s.written.Version) {
								t.Errorf("%s, and Finish: %v", name, s)
							}
							_, err = other.Issuer().Refresh(t.Context(), before.Refresh.Reveal(), issuer.Renewal{})
							if ended := errors.Is(err, counterfoil.ErrInvalidToken); again && ended != c.ends {
								t.Errorf("%s, and Finish: Refresh = %v", name, err)
							}
							if w := other.state(u.ID).written; w.Password != u.Password && err == nil {
								t.Errorf("%s: the password is another one, and a session of before goes on", name)
							}
							s.nothingIsDue(t, name)
						}
					}
				}
			}
		}
	}
}

// nothingIsDue fails the test if something is still due to a user.
func (s stores) nothingIsDue(t *testing.T, name string) {
	t.Helper()
	for r, err := range s.users.List(t.Context(), "due", "*", "") {
		t.Errorf("%s: after Finish is due: %s %v", name, r.Value, err)
	}
}

// SES-14: two servers on one store change the same user, one between any two steps of the
// other. Afterwards what is written is in force, whichever was last.
func TestTwoNodesChangeOneUser(t *testing.T) {
	for round, s := range rounds(t) {
		users, sessions := storetest.Faulty(s.users), storetest.Faulty(s.sessions)
		first, second := openForSteps(t, stores{users, sessions}), openForSteps(t, s)
		for _, a := range changes {
			for _, b := range changes {
				for _, on := range []*storetest.FaultyStore{users, sessions} {
					for _, op := range []storetest.Op{storetest.OpGet, storetest.OpCommit} {
						for step, hit := 0, true; hit; step++ {
							hit = false
							u := second.known()
							on.Inject(storetest.Fault{Op: op, After: step, Times: 1, Slow: true, Before: func() {
								hit = true
								if err := b.do(second, t.Context(), u); err != nil && !errors.Is(err, store.ErrNotFound) {
									t.Error(err)
								}
							}})
							err := a.do(first, t.Context(), u)
							on.Heal()
							if err != nil && !(b.name == "deleted" && errors.Is(err, store.ErrNotFound)) {
								t.Fatalf("%s, %s: %v", a.name, b.name, err)
							}
							if s := second.state(u.ID); !s.agrees() {
								t.Errorf("%s: %s, and before its %s %d by another node %s: %v", round, a.name, op, step, b.name, s)
							}
						}
					}
				}
			}
		}
	}
}

// A server announced a change and was killed before it wrote it, while another change was
// due. What is written comes into force all the same.
func TestAnnouncedAndNeverWritten(t *testing.T) {
	s := stores{inMemory(t), inMemory(t)}
	users, sessions := storetest.Faulty(s.users), storetest.Faulty(s.sessions)
	dying, other := openForSteps(t, stores{users, sessions}), openForSteps(t, s)
	u := other.known()
	sessions.Inject(storetest.Fault{Op: storetest.OpCommit}) // written, and not given
	if _, err := dying.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles("a", "b", "c")); err == nil {
		t.Fatal("no error")
	}
	sessions.Heal()
	users.Inject(storetest.Fault{Op: storetest.OpCommit}) // announced, and not written
	if _, err := dying.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, status(directory.Disabled)); err == nil {
		t.Fatal("no error")
	}
	users.Heal()
	if s := other.state(u.ID); s.agrees() || !s.within() {
		t.Errorf("before Finish: %v", s)
	}
	must(t, other.Users().Finish(t.Context()))
	if s := other.state(u.ID); !s.agrees() || s.force.Disabled || len(s.force.Roles) != 3 {
		t.Errorf("after Finish: %v", s)
	}
}

// The users come from a backup, and the sessions, in a store of their own, do not: changes
// go on, and reach the sessions.
func TestUsersOfABackup(t *testing.T) {
	s := stores{inMemory(t), inMemory(t)}
	n := open(t, s)
	u := n.known()
	backup, err := store.One(t.Context(), s.users, store.Key{Kind: "user", ID: u.ID})
	must(t, err)
	for range 3 {
		must(t, n.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass)))
		_, err = n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, status(directory.Disabled))
		must(t, err)
	}
	now, err := store.One(t.Context(), s.users, store.Key{Kind: "user", ID: u.ID})
	must(t, err)
	backup.Rev = now.Rev
	_, err = s.users.Commit(t.Context(), store.Batch{Put: []store.Record{backup}})
	must(t, err)
	if s := n.state(u.ID); !s.within() {
		t.Errorf("after the restore: %v", s)
	}
	_, err = n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, status(directory.Active))
	must(t, err)
	if s := n.state(u.ID); !s.agrees() || s.force.Disabled {
		t.Errorf("after a change: %v", s)
	}
	before := n.signIn(u, counterfoil.CarrierBearer)
	must(t, n.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass)))
	n.ended("a new password", before)
}

// LOGIN-12, LOGIN-14: a server is killed in the middle of a change that its owner makes.
// The old password signs nobody in once another one is written, and Finish ends what it
// opened; so does the same call again, also if it is refused.
func TestPasswordStoppedBetweenSteps(t *testing.T) {
	for round, s := range rounds(t) {
		users, sessions := storetest.Faulty(s.users), storetest.Faulty(s.sessions)
		if s.users == s.sessions {
			sessions = users
		}
		dying, other := openForSteps(t, stores{users, sessions}), openForSteps(t, s)
		ways := map[string]func(u directory.User, own *issuer.Issued) func() error{
			"change": func(_ directory.User, own *issuer.Issued) func() error {
				return func() error {
					_, err := dying.Users().ChangePassword(t.Context(), own.Session, noAct, secret.New(pass), secret.New(nextPass), issuer.Request{})
					return err
				}
			},
			"redeem": func(u directory.User, _ *issuer.Issued) func() error {
				invitation, _, err := other.Users().Invite(t.Context(), rights.Owner(), u.ID, noAct)
				must(t, err)
				return func() error { return dying.Users().Redeem(t.Context(), noAct, invitation, "", secret.New(nextPass)) }
			},
		}
		for way, begin := range ways {
			for _, on := range []*storetest.FaultyStore{users, sessions} {
				for _, lost := range []bool{false, true} {
					for step, hit := 0, true; hit; step++ {
						spared, again := step/2, step%2 == 1
						name := fmt.Sprintf("%s, %s: stopped at commit %d, lost %v, same again before Finish %v", round, way, spared, lost, again)
						u := other.known()
						own, thief := other.signIn(u, counterfoil.CarrierCookie), other.signIn(u, counterfoil.CarrierBearer)
						do := begin(u, own)
						calls := on.Calls(storetest.OpCommit)
						on.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared, Times: 1, Lost: lost, Before: func() {
							for _, f := range []*storetest.FaultyStore{users, sessions} {
								f.Inject(storetest.Fault{})
							}
						}})
						_ = do()
						hit = on.Calls(storetest.OpCommit)-calls > spared
						users.Heal()
						sessions.Heal()
						if again {
							if err := do(); err != nil && !errors.Is(err, login.ErrRefused) {
								t.Errorf("%s: %v", name, err)
							}
						} else {
							must(t, other.Users().Finish(t.Context()))
						}
						changed := other.state(u.ID).written.Password != u.Password
						_, err := other.Issuer().Refresh(t.Context(), thief.Refresh.Reveal(), issuer.Renewal{})
						if ended := errors.Is(err, counterfoil.ErrInvalidToken); ended != changed {
							t.Errorf("%s: the password is another one: %v, and a session of the old one: %v", name, changed, err)
						}
						if !changed { // its owner is not signed out, and does the same again
							if err := do(); err != nil {
								t.Errorf("%s: the same again = %v", name, err)
							}
							if _, err = other.Issuer().Refresh(t.Context(), thief.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
								t.Errorf("%s: the same again, and a session of the old password: %v", name, err)
							}
						}
					}
				}
			}
		}
	}
}

// Several nodes change one user at once, on real databases, while programs sign the user
// in. At the end what is written is in force, and no session has more.
func TestNodesRace(t *testing.T) {
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	var nodes []node
	for range 3 {
		s := postgresAt(t, dsn)
		nodes = append(nodes, open(t, stores{s, s}))
	}
	for round := range 4 {
		u := nodes[0].user(fmt.Sprint("user", round), "a")
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				for range 8 {
					c := changes[rand.N(len(changes)-1)] // all but the deletion
					if err := c.do(n, context.Background(), u); err != nil {
						t.Errorf("%s: %v", c.name, err)
					}
				}
			})
			wg.Go(func() {
				for range 8 {
					_, err := n.Users().SignIn(context.Background(), rights.Owner(), u.ID, []string{"a"}, issuer.Request{Carrier: counterfoil.CarrierBearer}, nil)
					if err != nil && !errors.Is(err, issuer.ErrProveAgain) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s := nodes[round%3].state(u.ID)
		if !s.agrees() {
			t.Error(s)
		}
		rows, _, err := nodes[0].Issuer().Sessions(t.Context(), u.ID, "", 0)
		must(t, err)
		for _, row := range rows {
			if s.written.Status != directory.Active || s.force.ClaimsVersion > 0 && strings.Join(row.Roles, " ") != strings.Join(s.written.Roles, " ") {
				t.Errorf("%v, and a session has %q", s, row.Roles)
			}
		}
	}
}

// LOGIN-19: another node sets the password, between any two steps of a change that was
// allowed by the password of before. The password that was set stays.
func TestPasswordSetDuringChange(t *testing.T) {
	for round, s := range rounds(t) {
		users := storetest.Faulty(s.users)
		sessions := s.sessions
		if s.users == s.sessions {
			sessions = users
		}
		first, second := openForSteps(t, stores{users, sessions}), openForSteps(t, s)
		for _, op := range []storetest.Op{storetest.OpGet, storetest.OpCommit} {
			for step, hit := 0, true; hit; step++ {
				hit = false
				u := second.known()
				own := second.signIn(u, counterfoil.CarrierBearer)
				var set string
				users.Inject(storetest.Fault{Op: op, After: step, Times: 1, Slow: true, Before: func() {
					hit = true
					if err := second.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New("a third long afternoon")); err != nil {
						t.Error(err)
					}
					set = second.state(u.ID).written.Password
				}})
				_, err := first.Users().ChangePassword(t.Context(), own.Session, noAct, secret.New(pass), secret.New(nextPass), issuer.Request{})
				users.Heal()
				if w := second.state(u.ID).written; hit && w.Password != set {
					t.Errorf("%s, before %s %d: the password of before changed the one that was set, %v", round, op, step, err)
				}
			}
		}
	}
}

// LOGIN-19: a login that proved the old password while another one was written has no session
// of it.
func TestLoginDuringSetPassword(t *testing.T) {
	s := stores{users: inMemory(t)}
	s.sessions = s.users
	faulty := storetest.Faulty(s.users)
	first, second := open(t, stores{faulty, faulty}), open(t, s)
	u := second.known()
	rev, err := second.Issuer().SubjectRev(t.Context(), u.ID)
	must(t, err)
	faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "session", Times: 1, Slow: true, Before: func() {
		must(t, second.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass)))
	}})
	_, err = first.Issuer().Login(t.Context(), login.Proof{Subject: u.ID, At: u.Created, SubjectRev: rev}, issuer.Request{})
	if !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("Login = %v, want ErrProveAgain", err)
	}
}

// The trail tells who lost which roles.
func TestTrailTellsOfLostRoles(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	u := n.user("boss", accounts.RoleAdmin, "staff")
	_, err := n.Users().Update(t.Context(), rights.Owner(), u.ID, noAct, roles("staff"))
	must(t, err)
	entries, _, err := n.Issuer().Audit().List(t.Context(), audit.Query{Subject: u.ID})
	must(t, err)
	all, err := json.Marshal(entries)
	must(t, err)
	if !strings.Contains(string(all), "status=active roles=staff before=admin,staff") {
		t.Errorf("the trail has %s", all)
	}
}

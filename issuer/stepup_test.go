package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// ranked is an issuer that knows two classes of authentication.
func ranked(t *testing.T) *bench {
	t.Helper()
	s, c := memory.New(), &clock{now: time.Now()}
	keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(issuer.Options{Store: s, Keys: keys, URL: "https://auth.test", Now: c.Now, ACRs: []string{"low", "high"}})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{i, c, s, keys}
}

func (b *bench) proofOf(t *testing.T, subject, acr string, methods ...string) login.Proof {
	t.Helper()
	p := b.proof(t, subject)
	p.ACR, p.Methods = acr, methods
	return p
}

// SES-04, SES-24: by each carrier, the session says that it was proven anew, its new
// credentials are good at once, and what there was before is not.
func TestStepUp(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			b := ranked(t)
			web, app := b.granted(t, "alice", c)
			b.clock.add(time.Minute)
			v, err := counterfoil.NewVerifier(t.Context(), b.Issuer, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test", Now: b.clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if _, err := v.Verify(t.Context(), web.Access.Reveal()); err != nil {
				t.Fatal(err)
			}
			up, err := b.StepUp(t.Context(), web.Session.ID, b.proofOf(t, "alice", "high", "otp", "pwd"), audit.Act{})
			if err != nil {
				t.Fatal(err)
			}
			if err := v.WaitFor(t.Context(), up.Session.Born); err != nil {
				t.Fatal(err)
			}
			for who, check := range map[string]func(context.Context, string) (*counterfoil.Session, error){"look-up": b.Lookup, "verifier": v.Verify} {
				if _, err := check(t.Context(), web.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
					t.Errorf("%s: the copy before: %v, want ErrInvalidToken", who, err)
				}
				s, err := check(t.Context(), up.Access.Reveal())
				if err != nil {
					t.Fatalf("%s: %v", who, err)
				}
				b.raised(t, web.Session, s)
			}
			if !up.SessionExpires.Equal(web.SessionExpires) {
				t.Errorf("the session ends at %v, not at %v", up.SessionExpires, web.SessionExpires)
			}
			b.goesOn(t, web, up, app)
		})
	}
}

// raised fails the test unless s is the session before, except for what the step-up said.
func (b *bench) raised(t *testing.T, before, s *counterfoil.Session) {
	t.Helper()
	if s.ACR != "high" || !slices.Equal(s.Methods, []string{"pwd", "otp"}) || s.AuthTime.Unix() != b.clock.Now().Unix() {
		t.Errorf("acr %q, amr %q, auth_time %v", s.ACR, s.Methods, s.AuthTime)
	}
	want := []string{"ACR", "AuthTime", "Born", "Expires", "IssuedAt", "Methods", "TokenID"}
	if s.TokenID == "" {
		want = []string{"ACR", "AuthTime", "Born", "Expires", "ID", "IssuedAt", "Methods"}
	}
	names := differences(before, s)
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("%q differ, want %q", names, want)
	}
}

// goesOn fails the test unless refreshes, grants, the list, the trail and the end of the
// session are as they should be after web was stepped up.
func (b *bench) goesOn(t *testing.T, web, up, app *issuer.Issued) {
	t.Helper()
	entries, _, err := b.Audit().List(t.Context(), audit.Query{Limit: 1})
	if err != nil || len(entries) != 1 || entries[0].Action != audit.StepUp || entries[0].Session != up.Session.ID {
		t.Errorf("audit entries %+v, %v", entries, err)
	}
	if web.Refresh.Reveal() == "" { // a caller that ends it by its id of before is not told that it is done
		if _, err := b.Revoke(t.Context(), source.ScopeSession, web.Session.ID, audit.Act{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Revoke of the id before = %v, want ErrNotFound", err)
		}
		if _, err := b.EndGrant(t.Context(), web.Session.ID, "app", audit.Act{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("EndGrant of the id before = %v, want ErrNotFound", err)
		}
	} else {
		if _, err := b.refresh(web, "web"); !errors.Is(err, issuer.ErrReplaced) {
			t.Errorf("the refresh token before: %v, want ErrReplaced", err)
		}
		for range 2 { // the second time is within the grace, which is there again
			if next, err := b.refresh(up, "web"); err != nil || next.Session.ACR != "high" {
				t.Errorf("the new refresh token: %+v, %v", next, err)
			}
		}
	}
	next, err := b.refresh(app, "app")
	if err != nil || next.Session.ACR != "high" || next.Session.ID != up.Session.ID {
		t.Fatalf("the grant of another client: %+v, %v", next, err)
	}
	if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 1 || rows[0].ID != up.Session.ID || len(rows[0].Grants) != 2 {
		t.Errorf("sessions %+v, %v", rows, err)
	}
	if err := b.Logout(t.Context(), up.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.refresh(next, "app"); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the grant after the session's end: %v", err)
	}
}

// A refresh token of before the step-up that is shown later was stolen, or left behind: it
// counts as any old one (REF-02).
func TestOldRefreshTokenAfterStepUp(t *testing.T) {
	b := ranked(t)
	web, _ := b.granted(t, "alice", counterfoil.CarrierBearer)
	up, err := b.StepUp(t.Context(), web.Session.ID, b.proofOf(t, "alice", "high"), audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Minute)
	if _, err := b.refresh(web, "web"); !errors.Is(err, issuer.ErrReused) {
		t.Errorf("the old token = %v, want ErrReused", err)
	}
	if _, err := b.refresh(up, "web"); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the new token afterwards = %v", err)
	}
}

// What a step-up refuses changes nothing: it never lowers, and never helps somebody else.
func TestWhatNoStepUpCanBe(t *testing.T) {
	b := ranked(t)
	web, _ := b.granted(t, "alice", counterfoil.CarrierBearer)
	b.login(t, "bob", counterfoil.CarrierCookie)
	up, err := b.StepUp(t.Context(), web.Session.ID, b.proofOf(t, "alice", "high", "pwd", "otp"), audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	old := b.proofOf(t, "alice", "high")
	b.clock.add(time.Hour)
	before := b.dump(t)
	for name, c := range map[string]struct {
		sid  string
		p    login.Proof
		want error
	}{
		"another subject": {web.Session.ID, b.proofOf(t, "bob", "high"), issuer.ErrOtherSubject},
		"no class":        {web.Session.ID, b.proofOf(t, "alice", ""), issuer.ErrWeaker},
		"a lower class":   {web.Session.ID, b.proofOf(t, "alice", "low"), issuer.ErrWeaker},
		"unknown class":   {web.Session.ID, b.proofOf(t, "alice", "best"), issuer.ErrWeaker},
		"an older proof": {web.Session.ID, func() login.Proof {
			old.At = old.At.Add(-2 * time.Minute)
			return old
		}(), issuer.ErrWeaker},
		"no subject": {web.Session.ID, login.Proof{At: b.clock.Now()}, issuer.ErrBadRequest},
		"no time":    {web.Session.ID, login.Proof{Subject: "alice"}, issuer.ErrBadRequest},
		"no session": {"ses_none", b.proofOf(t, "alice", "high"), counterfoil.ErrInvalidToken},
	} {
		if got, err := b.StepUp(t.Context(), c.sid, c.p, audit.Act{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, c.want)
		}
	}
	if after := b.dump(t); !slices.Equal(before, after) {
		t.Errorf("something changed:\n%q\n%q", before, after)
	}
	// LOGIN-19: the password is another one by now, or the roles are.
	p := b.proofOf(t, "alice", "high")
	if err := b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"fewer"} }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.StepUp(t.Context(), web.Session.ID, p, audit.Act{}); !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("a proof from before a change = %v, want ErrProveAgain", err)
	}
	if err := b.Logout(t.Context(), up.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.StepUp(t.Context(), web.Session.ID, b.proofOf(t, "alice", "high"), audit.Act{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("after the session's end = %v", err)
	}
}

// A step-up races a revocation, a refresh, and another step-up: nothing of before is left,
// and of what it handed out nothing that the revocation covers.
func TestStepUpRaces(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for n := range rounds / 5 {
			subject, c := fmt.Sprint("subject", n), carriers[n%2]
			web, app := b.granted(t, subject, c)
			p, other := b.proof(t, subject), b.proof(t, subject)
			revoked := n%4 > 1
			var ups [2]*issuer.Issued
			var next *issuer.Issued
			step := func(n int, p login.Proof) func() {
				return func() {
					var err error
					if ups[n], err = b.StepUp(context.Background(), web.Session.ID, p, audit.Act{}); err != nil && !errors.Is(err, counterfoil.ErrInvalidToken) && !errors.Is(err, issuer.ErrProveAgain) {
						t.Errorf("StepUp = %v", err)
					}
				}
			}
			race := []func(){step(0, p), step(1, other), func() {
				var err error
				if next, err = b.refresh(app, "app"); err != nil && (!revoked || !errors.Is(err, counterfoil.ErrInvalidToken)) {
					t.Errorf("Refresh = %v", err)
				}
			}}
			if revoked {
				race = append(race, func() { _ = ends[2](b, subject, web) })
			}
			together(race...)
			alive := 0
			for _, up := range ups {
				if up == nil {
					continue
				}
				if _, err := b.Lookup(t.Context(), up.Access.Reveal()); err == nil {
					alive++
				} else {
					b.coveredByLog(t, up.Session)
				}
			}
			if want := map[bool]int{true: 0, false: 1}[revoked]; alive != want {
				t.Errorf("round %d, %v: %d copies of step-ups live, want %d", n, c, alive, want)
			}
			if _, err := b.Lookup(t.Context(), web.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("round %d: the copy before = %v", n, err)
			}
			if !revoked && next != nil {
				if _, err := b.refresh(next, "app"); err != nil {
					t.Errorf("round %d: the grant of another client = %v", n, err)
				}
			}
		}
	})
}

// A grant is given up while a step-up moves it to another id: nothing of it is left.
func TestGrantGivenUpDuringStepUp(t *testing.T) {
	everyStore(t, func(t *testing.T, b *bench, rounds int) {
		for n := range rounds / 5 {
			subject := fmt.Sprint("subject", n)
			web, app := b.granted(t, subject, counterfoil.CarrierCookie)
			p := b.proof(t, subject)
			together(func() {
				if _, err := b.StepUp(context.Background(), web.Session.ID, p, audit.Act{}); err != nil {
					t.Errorf("StepUp = %v", err)
				}
			}, func() {
				if err := b.EndByRefresh(context.Background(), app.Refresh.Reveal(), "app", audit.Act{}); err != nil {
					t.Errorf("EndByRefresh = %v", err)
				}
			})
			b.nothingLeft(t, n, app)
		}
	})
}

// A step-up gives a session another id between the read and the commit of a caller who ends
// it. The caller is told that there is none of that id, or the session is over.
func TestEndedWhileRenamed(t *testing.T) {
	for name, end := range map[string]func(b *bench, web, here *issuer.Issued) (done bool, err error){
		"Revoke": func(b *bench, web, _ *issuer.Issued) (bool, error) {
			_, err := b.Revoke(t.Context(), source.ScopeSession, web.Session.ID, audit.Act{})
			return err == nil, err
		},
		"EndOthers": func(b *bench, _, here *issuer.Issued) (bool, error) {
			_, err := b.EndOthers(t.Context(), here.Session, audit.Act{})
			return err == nil, err
		},
	} {
		b, s := newFaulty(t)
		web, here := b.login(t, "alice", counterfoil.CarrierCookie), b.login(t, "alice", counterfoil.CarrierBearer)
		var up *issuer.Issued
		stepUp := func() {
			var err error
			if up, err = b.StepUp(t.Context(), web.Session.ID, b.proof(t, "alice"), audit.Act{}); err != nil {
				t.Errorf("%s: StepUp = %v", name, err)
			}
		}
		s.Inject(storetest.Fault{Op: storetest.OpCommit, Times: 1, Slow: true, Before: stepUp})
		done, err := end(b, web, here)
		if up == nil {
			t.Fatalf("%s: no step-up came in between", name)
		}
		if _, alive := b.Lookup(t.Context(), up.Access.Reveal()); done && alive == nil {
			t.Errorf("%s = %v, and the session lives under another id", name, err)
		}
		if !done && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s = %v", name, err)
		}
	}
}

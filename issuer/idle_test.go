package issuer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

const week = 7 * 24 * time.Hour

// lasting is an issuer whose sessions end by not being used.
func lasting(t *testing.T) *bench {
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.Absolute = 90 * 24 * time.Hour })
	b.clock.now = time.Now().Truncate(time.Minute)
	return b
}

// REF-05, SES-12: a login by tokens ends a week after it was last refreshed. Each refresh moves
// that end, and lists show it.
func TestTokensEndIdle(t *testing.T) {
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE} {
		b := lasting(t)
		held := b.login(t, "alice", c)
		listed := func() issuer.SessionRow {
			t.Helper()
			rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%v: Sessions = %+v, %v", c, rows, err)
			}
			one, err := b.Session(t.Context(), held.Session.ID)
			if err != nil || !one.IdleExpires.Equal(rows[0].IdleExpires) {
				t.Fatalf("%v: Session = %+v, %v", c, one, err)
			}
			return rows[0]
		}
		for range 3 {
			if row, end := listed(), b.clock.Now().Add(week); !row.IdleExpires.Equal(end) || !row.Grants[0].IdleExpires.Equal(end) {
				t.Errorf("%v: it ends at %v, its grant at %v, want %v", c, row.IdleExpires, row.Grants[0].IdleExpires, end)
			}
			b.clock.add(week - time.Minute)
			listed()
			next, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
			if err != nil {
				t.Fatalf("%v: Refresh a minute before the end = %v", c, err)
			}
			held = next
		}
		b.clock.add(week)
		if _, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("%v: Refresh at the end = %v, want ErrExpired", c, err)
		}
		if rows, _, err := b.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 0 {
			t.Errorf("%v: Sessions = %+v, %v, want none", c, rows, err)
		}
		if _, err := b.Session(t.Context(), held.Session.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: Session = %v, want ErrNotFound", c, err)
		}
		if _, err := b.StepUp(t.Context(), held.Session.ID, b.proof(t, "alice"), audit.Act{}); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("%v: StepUp = %v, want ErrExpired", c, err)
		}
		if _, err := b.AddGrant(t.Context(), held.Session.ID, issuer.Request{Client: "app"}); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("%v: AddGrant = %v, want ErrExpired", c, err)
		}
		if err := b.EndByRefresh(t.Context(), held.Refresh.Reveal(), "", audit.Act{}); err != nil {
			t.Errorf("%v: its holder cannot give it up: %v", c, err)
		}
	}
}

// REF-05: no copy outlives the idle end, and the end near the absolute one is that.
func TestIdleEndAndOthers(t *testing.T) {
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.RefreshIdle, o.AccessTTL = 15*time.Minute, 15*time.Minute })
	held := b.login(t, "alice", counterfoil.CarrierBearer)
	b.clock.add(15 * time.Minute)
	if _, err := b.Lookup(t.Context(), held.Access.Reveal()); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("Lookup at the idle end = %v, want ErrExpired", err)
	}
	b = newIssuer(t, memory.New())
	held = b.login(t, "alice", counterfoil.CarrierBearer)
	row, err := b.Session(t.Context(), held.Session.ID)
	if err != nil || !row.IdleExpires.Equal(row.AbsoluteExpires.Truncate(time.Minute)) {
		t.Errorf("Session = %+v, %v, want the idle end at the absolute one", row, err)
	}
}

// REF-05: what each client holds of a session ends by itself. Another client's grant that is
// not refreshed is gone from a session that is used, and the session is there as long as one is.
func TestGrantsEndIdle(t *testing.T) {
	b := lasting(t)
	web, app := b.granted(t, "alice", counterfoil.CarrierBearer)
	clients := func(want ...string) {
		t.Helper()
		rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
		if err != nil || len(rows) > 1 || len(rows) != min(len(want), 1) {
			t.Fatalf("Sessions = %+v, %v, want one with grants of %q", rows, err, want)
		}
		for n := range want {
			if len(rows[0].Grants) != len(want) || rows[0].Grants[n].Client != want[n] {
				t.Errorf("the grants are %+v, want those of %q", rows[0].Grants, want)
			}
		}
	}
	clients("web", "app")
	b.clock.add(week / 2)
	if _, err := b.refresh(app, "app"); err != nil {
		t.Fatal(err)
	}
	b.clock.add(week / 2)
	clients("app")
	if _, err := b.refresh(web, "web"); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("the own client's refresh = %v, want ErrExpired", err)
	}
	b.clock.add(week / 2)
	clients()
}

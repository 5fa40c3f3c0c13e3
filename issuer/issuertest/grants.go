// Package issuertest holds what an issuer promises of sessions with several clients as
// tests, for an issuer on any store: see Grants.
package issuertest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// The clients of each session: it is made for own, and first and second get grants. It is used
// at two hosts of own as well.
const (
	own, first, second = "own", "first", "second"
	here, there        = "https://here.test", "https://there.test"
)

// event is what may happen to a session that three clients use, one of them at two hosts.
type event struct {
	name  string
	ends  []string // the clients and hosts that have nothing afterwards; nil: none
	stale bool     // the tokens that the others have must be refreshed
	do    func(ctx context.Context, w *world) error
}

var (
	every = []string{own, first, second}
	hosts = []string{here, there}
	all   = append(slices.Clone(every), hosts...)
)

var events = []event{
	{"session ended", all, false, func(ctx context.Context, w *world) error {
		_, err := w.Revoke(ctx, source.ScopeSession, w.sid, audit.Act{})
		return err
	}},
	{"own client's grant ended", all, false, func(ctx context.Context, w *world) error { return w.end(ctx, own) }},
	{"grant ended", []string{first}, false, func(ctx context.Context, w *world) error { return w.end(ctx, first) }},
	{"logged out by own copy", all, false, func(ctx context.Context, w *world) error { return w.logout(ctx, own) }},
	{"logged out by a grant's copy", []string{first}, false, func(ctx context.Context, w *world) error { return w.logout(ctx, first) }},
	{"grant's refresh token given up", []string{first}, false, func(ctx context.Context, w *world) error {
		return w.EndByRefresh(ctx, w.held[first].Refresh.Reveal(), w.client(first), audit.Act{})
	}},
	{"own client disabled", []string{own, here, there}, false, func(ctx context.Context, w *world) error { return w.disable(ctx, own) }},
	{"client disabled", []string{first}, false, func(ctx context.Context, w *world) error { return w.disable(ctx, first) }},
	{"own client revoked", []string{own, here, there}, false, func(ctx context.Context, w *world) error { return w.revokeClient(ctx, own) }},
	{"client revoked", []string{first}, false, func(ctx context.Context, w *world) error { return w.revokeClient(ctx, first) }},
	{"client deleted", []string{first}, false, func(ctx context.Context, w *world) error {
		return w.Clients().Delete(ctx, rights.Owner(), w.client(first), audit.Act{})
	}},
	{"reuse of own refresh token", all, false, func(ctx context.Context, w *world) error { return w.reuse(ctx, own) }},
	{"reuse of a grant's refresh token", []string{first}, false, func(ctx context.Context, w *world) error { return w.reuse(ctx, first) }},
	{"subject revoked", all, false, func(ctx context.Context, w *world) error {
		_, err := w.Revoke(ctx, source.ScopeSubject, w.subject, audit.Act{})
		return err
	}},
	{"subject disabled", all, false, func(ctx context.Context, w *world) error {
		return w.SetSubject(ctx, w.subject, audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
	}},
	{"claims changed", nil, true, func(ctx context.Context, w *world) error {
		return w.SetSubject(ctx, w.subject, audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"changed"} })
	}},
	{"stepped up", hosts, true, func(ctx context.Context, w *world) error { return w.stepUp(ctx) }},
	{"host ended", []string{here}, false, func(ctx context.Context, w *world) error {
		_, err := w.Revoke(ctx, source.ScopeToken, w.held[here].Session.TokenID, audit.Act{})
		return err
	}},
	{"host given up", all, false, func(ctx context.Context, w *world) error {
		return w.GiveUp(ctx, w.held[here].Access.Reveal(), "", audit.Act{})
	}},
	{"logged out by a host's copy", all, false, func(ctx context.Context, w *world) error { return w.logout(ctx, here) }},
	{"code used twice", []string{here}, false, func(ctx context.Context, w *world) error {
		if _, err := w.Redeem(ctx, w.redemption); !errors.Is(err, issuer.ErrCode) {
			return fmt.Errorf("a code that was used: %w, want ErrCode", err)
		}
		return nil
	}},
	{"handed over again", nil, false, func(ctx context.Context, w *world) error {
		before := w.held[here]
		if err := w.handOver(ctx, here); err != nil {
			return err
		}
		if _, err := w.Lookup(ctx, before.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			return fmt.Errorf("the cookie of before: %w", err)
		}
		return nil
	}},
	{"others ended", nil, false, func(ctx context.Context, w *world) error {
		s, err := w.Account(ctx, w.held[own].Access.Reveal(), w.held[own].Session.Carrier.Transport)
		if err == nil {
			_, err = w.login(ctx)
		}
		if err == nil {
			_, err = w.EndOthers(ctx, s, audit.Act{})
		}
		return err
	}},
	{"password changed", all, false, func(ctx context.Context, w *world) error {
		p, err := w.proof(ctx, "pwd")
		if err == nil {
			_, err = w.StartOver(ctx, p, issuer.Request{Client: w.client(first), Carrier: counterfoil.CarrierBearer})
		}
		return err
	}},
	{"everybody revoked", all, false, func(ctx context.Context, w *world) error {
		_, err := w.Revoke(ctx, source.ScopeAll, "", audit.Act{})
		return err
	}},
}

// Grants holds an issuer that open returns against this: each event ends what it is said to
// end, for refresh, verifier and look-up, and nothing else. The session's own client has a
// cookie in one half of the runs, and tokens in the other.
func Grants(t *testing.T, open func(t *testing.T) *issuer.Issuer) {
	i := open(t)
	v, err := counterfoil.NewVerifier(t.Context(), i, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test", Origins: hosts})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	n := 0
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierCookie} {
		for _, e := range events {
			if carrier == counterfoil.CarrierCookie && e.name == "reuse of own refresh token" {
				continue // it has none
			}
			t.Run(carrier.String()+"/"+strings.ReplaceAll(e.name, " ", "_"), func(t *testing.T) {
				n++
				newWorld(t, i, v, fmt.Sprint("subject", n), carrier).see(t, e)
			})
		}
	}
}

// world is one session with three clients.
type world struct {
	*issuer.Issuer
	verifier     *counterfoil.Verifier
	subject, sid string
	carrier      counterfoil.Carrier // of own
	held         map[string]*issuer.Issued
	redemption   issuer.Redemption // the first one of here
}

func newWorld(t *testing.T, i *issuer.Issuer, v *counterfoil.Verifier, subject string, carrier counterfoil.Carrier) *world {
	t.Helper()
	w := &world{Issuer: i, verifier: v, subject: subject, carrier: carrier, held: map[string]*issuer.Issued{}}
	for _, c := range every {
		if err := i.Clients().Set(t.Context(), rights.Owner(), w.client(c), audit.Act{}, func(c *clients.Client) {
			c.Scopes, c.Opens, c.Origins = []string{"read", "write"}, clients.OpensAccount, hosts
		}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.sid, w.held[own] = got.Session.ID, got
	for _, c := range []string{first, second} {
		if w.held[c], err = i.AddGrant(t.Context(), w.sid, issuer.Request{Client: w.client(c), Scopes: []string{"read"}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, origin := range hosts {
		if err := w.handOver(t.Context(), origin); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) proof(ctx context.Context, method string) (login.Proof, error) {
	rev, err := w.SubjectRev(ctx, w.subject)
	return login.Proof{Subject: w.subject, Methods: []string{method}, At: time.Now(), SubjectRev: rev}, err
}

func (w *world) login(ctx context.Context) (*issuer.Issued, error) {
	p, err := w.proof(ctx, "pwd")
	if err != nil {
		return nil, err
	}
	return w.Login(ctx, p, issuer.Request{Client: w.client(own), Carrier: w.carrier})
}

// handOver gives a host of own a cookie of the session.
func (w *world) handOver(ctx context.Context, origin string) error {
	s, err := w.Account(ctx, w.held[own].Access.Reveal(), w.carrier.Transport)
	if err != nil {
		return err
	}
	verifier := origin + " is a browser that nobody else knows of"
	challenge := sha256.Sum256([]byte(verifier))
	code, err := w.HandOver(ctx, s, issuer.Handover{Client: w.client(own), Origin: origin, Challenge: base64.RawURLEncoding.EncodeToString(challenge[:])})
	if err != nil {
		return err
	}
	r := issuer.Redemption{Client: w.client(own), Origin: origin, Code: code, Verifier: secret.New(verifier)}
	if w.held[origin], err = w.Redeem(ctx, r); origin == here && w.redemption.Client == "" {
		w.redemption = r
	}
	return err
}

// client is the id of one of the three: no two worlds share one. What a host holds is own's.
func (w *world) client(name string) string {
	if slices.Contains(hosts, name) {
		name = own
	}
	return name + "-of-" + w.subject
}

func (w *world) end(ctx context.Context, c string) error {
	_, err := w.EndGrant(ctx, w.sid, w.client(c), audit.Act{})
	return err
}

func (w *world) logout(ctx context.Context, c string) error {
	held, err := w.Held(ctx, w.held[c].Access.Reveal())
	if err != nil {
		return err
	}
	return w.Logout(ctx, held, audit.Act{})
}

func (w *world) disable(ctx context.Context, c string) error {
	return w.Clients().Set(ctx, rights.Owner(), w.client(c), audit.Act{}, func(c *clients.Client) { c.Disabled = true })
}

func (w *world) revokeClient(ctx context.Context, c string) error {
	_, err := w.Revoke(ctx, source.ScopeClient, w.client(c), audit.Act{})
	return err
}

// reuse presents a token that was replaced twice: two parties hold the family.
func (w *world) reuse(ctx context.Context, c string) error {
	old := w.held[c].Refresh.Reveal()
	for range 2 {
		got, err := w.Refresh(ctx, w.held[c].Refresh.Reveal(), issuer.Renewal{Client: w.client(c)})
		if err != nil {
			return err
		}
		w.held[c] = got
	}
	if _, err := w.Refresh(ctx, old, issuer.Renewal{Client: w.client(c)}); !errors.Is(err, issuer.ErrReused) {
		return fmt.Errorf("an old refresh token: %w, want ErrReused", err)
	}
	return nil
}

// stepUp proves the subject anew. An opaque session goes on under another id.
func (w *world) stepUp(ctx context.Context) error {
	p, err := w.proof(ctx, "otp")
	if err != nil {
		return err
	}
	got, err := w.Issuer.StepUp(ctx, w.sid, p, audit.Act{})
	if err == nil {
		w.sid, w.held[own] = got.Session.ID, got
	}
	return err
}

// see has e happen, and checks what it left.
func (w *world) see(t *testing.T, e event) {
	for _, c := range all {
		w.good(t, c)
	}
	before, sid := maps.Clone(w.held), w.sid
	if err := e.do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	head, err := w.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.verifier.WaitFor(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		opaque := w.held[c].Refresh.Reveal() == ""
		switch {
		case slices.Contains(e.ends, c):
			w.dead(t, c)
			continue
		case e.stale && !opaque && w.held[c] == before[c]:
			w.stale(t, c, w.sid == sid)
		default:
			w.good(t, c)
		}
		if !opaque {
			w.refresh(t, c)
			w.good(t, c)
		}
	}
	w.listed(t, e)
}

// stale fails the test unless the copy that c has must be refreshed: its claims are those
// of before, or also its session's id.
func (w *world) stale(t *testing.T, c string, sameID bool) {
	t.Helper()
	want := counterfoil.ErrStaleClaims
	if !sameID {
		want = counterfoil.ErrRevoked
	}
	for who, check := range map[string]func(context.Context, string) (*counterfoil.Session, error){"verifier": w.verifier.Verify, "look-up": w.Lookup} {
		if _, err := check(t.Context(), w.held[c].Access.Reveal()); !errors.Is(err, want) {
			t.Errorf("%s: %s: %v, want %v", c, who, err, want)
		}
	}
}

func (w *world) refresh(t *testing.T, c string) {
	t.Helper()
	got, err := w.Refresh(t.Context(), w.held[c].Refresh.Reveal(), issuer.Renewal{Client: w.client(c)})
	if err != nil {
		t.Fatalf("%s: Refresh = %v", c, err)
	}
	w.held[c] = got
}

// good fails the test unless verifier and issuer accept what c holds, as c's.
func (w *world) good(t *testing.T, c string) {
	t.Helper()
	access := w.held[c].Access.Reveal()
	for who, check := range map[string]func(context.Context, string) (*counterfoil.Session, error){"verifier": w.verifier.Verify, "look-up": w.Lookup} {
		s, err := check(t.Context(), access)
		if err != nil {
			t.Errorf("%s: %s: %v", c, who, err)
			continue
		}
		scopes := []string{"read"}
		if w.client(c) == w.client(own) {
			scopes = []string{"read", "write"}
		}
		if s.ID != w.sid || s.Subject != w.subject || s.Client != w.client(c) || !slices.Equal(s.Scopes, scopes) {
			t.Errorf("%s: %s: %+v", c, who, s)
		}
	}
	_, err := w.Account(t.Context(), access, w.held[c].Session.Carrier.Transport)
	if allowed := c == own; allowed != (err == nil) || !allowed && !errors.Is(err, counterfoil.ErrForbidden) {
		t.Errorf("%s: Account = %v", c, err)
	}
}

// dead fails the test if anything that c holds is good.
func (w *world) dead(t *testing.T, c string) {
	t.Helper()
	access, refresh := w.held[c].Access.Reveal(), w.held[c].Refresh.Reveal()
	if _, err := w.verifier.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrRevoked) {
		t.Errorf("%s: verifier: %v, want ErrRevoked", c, err)
	}
	if _, err := w.Lookup(t.Context(), access); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("%s: look-up: %v, want ErrInvalidToken", c, err)
	}
	if refresh == "" {
		return
	}
	if _, err := w.Refresh(t.Context(), refresh, issuer.Renewal{Client: w.client(c)}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("%s: Refresh = %v, want ErrInvalidToken", c, err)
	}
}

// listed fails the test unless the list of sessions shows the clients that are left.
func (w *world) listed(t *testing.T, e event) {
	t.Helper()
	var want, got []string
	for _, c := range all {
		if slices.Contains(e.ends, c) {
			continue
		}
		if slices.Contains(hosts, c) {
			want = append(want, c)
		} else {
			want = append(want, w.client(c))
		}
	}
	rows, _, err := w.Sessions(t.Context(), w.subject, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.ID != w.sid && e.name == "password changed" {
			continue // the session that it made
		}
		for _, g := range row.Grants {
			got = append(got, g.Client)
			if g.Family != "" || g.LastUsed.IsZero() || g.Granted.IsZero() {
				t.Errorf("listed: %+v", g)
			}
		}
		for _, h := range row.Hosts {
			got = append(got, h.Origin)
		}
		if row.Grant != "" || row.Further != nil {
			t.Errorf("the list shows %q and %v", row.Grant, row.Further)
		}
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("clients %q are listed, want %q", got, want)
	}
}

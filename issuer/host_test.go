package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

const appOrigin = "https://app.example.com"

// verifier is what one browser keeps to itself.
const verifier = "a secret of 43 characters, of one browser ok"

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// hosts has a client that lists as many origins as a client may.
func (b *bench) hosts(t *testing.T) *issuer.Issued {
	t.Helper()
	origins := []string{appOrigin}
	for n := range 31 {
		origins = append(origins, fmt.Sprintf("https://app%d.example.com", n))
	}
	b.client(t, "web", clients.Client{Origins: origins})
	web, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie})
	if err != nil {
		t.Fatal(err)
	}
	return web
}

func (b *bench) code(t *testing.T, web *issuer.Issued, origin string) issuer.Redemption {
	t.Helper()
	code, err := b.HandOver(t.Context(), web.Session, issuer.Handover{Client: "web", Origin: origin, Challenge: challenge(verifier)})
	if err != nil {
		t.Fatal(err)
	}
	return issuer.Redemption{Client: "web", Origin: origin, Code: code, Verifier: secret.New(verifier)}
}

func (b *bench) at(t *testing.T, web *issuer.Issued, origin string) *issuer.Issued {
	t.Helper()
	made, err := b.Redeem(t.Context(), b.code(t, web, origin))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// GW-23: a code is good once, for a minute, for its client, its origin and its browser.
func TestCode(t *testing.T) {
	b := newIssuer(t, memory.New())
	web := b.hosts(t)
	for name, verifier := range map[string]string{"another browser": "another", "no browser": "", "the challenge": challenge(verifier)} {
		good := b.code(t, web, appOrigin)
		bad := good
		bad.Verifier = secret.New(verifier)
		for _, r := range []issuer.Redemption{bad, good} { // the second time it is used up: it may be in a log
			if _, err := b.Redeem(t.Context(), r); !errors.Is(err, issuer.ErrCode) {
				t.Errorf("%s: %v, want ErrCode", name, err)
			}
		}
	}
	for name, change := range map[string]func(r *issuer.Redemption){
		"another origin":     func(r *issuer.Redemption) { r.Origin = "https://app0.example.com" },
		"another client":     func(r *issuer.Redemption) { r.Client = clients.Default },
		"another code":       func(r *issuer.Redemption) { r.Code = secret.New("x") },
		"no code":            func(r *issuer.Redemption) { r.Code = secret.String{} },
		"the session cookie": func(r *issuer.Redemption) { r.Code = web.Access },
	} {
		good := b.code(t, web, appOrigin)
		bad := good
		change(&bad)
		if _, err := b.Redeem(t.Context(), bad); !errors.Is(err, issuer.ErrCode) {
			t.Errorf("%s: %v, want ErrCode", name, err)
		}
		if _, err := b.Redeem(t.Context(), good); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	r := b.code(t, web, appOrigin)
	b.clock.add(time.Minute)
	if _, err := b.Redeem(t.Context(), r); !errors.Is(err, issuer.ErrCode) {
		t.Errorf("a minute later: %v, want ErrCode", err)
	}
}

// A code is made for the session's own client, and for an origin that it lists.
func TestNoCode(t *testing.T) {
	b := newIssuer(t, memory.New())
	web := b.hosts(t)
	app := b.at(t, web, appOrigin)
	host, err := b.Lookup(t.Context(), app.Access.Reveal())
	if err != nil || host.Origin != appOrigin || host.TokenID == "" {
		t.Fatalf("a host's copy: %+v, %v", host, err)
	}
	good := issuer.Handover{Client: "web", Origin: appOrigin, Challenge: challenge(verifier)}
	for name, c := range map[string]struct {
		of     *counterfoil.Session
		change func(h *issuer.Handover)
		want   error
	}{
		"origin that is not listed": {web.Session, func(h *issuer.Handover) { h.Origin = "https://evil.example.com" }, issuer.ErrNotOrigin},
		"origin and a path":         {web.Session, func(h *issuer.Handover) { h.Origin += "/" }, issuer.ErrNotOrigin},
		"no origin":                 {web.Session, func(h *issuer.Handover) { h.Origin = "" }, issuer.ErrNotOrigin},
		"another client":            {web.Session, func(h *issuer.Handover) { h.Client = clients.Default }, issuer.ErrBadRequest},
		"no challenge":              {web.Session, func(h *issuer.Handover) { h.Challenge = "" }, issuer.ErrBadRequest},
		"a host's copy":             {host, func(*issuer.Handover) {}, issuer.ErrBadRequest},
	} {
		h := good
		c.change(&h)
		if _, err := b.HandOver(t.Context(), c.of, h); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// TOK-21: what opens the account is the login's own cookie.
	for _, by := range []counterfoil.Transport{counterfoil.Cookie, counterfoil.Header} {
		if _, err := b.Account(t.Context(), app.Access.Reveal(), by); !errors.Is(err, counterfoil.ErrForbidden) {
			t.Errorf("Account by %v = %v, want ErrForbidden", by, err)
		}
		if _, err := b.Administration(t.Context(), app.Access.Reveal(), by); !errors.Is(err, counterfoil.ErrForbidden) {
			t.Errorf("Administration by %v = %v, want ErrForbidden", by, err)
		}
	}
	for tries := 0; ; tries++ {
		_, err := b.HandOver(t.Context(), web.Session, good)
		if _, throttled := errors.AsType[login.Throttled](err); throttled {
			break
		}
		if err != nil || tries > 100 {
			t.Fatalf("code %d: %v, want login.Throttled at last", tries, err)
		}
	}
}

// Of two that redeem one code at the same moment one at most is let in, and what was made with it ends.
func TestCodeTwiceAtOnce(t *testing.T) {
	b := newIssuer(t, memory.New())
	r := b.code(t, b.hosts(t), appOrigin)
	var wait sync.WaitGroup
	made := make([]*issuer.Issued, 8)
	for n := range made {
		wait.Go(func() { made[n], _ = b.Redeem(t.Context(), r) })
	}
	wait.Wait()
	in := 0
	for _, one := range made {
		if one == nil {
			continue
		}
		in++
		if _, err := b.Lookup(t.Context(), one.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("what a code made that was used again: %v, want ErrInvalidToken", err)
		}
	}
	if in != 1 {
		t.Errorf("%d were let in", in)
	}
	entries, _, err := b.Audit().List(t.Context(), audit.Query{Actions: []audit.Action{audit.ReuseCode}})
	if err != nil || len(entries) != 1 {
		t.Errorf("audit entries %v, %v", entries, err)
	}
}

// A session is used at 32 hosts, once at each: the oldest makes room. Those that end leave no record.
func TestAtMostSoManyHosts(t *testing.T) {
	b := newIssuer(t, memory.New())
	web := b.hosts(t)
	first := b.at(t, web, appOrigin)
	again := b.at(t, web, appOrigin)
	for n := range 31 {
		b.at(t, web, fmt.Sprintf("https://app%d.example.com", n))
	}
	alive := func(i *issuer.Issued) bool { _, err := b.Lookup(t.Context(), i.Access.Reveal()); return err == nil }
	if alive(first) || !alive(again) {
		t.Errorf("after a new sign-in: the old cookie is good: %v; the new one: %v", alive(first), alive(again))
	}
	if err := b.Clients().Set(t.Context(), rights.Owner(), "web", audit.Act{}, func(c *clients.Client) { c.Origins = []string{"https://new.example.com"} }); err != nil {
		t.Fatal(err)
	}
	if alive(again) {
		t.Error("the cookie of an origin that the client lists no longer is good")
	}
	b.at(t, web, "https://new.example.com")
	if n := b.records(t, "host"); n != 32 {
		t.Errorf("%d records of hosts, want 32", n)
	}
	if _, err := b.Revoke(t.Context(), source.ScopeSession, web.Session.ID, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if n := b.records(t, "host"); n != 0 {
		t.Errorf("%d records of hosts after the end of the session", n)
	}
}

func (b *bench) records(t *testing.T, kind store.Kind) (n int) {
	t.Helper()
	for _, err := range b.store.List(t.Context(), kind, "*", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// Use at a host is use of the session, and a host does not outlive it (SES-22).
func TestIdleAtHost(t *testing.T) {
	b := newIssuer(t, memory.New())
	web := b.hosts(t)
	app := b.at(t, web, appOrigin)
	for range 3 {
		b.clock.add(40 * time.Minute)
		if _, err := b.Lookup(t.Context(), app.Access.Reveal()); err != nil {
			t.Fatalf("used at a host: %v", err)
		}
	}
	if _, err := b.Lookup(t.Context(), web.Access.Reveal()); err != nil {
		t.Errorf("the login: %v", err)
	}
	b.clock.add(61 * time.Minute)
	for name, i := range map[string]*issuer.Issued{"host": app, "login": web} {
		if _, err := b.Lookup(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s after an idle hour: %v", name, err)
		}
	}
	b.clock.add(24 * time.Hour)
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if hosts, codes := b.records(t, "host"), b.records(t, "code"); hosts+codes != 0 {
		t.Errorf("swept, and %d hosts and %d codes are left", hosts, codes)
	}
}

// A browser app at a host has its cookie exchanged there, as long as the host holds it. What the
// exchange gives is no longer for that origin alone, and is its service's.
func TestExchangeAtHost(t *testing.T) {
	b := newIssuer(t, memory.New())
	web := b.hosts(t)
	b.client(t, "orders", clients.Client{Scopes: []string{"read"}, Audience: []string{"https://orders.test"}})
	app := b.at(t, web, appOrigin)
	exchange := func() (*issuer.Issued, error) {
		return b.Exchange(t.Context(), app.Access.Reveal(), issuer.Request{Client: "orders"})
	}
	got, err := exchange()
	if err != nil || got.Session.ID != web.Session.ID || got.Session.Client != "orders" || got.Session.Origin != "" {
		t.Fatalf("exchanged: %+v, %v", got, err)
	}
	if _, err := b.Revoke(t.Context(), source.ScopeToken, app.Session.TokenID, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := exchange(); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("after the host's end: %v, want ErrInvalidToken", err)
	}
}

// A person ends what one host holds, of an own session alone. The session, its other hosts and those of
// others go on.
func TestEndOwnHost(t *testing.T) {
	b := newIssuer(t, memory.New())
	web := b.hosts(t)
	app, other := b.at(t, web, appOrigin), b.at(t, web, "https://app0.example.com")
	beside := b.at(t, b.hosts(t), appOrigin) // of another session of alice
	in := b.login(t, "mallory", counterfoil.CarrierCookie)
	for name, c := range map[string]struct{ subject, sid, host string }{
		"by somebody else":         {"mallory", web.Session.ID, app.Session.TokenID},
		"beside one's own session": {"mallory", in.Session.ID, app.Session.TokenID},
		"of another session":       {"alice", web.Session.ID, beside.Session.TokenID},
		"that is no host":          {"alice", web.Session.ID, "tok_x"},
		"without an id":            {"alice", web.Session.ID, ""},
		"of no session":            {"alice", "ses_none", app.Session.TokenID},
	} {
		if err := b.EndOwnHost(t.Context(), c.subject, c.sid, c.host, audit.Act{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a host %s: %v, want ErrNotFound", name, err)
		}
	}
	live := func(i *issuer.Issued) bool { _, err := b.Lookup(t.Context(), i.Access.Reveal()); return err == nil }
	if !live(app) || !live(other) || !live(beside) {
		t.Fatal("something has ended that should not")
	}
	if err := b.EndOwnHost(t.Context(), "alice", web.Session.ID, app.Session.TokenID, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if live(app) || !live(other) || !live(beside) || !live(web) {
		t.Errorf("after its end the host lives: %v, another: %v, one of another session: %v, the session: %v", live(app), live(other), live(beside), live(web))
	}
	if row, err := b.Session(t.Context(), web.Session.ID); err != nil || len(row.Hosts) != 1 || row.Hosts[0].Origin != "https://app0.example.com" {
		t.Errorf("the session has %+v, %v", row, err)
	}
	if err := b.EndOwnHost(t.Context(), "alice", web.Session.ID, app.Session.TokenID, audit.Act{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a second time: %v, want ErrNotFound", err)
	}
	b.damage(t, web.Session.ID)
	if err := b.EndOwnHost(t.Context(), "alice", web.Session.ID, other.Session.TokenID, audit.Act{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a damaged session: %v, want ErrNotFound", err)
	}
}

// SES-22: lists say to the minute when each host was used, whatever the carrier of the login, and use is
// written at most once a minute for each.
func TestUseOfAHost(t *testing.T) {
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierJWTCookie} {
		b := newIssuer(t, memory.New())
		b.clock.now = time.Now().Truncate(time.Minute)
		b.hosts(t) // the client
		web, err := b.Login(t.Context(), b.proof(t, "alice"), issuer.Request{Client: "web", Carrier: carrier})
		if err != nil {
			t.Fatal(err)
		}
		app := b.at(t, web, appOrigin)
		b.at(t, web, "https://app0.example.com")
		made := b.clock.Now()
		used := func() (hosts [2]time.Duration) {
			t.Helper()
			row, err := b.Session(t.Context(), web.Session.ID)
			if err != nil || len(row.Hosts) != 2 {
				t.Fatalf("%+v, %v", row, err)
			}
			for n, h := range row.Hosts {
				hosts[n] = h.LastUsed.Sub(made)
			}
			return hosts
		}
		if got := used(); got != [2]time.Duration{} {
			t.Errorf("%v: new hosts were used after %v", carrier, got)
		}
		for _, c := range []struct{ after, want time.Duration }{
			{30 * time.Second, 0}, {40 * time.Second, time.Minute}, {time.Minute - time.Second, time.Minute}, {5 * time.Minute, 7 * time.Minute},
		} {
			b.clock.add(c.after)
			if _, err := b.Lookup(t.Context(), app.Access.Reveal()); err != nil {
				t.Fatal(err)
			}
			if got := used(); got != [2]time.Duration{c.want, 0} {
				t.Errorf("%v: %v later the hosts were used after %v, want %v and never", carrier, c.after, got, c.want)
			}
		}
	}
}

// SES-04: a new cookie at a host ends what the host holds by the cookie that it overwrites, of whatever session of
// the client that is, and nothing else. That session goes on.
func TestACookieOfAHostIsReplaced(t *testing.T) {
	b := newIssuer(t, memory.New())
	mine := b.hosts(t)
	theirs, err := b.Login(t.Context(), b.proof(t, "bob"), issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := b.at(t, theirs, "https://app0.example.com")
	for name, c := range map[string]struct {
		cookie func(here *issuer.Issued) secret.String
		ends   bool
	}{
		"the host's":        {func(here *issuer.Issued) secret.String { return here.Access }, true},
		"another host's":    {func(*issuer.Issued) secret.String { return elsewhere.Access }, false},
		"the session's own": {func(*issuer.Issued) secret.String { return theirs.Access }, false},
		"none":              {func(*issuer.Issued) secret.String { return secret.String{} }, false},
		"one that is forged": {func(here *issuer.Issued) secret.String {
			id := here.Access.Reveal()
			return secret.New(id[21:42] + id[:21] + id[42:])
		}, false},
	} {
		here := b.at(t, theirs, appOrigin)
		r := b.code(t, mine, appOrigin)
		r.Replaces = c.cookie(here)
		made, err := b.Redeem(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := b.Lookup(t.Context(), here.Access.Reveal()); errors.Is(err, counterfoil.ErrRevoked) != c.ends {
			t.Errorf("%s: what it overwrites: %v, want that it has ended: %t", name, err, c.ends)
		}
		for what, alive := range map[string]*issuer.Issued{"the new one": made, "the session": theirs, "another host": elsewhere} {
			if _, err := b.Lookup(t.Context(), alive.Access.Reveal()); err != nil {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
	told, _, err := b.Audit().List(t.Context(), audit.Query{Subject: "alice", Actions: []audit.Action{audit.AddHost}})
	if err != nil || !slices.ContainsFunc(told, func(e audit.Entry) bool { return strings.HasPrefix(e.Detail, "replaces=hst_") }) {
		t.Errorf("the trail has %+v, %v", told, err)
	}

	// Of the same session it is as before: one cookie at each host.
	first := b.at(t, mine, appOrigin)
	r := b.code(t, mine, appOrigin)
	r.Replaces = first.Access
	second, err := b.Redeem(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lookup(t.Context(), first.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the first: %v", err)
	}
	if _, err := b.Lookup(t.Context(), second.Access.Reveal()); err != nil {
		t.Errorf("the second: %v", err)
	}
}

// A service that sees the cookie of an impersonation at its host ends the impersonation with it, and does not
// sign the administrator out.
func TestAHostDoesNotEndWhoImpersonates(t *testing.T) {
	b := newIssuer(t, memory.New())
	b.client(t, "web", clients.Client{Origins: []string{appOrigin}})
	p := b.proof(t, "boss")
	p.Roles = []string{"admin"}
	own, err := b.Login(t.Context(), p, issuer.Request{Carrier: counterfoil.CarrierCookie})
	if err != nil {
		t.Fatal(err)
	}
	rev, err := b.SubjectRev(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	by := issuer.Impersonator{Subject: "boss", Session: own.Session.ID, Role: "admin"}
	acting, err := b.Impersonate(t.Context(), "alice", nil, rev, by, issuer.Request{Client: "web", Carrier: counterfoil.CarrierCookie, Act: audit.Act{Reason: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	here := b.at(t, acting, appOrigin)
	if err := b.GiveUp(t.Context(), here.Access.Reveal(), "", audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lookup(t.Context(), acting.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the impersonation: %v", err)
	}
	if _, err := b.Lookup(t.Context(), own.Access.Reveal()); err != nil {
		t.Errorf("the administrator's own session: %v", err)
	}
}

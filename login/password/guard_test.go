package password_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// guarded is a method over a store that counts and fails, with a clock to turn.
type guarded struct {
	prover
	users *directory.Directory
	store *storetest.FaultyStore
	now   atomic.Int64
}

func newGuarded(t testing.TB) *guarded {
	t.Helper()
	g := &guarded{store: storetest.Faulty(memory.New())}
	g.now.Store(time.Now().UnixNano())
	trail, err := audit.New(audit.Options{Store: g.store, Hook: func(audit.Entry) {}})
	if err != nil {
		t.Fatal(err)
	}
	if g.users, err = directory.New(directory.Options{Store: g.store, Audit: trail}); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Unix(0, g.now.Load()) }
	g.prover = newProver(t, g.store, g.users, newThrottle(t, g.store, now), password.Options{Now: now})
	if _, err := g.register(t.Context(), "carol", good); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *guarded) register(ctx context.Context, identifier, pass string) (directory.User, error) {
	return register(ctx, g.prover, g.users, nowhere, identifier, "", pass)
}

func (g *guarded) later(d time.Duration) { g.now.Add(int64(d)) }

// try proves with a password, showing a device.
func (g *guarded) try(t *testing.T, pass string, device secret.String) error {
	t.Helper()
	a := attempt("carol", pass)
	a.Device = device
	_, err := g.Prove(t.Context(), a)
	return err
}

func isThrottled(err error) bool {
	var throttled login.Throttled
	return errors.As(err, &throttled)
}

var noDevice secret.String

// LOGIN-09: strangers slow each other down, never a device that signed in before.
// That device has a row of its own, and a stolen one ends.
func TestKnownDevice(t *testing.T) {
	g := newGuarded(t)
	device, other := g.Device("Carol", noDevice), g.Device("carol", noDevice)
	if again := g.Device("ｃarol", device); !again.Equal(device) {
		t.Error("a device that is known got another credential")
	}
	for range 5 {
		if err := g.try(t, "a wrong password", noDevice); !errors.Is(err, login.ErrRefused) {
			t.Fatalf("stranger = %v", err)
		}
	}
	text := device.Reveal()
	for name, bad := range map[string]secret.String{
		"no device": noDevice, "another account's": g.Device("dave", noDevice), "cut": secret.New(text[:len(text)-1]),
		"changed": secret.New(text[:10] + string(rune(text[10]^1)) + text[11:]), "of another key": newGuarded(t).Device("carol", noDevice),
	} {
		if err := g.try(t, good, bad); !isThrottled(err) {
			t.Errorf("%s after five failures = %v, want Throttled", name, err)
		}
	}
	for range 2 {
		if err := g.try(t, good, device); err != nil {
			t.Errorf("known device = %v", err)
		}
	}
	if err := g.try(t, good, noDevice); !isThrottled(err) {
		t.Errorf("stranger after the owner's login = %v: it ended the strangers' row", err)
	}
	for range 5 {
		if err := g.try(t, "a wrong password", device); !errors.Is(err, login.ErrRefused) {
			t.Fatalf("known device = %v", err)
		}
	}
	if err := g.try(t, good, device); !isThrottled(err) {
		t.Errorf("known device after five failures = %v, want Throttled", err)
	}
	if err := g.try(t, good, other); err != nil {
		t.Errorf("another device = %v", err)
	}
}

// LOGIN-09: a stolen device credential is good for twenty guesses in a row.
func TestDeviceWearsOut(t *testing.T) {
	g := newGuarded(t)
	device := g.Device("carol", noDevice)
	for n := range 20 {
		g.later(15 * time.Minute)
		if err := g.try(t, "a wrong password", device); !errors.Is(err, login.ErrRefused) {
			t.Fatalf("guess %d = %v", n, err)
		}
	}
	g.later(15 * time.Minute)
	for range 5 { // strangers
		if err := g.try(t, "a wrong password", noDevice); !errors.Is(err, login.ErrRefused) {
			t.Fatal(err)
		}
	}
	if err := g.try(t, good, device); !isThrottled(err) {
		t.Errorf("a device with twenty failures = %v, want to wait as strangers do", err)
	}
}

// LOGIN-09: many guesses at once get no further than one after another.
func TestGuessesAtOnce(t *testing.T) {
	g := newGuarded(t)
	before := g.Hashed()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() { _, _ = g.Prove(context.Background(), attempt("carol", "a wrong password")) })
	}
	wg.Wait()
	if n := g.Hashed() - before; n > 5 {
		t.Errorf("%d of 200 guesses were checked, want at most 5", n)
	}
}

// LOGIN-04: beyond slots and queue the answer is ErrBusy, before a user is read,
// and it costs the account nothing.
func TestBounded(t *testing.T) {
	g := newGuarded(t)
	release := g.Fill()
	reads := 0
	for _, kind := range []store.Kind{"identifier", "user", "import"} {
		g.store.Inject(storetest.Fault{Op: storetest.OpGet, Kind: kind, Slow: true, Before: func() { reads++ }})
	}
	for range 10 {
		if err := g.try(t, good, noDevice); !errors.Is(err, login.ErrBusy) {
			t.Errorf("Prove = %v, want ErrBusy", err)
		}
	}
	from := netip.MustParseAddr("192.0.2.1")
	if _, err := g.Choose(t.Context(), from, "dave", "", secret.New(good)); !errors.Is(err, login.ErrBusy) {
		t.Errorf("Choose = %v, want ErrBusy", err)
	}
	if _, err := g.Replace(t.Context(), from, directory.User{ID: "usr_dave"}, secret.New(good), secret.New(good)); !errors.Is(err, login.ErrBusy) {
		t.Errorf("Replace = %v, want ErrBusy", err)
	}
	if reads != 0 {
		t.Errorf("%d reads of users for attempts that were turned away", reads)
	}
	release()
	if err := g.try(t, good, noDevice); err != nil {
		t.Errorf("Prove afterwards = %v", err)
	}
}

// LOGIN-04, LOGIN-09: strangers who fill the queue do not keep out a device that signed in
// before: it waits for a slot.
func TestKnownDeviceHasAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t)
		device := g.Device("carol", noDevice)
		release := g.Fill()
		done := make(chan error)
		go func() { done <- g.try(t, good, device) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the known device = %v, want to wait for a slot", err)
		default:
		}
		if err := g.try(t, good, noDevice); !errors.Is(err, login.ErrBusy) {
			t.Errorf("a stranger = %v, want ErrBusy", err)
		}
		release()
		if err := <-done; err != nil {
			t.Errorf("the known device = %v", err)
		}
	})
}

// LOGIN-04: an administrator, who comes by no network, waits for a turn where a stranger is
// turned away. The wait ends with the call's context, and not every number of calls may wait.
func TestAdministrationWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t)
		carol, err := g.users.ByIdentifier(t.Context(), "carol")
		if err != nil {
			t.Fatal(err)
		}
		release := g.Fill()
		done := make(chan error, password.MaxLocal)
		choose := func(ctx context.Context) error {
			_, err := g.Choose(ctx, nowhere, "dave", "", secret.New(good))
			return err
		}
		for range password.MaxLocal - 2 {
			go func() { done <- choose(t.Context()) }()
		}
		go func() {
			_, err := g.Replace(t.Context(), nowhere, carol, secret.New(good), secret.New("another four words"))
			done <- err
		}()
		ctx, cancel := context.WithCancel(t.Context())
		interrupted := make(chan error)
		go func() { interrupted <- choose(ctx) }()
		synctest.Wait()
		if n := len(done); n > 0 {
			t.Fatalf("%d calls did not wait, the first is %v", n, <-done)
		}
		if err := choose(t.Context()); !errors.Is(err, login.ErrBusy) {
			t.Errorf("beyond %d calls = %v, want ErrBusy", password.MaxLocal, err)
		}
		if err := g.try(t, good, noDevice); !errors.Is(err, login.ErrBusy) {
			t.Errorf("a stranger = %v, want ErrBusy", err)
		}
		cancel()
		if err := <-interrupted; !errors.Is(err, context.Canceled) {
			t.Errorf("a call that was interrupted = %v", err)
		}
		release()
		for range password.MaxLocal - 1 {
			if err := <-done; err != nil {
				t.Errorf("after its turn came a call = %v", err)
			}
		}
		if load := g.Load(); load.Waiting != 0 || load.Running != 0 {
			t.Errorf("at the end the load is %+v", load)
		}
	})
}

// LOGIN-04: administrators who hash without end leave logins most of the queue, and at least
// half of the slots.
func TestAdministrationStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, slots := range []int{1, 2, 4} {
			db := memory.New()
			users, err := directory.New(directory.Options{Store: db})
			if err != nil {
				t.Fatal(err)
			}
			p := newProver(t, db, users, newThrottle(t, db, nil), password.Options{Slots: slots})
			release := p.Hold()
			done := make(chan error)
			for range password.MaxLocal {
				go func() {
					_, err := p.Choose(t.Context(), nowhere, "dave", "", secret.New(good))
					done <- err
				}()
			}
			synctest.Wait()
			strangers := 5*slots - max(slots/2, 1)
			for n := range strangers {
				go func() {
					_, err := p.Prove(t.Context(), attempt(fmt.Sprint("nobody", n), good))
					if !errors.Is(err, login.ErrRefused) {
						t.Errorf("%d slots: a login beside administrators = %v, want it to be checked", slots, err)
					}
					done <- nil
				}()
			}
			synctest.Wait()
			release()
			for range password.MaxLocal + strangers {
				if err := <-done; err != nil {
					t.Errorf("%d slots: %v", slots, err)
				}
			}
		}
	})
}

// An outage is not a failure of the account.
func TestOutageIsNoFailure(t *testing.T) {
	g := newGuarded(t)
	g.store.Inject(storetest.Fault{Op: storetest.OpGet})
	for range 10 {
		if err := g.try(t, good, noDevice); !errors.Is(err, storetest.ErrInjected) {
			t.Errorf("Prove = %v, want the outage", err)
		}
	}
	g.store.Heal()
	if err := g.try(t, good, noDevice); err != nil {
		t.Errorf("Prove afterwards = %v", err)
	}
}

// paths are the ways to be refused that nobody may tell apart.
func (g *guarded) paths(t testing.TB) map[string]flow.Request {
	t.Helper()
	ctx := context.Background()
	if _, err := g.users.Create(ctx, audit.Act{}, directory.User{Identifier: "nopassword"}); err != nil {
		t.Fatal(err)
	}
	disabled := directory.User{Identifier: "gone", Status: directory.Disabled, Password: password.Hash(good, 64, 1)}
	if _, err := g.users.Import(ctx, audit.Act{}, disabled, nil); err != nil {
		t.Fatal(err)
	}
	return map[string]flow.Request{
		"wrong": attempt("carol", "a wrong password"), "unknown": attempt("nobody", good),
		"disabled": attempt("gone", good), "passwordless": attempt("nopassword", good),
	}
}

// LOGIN-06: each way to be refused costs one hash and the same reads. (What the clock
// says of it: go test -run - -bench LoginTiming.)
func TestRefusalsCostTheSame(t *testing.T) {
	g := newGuarded(t)
	wantReads := 0
	for name, a := range g.paths(t) {
		hashes, reads := g.Hashed(), g.store.Calls(storetest.OpGet)
		if _, err := g.Prove(t.Context(), a); !errors.Is(err, login.ErrRefused) {
			t.Errorf("%s = %v, want ErrRefused", name, err)
		}
		hashes, reads = g.Hashed()-hashes, g.store.Calls(storetest.OpGet)-reads
		if wantReads == 0 {
			wantReads = reads
		}
		if hashes != 1 || reads != wantReads {
			t.Errorf("%s costs %d hashes and %d reads, others 1 and %d", name, hashes, reads, wantReads)
		}
	}
}

// LOGIN-01: every character counts, up to the limit, as it was typed.
func TestEveryCharacterCounts(t *testing.T) {
	long := "it begins like this and goes on " + strings.Repeat("zażółć gęślą jaźń ", 40)
	for name, c := range map[string]struct {
		pass string
		ok   bool
	}{
		"14": {"a1 b2 c3 d4 e5", false}, "15": {"a1 b2 c3 d4 e5x", true}, "14 in 28 bytes": {"zażółćgęśląjaź", false},
		"64 of Unicode": {string([]rune(long)[:64]), true}, "73 bytes": {long[:73], true},
		"256": {string([]rune(long)[:256]), true}, "257": {string([]rune(long)[:257]), false},
		"256 of four bytes": {"sixteen and more" + strings.Repeat("😀🎈🎉🌍🚀🍕🐙🌈🎲🔑", 24), true},
		"1024 bytes":        {strings.Repeat("😀🎈🎉🌍🚀🍕🐙🌈", 32), false}, // repeats itself
		"with NUL":          {"before \x00 and after it", true}, "spaces around": {" fifteen of them ", true},
	} {
		g := newGuarded(t)
		_, err := g.register(t.Context(), "user", c.pass)
		if (err == nil) != c.ok {
			t.Errorf("%s: Choose = %v, want accepted: %v", name, err, c.ok)
		}
		if err != nil {
			continue
		}
		runes := []rune(c.pass)
		last := string(runes[:len(runes)-1]) + "!"
		for _, near := range []string{last, c.pass + " ", strings.ToUpper(c.pass), strings.TrimSpace(c.pass), c.pass[:min(72, len(c.pass))]} {
			if near == c.pass {
				continue
			}
			if _, err := g.Prove(t.Context(), attempt("user", near)); !errors.Is(err, login.ErrRefused) {
				t.Errorf("%s: Prove with %q = %v, want ErrRefused", name, near, err)
			}
			g.later(time.Hour)
		}
		if _, err := g.Prove(t.Context(), attempt("user", c.pass)); err != nil {
			t.Errorf("%s: Prove = %v", name, err)
		}
	}
}

// LOGIN-03, LOGIN-05: a stored hash below policy is made anew at the next login, and
// one that asks for too much is refused before it is computed.
func TestStoredHashes(t *testing.T) {
	g := newGuarded(t)
	u, err := g.users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "old", Password: password.Hash(good, 32, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := g.Prove(t.Context(), attempt("old", good)); err != nil {
			t.Fatal(err)
		}
		if u, err = g.users.ByID(t.Context(), u.ID); err != nil || !strings.HasPrefix(u.Password, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("stored after a login: %s, %v", u.Password, err)
		}
	}
	hostile := strings.Replace(password.Hash(good, 64, 1), "m=64", "m=4194304", 1)
	if _, err := g.users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "hostile", Password: hostile}); err != nil {
		return // refused at import: as well
	}
	if _, err := g.Prove(t.Context(), attempt("hostile", good)); err == nil {
		t.Error("a hash of 4 GiB was computed")
	}
}

// LOGIN-04, LOGIN-09: every door to a hash is the same for one address: who has used up
// its attempts to sign in can neither choose nor replace a password, and the other way.
// A caller that comes by no network is not held up.
func TestOneThrottleForEveryHash(t *testing.T) {
	ctx := context.Background()
	from := netip.MustParseAddr("2001:db8::1")
	carol := func(g *guarded) directory.User {
		user, err := g.users.ByIdentifier(ctx, "carol")
		if err != nil {
			t.Fatal(err)
		}
		return user
	}
	doors := map[string]func(g *guarded, from netip.Addr, n int) error{
		"Prove": func(g *guarded, from netip.Addr, n int) error {
			_, err := g.Prove(ctx, flow.Request{Identifier: fmt.Sprint("nobody", n), Input: input(good), Address: from})
			return err
		},
		"Choose": func(g *guarded, from netip.Addr, n int) error {
			_, err := g.Choose(ctx, from, fmt.Sprint("dave", n), "", secret.New(good))
			return err
		},
		"Replace": func(g *guarded, from netip.Addr, n int) error {
			_, err := g.Replace(ctx, from, carol(g), secret.New(good), secret.New(good))
			return err
		},
	}
	for name, door := range doors {
		g := newGuarded(t)
		n := 0
		for ; n < 100 && !isThrottled(door(g, from, n)); n++ {
		}
		if n != 20 {
			t.Errorf("%s: %d of 100 from one address were let through, want 20", name, n)
		}
		hashed := g.Hashed()
		neighbour := netip.MustParseAddr("2001:db8::2") // of the same /64
		for other, door := range doors {
			if err := door(g, neighbour, 200); !isThrottled(err) {
				t.Errorf("%s after %s: %v, want a throttle", other, name, err)
			}
		}
		if done := g.Hashed() - hashed; done != 0 {
			t.Errorf("%s: %d hashes for attempts that were throttled", name, done)
		}
		if err := door(g, netip.MustParseAddr("192.0.2.1"), 300); isThrottled(err) {
			t.Errorf("%s from elsewhere: %v", name, err)
		}
		for n := range 30 {
			if err := door(g, nowhere, 400+n); name != "Prove" && err != nil {
				t.Fatalf("%s without an address, %d: %v", name, n, err)
			}
		}
	}
}

package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newRing(t *testing.T, s store.Store, c *clock, seal byte) (*keyring.Keyring, error) {
	t.Helper()
	return keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{seal}, Now: c.Now})
}

func mustRing(t *testing.T, s store.Store, c *clock) *keyring.Keyring {
	t.Helper()
	k, err := newRing(t, s, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func status(k *keyring.Keyring) string {
	var out []string
	for _, d := range k.Keys() {
		out = append(out, string(d.Status))
	}
	return strings.Join(out, " ")
}

// KEY-03: made at first run, the same after a restart, another one elsewhere.
func TestFirstRun(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	a, b := mustRing(t, s, c), mustRing(t, s, c)
	if a.Signer().Key().ID != b.Signer().Key().ID {
		t.Error("reopening made another key")
	}
	if other := mustRing(t, memory.New(), c); other.Signer().Key().ID == a.Signer().Key().ID {
		t.Error("two installations share a key")
	}
	if !bytes.Equal(a.Derive("x"), b.Derive("x")) || bytes.Equal(a.Derive("x"), a.Derive("y")) {
		t.Error("Derive is not a function of its label")
	}
}

func TestSealedAtRest(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	mustRing(t, s, c)
	rec, err := store.One(context.Background(), s, store.Key{Kind: "keyring", ID: "keyring"})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(rec.Value, []byte("private")) {
		t.Error("the record is readable")
	}
	if _, err := newRing(t, s, c, 2); err == nil || !strings.Contains(err.Error(), "seal key") {
		t.Errorf("Open with another seal key = %v, want an error that says so", err)
	}
}

// KEY-04: published before use, kept until what it signed is dead.
func TestRotation(t *testing.T) {
	c := &clock{time.Now()}
	k := mustRing(t, memory.New(), c)
	first := k.Signer().Key().ID
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{28 * 24 * time.Hour, "active"},
		{25 * time.Hour, "active next"},
		{25 * time.Hour, "retiring active"},
		{time.Hour, "retiring active"},
		{2 * time.Hour, "active"},
	} {
		c.now = c.now.Add(step.after)
		if err := k.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := status(k); got != step.want {
			t.Fatalf("after %v: keys are %q, want %q", step.after, got, step.want)
		}
	}
	if k.Signer().Key().ID == first {
		t.Error("the first key still signs")
	}
}

// KEY-04: a key that somebody asks for signs when it has been published for a while, and
// asking again changes nothing.
func TestRotate(t *testing.T) {
	c := &clock{time.Now()}
	k := mustRing(t, memory.New(), c)
	var asked string
	for n, step := range []struct {
		after  time.Duration
		rotate bool
		want   string
	}{
		{0, true, "active next"},
		{14 * time.Minute, true, "active next"},
		{time.Minute, false, "retiring active"},
		{29 * 24 * time.Hour, false, "active next"}, // published by itself, for a day
		{15 * time.Minute, true, "retiring active"},
	} {
		c.now = c.now.Add(step.after)
		if err := k.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if step.rotate {
			kid, err := k.Rotate(t.Context())
			if _, published := k.Find(kid); err != nil || !published || n == 1 && kid != asked {
				t.Errorf("step %d: Rotate = %s, %v, published: %v; before it was %s", n, kid, err, published, asked)
			}
			asked = kid
		}
		if got := status(k); got != step.want {
			t.Fatalf("step %d: keys are %q, want %q", n, got, step.want)
		}
	}
	if signs := k.Signer().Key().ID; signs != asked {
		t.Errorf("%s signs, want %s", signs, asked)
	}
}

// KEY-05, KEY-06: a revoked key neither verifies nor is published; no older key
// signs again.
func TestRevoke(t *testing.T) {
	c := &clock{time.Now()}
	k := mustRing(t, memory.New(), c)
	old := k.Signer().Key().ID
	bad, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(15 * time.Minute)
	if now := k.Signer().Key().ID; now != bad {
		t.Fatalf("key %s signs, want %s", now, bad)
	}
	sealer := sealerID(t, k)
	if _, ok := k.Opener(sealer); !ok {
		t.Fatal("the JWE key in use does not open")
	}
	if err := k.Revoke(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	if now := k.Signer().Key().ID; now == bad || now == old {
		t.Errorf("key %s signs after the revocation, want a new one", now)
	}
	if _, ok := k.Find(bad); ok {
		t.Error("the revoked key verifies")
	}
	if _, ok := k.Opener(sealer); ok {
		t.Error("the revoked key's JWE key opens")
	}
	jwks, err := k.JWKS()
	if err != nil || bytes.Contains(jwks, []byte(bad)) || bytes.Contains(jwks, []byte(`"d"`)) {
		t.Errorf("JWKS = %s, %v", jwks, err)
	}
	if err := k.Revoke(t.Context(), "nosuch"); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("Revoke(nosuch) = %v, want ErrUnknownKey", err)
	}
}

// However often keys are revoked, a ring holds at most MaxKeys, and no key that is good gives way.
func TestRingIsBounded(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	k := mustRing(t, s, c)
	old := k.Signer().Key().ID
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(15 * time.Minute)
	last := ""
	for range keyring.MaxKeys + 20 {
		last = k.Signer().Key().ID
		if err := k.Revoke(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
	next, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := k.Keys()
	if len(all) != keyring.MaxKeys {
		t.Errorf("the ring holds %d keys, want %d", len(all), keyring.MaxKeys)
	}
	for _, kid := range []string{old, next, k.Signer().Key().ID} {
		if _, is := k.Find(kid); !is {
			t.Errorf("key %s is gone", kid)
		}
	}
	if !slices.ContainsFunc(all, func(d keyring.Description) bool { return d.ID == last && d.Status == keyring.Revoked }) {
		t.Error("the last key that was revoked is not shown as such")
	}
	if again := mustRing(t, s, c).Signer().Key().ID; again != k.Signer().Key().ID || again == last {
		t.Errorf("opened again, the ring signs with %s", again)
	}
	if _, err := keyring.Open(t.Context(), keyring.Options{Store: memory.New(), SealKey: [32]byte{1}, KeepAfter: 13 * time.Hour}); err == nil || !strings.Contains(err.Error(), "KeepAfter") {
		t.Errorf("Open with a KeepAfter of 13 h = %v", err)
	}
}

// TOK-03: symmetric and asymmetric keys cannot be mixed.
func TestNoMixedAlgorithms(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	mustRing(t, s, c)
	_, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Alg: token.HS256, Now: c.Now})
	if err == nil || !strings.Contains(err.Error(), "cannot be mixed") {
		t.Errorf("Open with HS256 on an ES256 ring = %v, want a refusal", err)
	}
	if r, err := store.One(t.Context(), s, store.Key{Kind: "keyring", ID: "keyring"}); err != nil || r.Rev != 1 {
		t.Errorf("the refusal left revision %d of the ring, %v, want 1: it changed nothing", r.Rev, err)
	}
}

// sealerID is the id that a token made now names.
func sealerID(t *testing.T, k *keyring.Keyring) string {
	t.Helper()
	o, err := k.Sealer()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(o.String(), "token.Opener("), ")")
}

// JWE-11: another key before the IVs of one may repeat; the old one still opens,
// here and in every other process.
func TestSealerWearsOut(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	k, other := mustRing(t, s, c), mustRing(t, s, c)
	first := sealerID(t, k)
	if again := sealerID(t, k); again != first {
		t.Errorf("Sealer = %s, then %s", first, again)
	}
	if sealerID(t, other) == first {
		t.Error("two processes encrypt with one key")
	}
	k.WearOut()
	if next := sealerID(t, k); next == first {
		t.Error("a key that is worn out is still in use")
	}
	if _, ok := other.Opener(first); !ok {
		t.Error("another process cannot open what this one sealed")
	}
	for _, id := range []string{"", "-", strings.ToUpper(first), first + "0", strings.Split(first, "-")[0]} {
		if _, ok := k.Opener(id); ok {
			t.Errorf("Opener(%q) opens", id)
		}
	}
}

// Another algorithm is published, then signs; what the old one signed stays good
// until it is dead.
func TestAnotherAlgorithm(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	old := mustRing(t, s, c).Signer().Key().ID
	ring := func(alg token.Alg) *keyring.Keyring {
		k, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Alg: alg, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if k := ring(token.Ed25519); status(k) != "active next" || k.Signer().Key().ID != old {
		t.Fatalf("keys are %q and %s signs, want the old one active and a new one next", status(k), k.Signer().Key().ID)
	}
	k := ring(token.ES384) // thought again before it signed
	if status(k) != "active next" {
		t.Fatalf("keys are %q", status(k))
	}
	c.now = c.now.Add(25 * time.Hour)
	if err := k.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status(k) != "retiring active" || k.Signer().Key().Alg != token.ES384 {
		t.Errorf("keys are %q, signing by %s, want ES384", status(k), k.Signer().Key().Alg)
	}
	if _, ok := k.Find(old); !ok {
		t.Error("what the old key signed is refused at once")
	}
}

// OPS-15: a clock that is behind that of the process which made the key, or is set
// back, still finds a key to sign with.
func TestClockBehindTheKey(t *testing.T) {
	s, now := memory.New(), time.Now()
	open := func(now func() time.Time) *keyring.Keyring {
		k, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	var back time.Duration
	a := open(func() time.Time { return now.Add(-back) })
	first := a.Signer().Key().ID
	back = time.Second
	if got := a.Signer().Key().ID; got != first {
		t.Errorf("a second before its key was made the ring signs with %s, want %s", got, first)
	}
	back = 0
	b := open(func() time.Time { return now.Add(-time.Minute) })
	if err := a.Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := b.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Signer().Key().ID; got == first {
		t.Error("a process whose clock is behind signs with a revoked key")
	}
	if _, err := b.Sealer(); err != nil {
		t.Error(err)
	}
}

// OPS-15: a clock that may be wrong makes and drops no key. A key that is revoked is replaced.
func TestClockInDoubt(t *testing.T) {
	c, doubt := &clock{time.Now()}, false
	s := memory.New()
	k, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Now: c.Now, Doubt: func() bool { return doubt }})
	if err != nil {
		t.Fatal(err)
	}
	first := k.Signer().Key().ID
	doubt = true
	c.now = c.now.Add(90 * 24 * time.Hour)
	for range 3 {
		if err := k.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if keys := k.Keys(); len(keys) != 1 || keys[0].ID != first {
		t.Errorf("the keys are %+v, want the one that was there", keys)
	}
	if err := k.Revoke(t.Context(), first); err != nil || k.Signer().Key().ID == first {
		t.Errorf("Revoke = %v, and %s signs", err, k.Signer().Key().ID)
	}
	doubt = false
	if err := k.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// KEY-05: a key that is revoked before it signs has no turn: the key before it signs on, and
// the one that takes its place is published as long as any other.
func TestRevokeBeforeItSigns(t *testing.T) {
	c := &clock{time.Now()}
	k := mustRing(t, memory.New(), c)
	first := k.Signer().Key().ID
	next, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is safe
		if err := k.Revoke(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	c.now = c.now.Add(16 * time.Minute) // nobody has called Tick
	if signs := k.Signer().Key().ID; signs != first {
		t.Errorf("%s signs, want %s", signs, first)
	}
	if err := k.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(k); got != "revoked active" {
		t.Errorf("keys are %q, want %q", got, "revoked active")
	}
}

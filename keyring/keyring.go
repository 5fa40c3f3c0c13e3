// Package keyring keeps the keys that an issuer signs with, and the secrets that it
// derives from one root. The ring makes its keys at the first run, seals them at rest,
// rotates them by itself, and revokes one at once.
//
// Begin with [Open]; call [Keyring.Tick] every minute; sign with [Keyring.Signer].
// Everything is one sealed record that changes by compare-and-swap, so that several
// processes on one store agree. The keyring does not tell verifiers that a key was
// revoked: the issuer does, through the revocation log.
package keyring

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/store"
)

// What callers branch on.
var (
	ErrUnknownKey = errors.New("unknown key id") // the ring holds no such key
	// ErrSealed: the ring in the store was sealed with another key.
	ErrSealed = errors.New("keyring: record does not open with this seal key: is it the key file that belongs to this database?")
	ErrMixed  = errors.New("symmetric and asymmetric keys cannot be mixed") // TOK-03
)

// MaxKeys is how many keys a ring holds at most. So the key set and the list of keys, which are answered whole,
// stay small, however often keys are revoked.
const MaxKeys = 100

// DefaultAlg is the Options.Alg that zero is.
const DefaultAlg = token.ES256

// Options of Open.
type Options struct {
	Store store.Store
	Alg   token.Alg // of new keys; zero: DefaultAlg. When it changes, a key of the new alg is published, and signs after PublishBefore

	// Secret is the key of an HMAC alg when other programs must know it too. The ring
	// signs with it until another is configured, which then signs after PublishBefore.
	// CheckSecret says what is good enough. nil: the ring makes its own, and rotates.
	Secret []byte

	// SealKey encrypts the record at rest. It lives outside the store, so that a
	// copied database holds no usable key.
	SealKey [32]byte

	RotateEvery   time.Duration    // how long one key signs; zero: 30 days
	PublishBefore time.Duration    // how long a key is published before it signs (KEY-04); zero: 24 h
	KeepAfter     time.Duration    // how long a key verifies after it stopped signing: at least the longest token life and leeway; zero: 2 h; at most 12 h, and 50 times RotateEvery
	Now           func() time.Time // nil: time.Now

	// Doubt reports whether Now may be wrong: then no key is made or dropped because its time
	// has come. nil: it never is.
	Doubt func() bool
}

// Status of a key.
type Status string

// The states a key goes through; Revoked can follow any of them.
const (
	Next     Status = "next"     // published, does not sign yet
	Active   Status = "active"   // signs
	Retiring Status = "retiring" // verifies what it signed, signs no more
	Revoked  Status = "revoked"  // neither, and not published
)

// Description tells about a key what anybody may know.
type Description struct {
	ID      string    `json:"id"`
	Alg     token.Alg `json:"alg"`
	Status  Status    `json:"status"`
	Created time.Time `json:"created"`
	From    time.Time `json:"from,omitzero"` // when it begins to sign; zero: revoked before it did
}

// Keyring is an open ring. Its methods are safe for concurrent use. Only Tick, Rotate,
// Revoke and Replace lock or do I/O.
type Keyring struct {
	opts    Options
	current atomic.Pointer[state]
	sealing atomic.Pointer[sealing]

	// changing is held from reading the record until current is what was read, so that
	// an older reading never takes the place of a newer one.
	changing sync.Mutex
}

// Open loads the ring, and makes it with its first key when there is none (KEY-03).
func Open(ctx context.Context, o Options) (*Keyring, error) {
	if o.Store == nil {
		return nil, errors.New("keyring: Options.Store is required")
	}
	if o.SealKey == [32]byte{} {
		return nil, errors.New("keyring: Options.SealKey is all zero")
	}
	if o.Alg == "" {
		o.Alg = DefaultAlg
	}
	if o.RotateEvery == 0 {
		o.RotateEvery = 30 * 24 * time.Hour
	}
	if o.PublishBefore == 0 {
		o.PublishBefore = 24 * time.Hour
	}
	if o.KeepAfter == 0 {
		o.KeepAfter = 2 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RotateEvery <= o.PublishBefore {
		return nil, errors.New("keyring: RotateEvery must be longer than PublishBefore")
	}
	// Two keys that were not revoked begin to sign at least so far apart. So half of MaxKeys has room for them.
	if most := MaxKeys / 2 * min(lead, o.RotateEvery); o.KeepAfter > most {
		return nil, fmt.Errorf("keyring: KeepAfter is %v, and the ring has no room for the keys of more than %v", o.KeepAfter, most)
	}
	if o.Secret != nil {
		if !o.Alg.Symmetric() {
			return nil, fmt.Errorf("keyring: Options.Secret is set, and %s takes none", o.Alg)
		}
		if err := CheckSecret(o.Secret); err != nil {
			return nil, fmt.Errorf("keyring: Options.Secret %w", err)
		}
	}
	k := &Keyring{opts: o}
	err := k.change(ctx, func(s *state) (bool, error) {
		for _, e := range s.Keys {
			if !e.Revoked && e.Alg.Symmetric() != o.Alg.Symmetric() {
				// TOK-03: with both kinds enabled, a public key could be passed off as a
				// secret. Nothing is written then, so the old setting opens the ring again.
				return false, fmt.Errorf("keyring: key %s is %s and new keys are %s: %w", e.ID, e.Alg, o.Alg, ErrMixed)
			}
		}
		return k.rotate(s)
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Tick reads the ring as other processes have left it, and does what the time asks for:
// it publishes the next key, and drops keys that signed nothing which is still alive.
func (k *Keyring) Tick(ctx context.Context) error {
	return k.change(ctx, func(s *state) (bool, error) { return k.rotate(s) })
}

// Revoke takes a key out of use at once and puts another in its place. A key that has not
// signed yet needs no other in its place: the key before it signs on.
func (k *Keyring) Revoke(ctx context.Context, kid string) error {
	return k.change(ctx, func(s *state) (bool, error) {
		i := slices.IndexFunc(s.Keys, func(e entry) bool { return e.ID == kid })
		if i < 0 {
			return false, ErrUnknownKey
		}
		if s.Keys[i].Revoked {
			return k.rotate(s)
		}
		s.Keys[i].revoke(k.opts.Now())
		s.sort()
		_, err := k.rotate(s)
		return true, err
	})
}

// Replace is for a store that was put back: its ring may trust keys that were revoked
// since. It returns a record in which one new key takes the place of all, and the ids of
// the keys that are gone. The ring changes when the caller has committed the record to the
// store that [Keyring.In] knows, and has called Tick.
func (k *Keyring) Replace(ctx context.Context) (rec store.Record, gone []string, err error) {
	s, err := k.read(ctx)
	if err != nil {
		return rec, nil, err
	}
	now := k.opts.Now()
	for i := range s.Keys {
		if e := &s.Keys[i]; !e.Revoked {
			gone = append(gone, e.ID)
			e.revoke(now)
		}
	}
	s.sort()
	if _, err := k.rotate(s); err != nil {
		return rec, nil, err
	}
	rec, err = k.record(s)
	return rec, gone, err
}

// In reports whether the ring is kept in s.
func (k *Keyring) In(s store.Store) bool { return k.opts.Store == s }

// lead is how long a key that Rotate makes is published before it signs. Verifiers fetch
// the set every five minutes, and HTTP caches keep it for as long; the rest is for clocks
// that disagree. A verifier that meets an unknown key fetches the set too, but not during
// its cooldown, and anybody can start the cooldown with a made-up key id (KEY-08). So a
// key that signed sooner would have good tokens refused meanwhile.
const lead = 15 * time.Minute

// Rotate has another key sign as soon as every verifier knows it (KEY-04), and returns
// its id: the key that is published, or a new one when there is none. A key that must
// not be trusted any longer is one to Revoke.
func (k *Keyring) Rotate(ctx context.Context) (kid string, err error) {
	err = k.change(ctx, func(s *state) (bool, error) {
		now := k.opts.Now()
		next := s.next(now)
		if next < 0 && k.opts.Secret != nil {
			return false, ErrConfigured
		}
		if next < 0 {
			e, err := k.make(now.Add(lead))
			if err != nil {
				return false, err
			}
			kid = e.ID
			return true, k.insert(s, e)
		}
		e := &s.Keys[next]
		kid = e.ID
		from := e.Created.Add(lead)
		if from.Before(now) {
			from = now
		}
		if !from.Before(e.From) {
			return false, nil
		}
		e.From = from
		return true, nil
	})
	return kid, err
}

// rotate does to s what the time asks for, and reports whether s changed.
func (k *Keyring) rotate(s *state) (changed bool, err error) {
	now := k.opts.Now()
	if s.Root == nil {
		s.Root = make([]byte, 32)
		rand.Read(s.Root)
		changed = true
	}
	if active(s, now) == nil {
		// First run, or the active key was revoked: what is published next signs now.
		changed = true
		if next := s.next(now); next >= 0 {
			s.Keys[next].From = now
		} else if err := k.add(s, now); err != nil {
			return false, err
		}
	}
	last := s.Keys[len(s.Keys)-1]
	if k.opts.Doubt != nil && k.opts.Doubt() {
		return changed, nil
	}
	due := active(s, now).From.Add(k.opts.RotateEvery)
	wanted := k.wanted(last)
	if !wanted {
		due = now // another algorithm or secret was configured: do not wait for the month to end
	}
	settled := wanted && (last.From.After(now) || k.opts.Secret != nil)
	if !settled && !now.Before(due.Add(-k.opts.PublishBefore)) {
		from := now.Add(k.opts.PublishBefore)
		if from.Before(due) {
			from = due
		}
		// A key that was published and has not signed gives way to the new one.
		s.Keys = slices.DeleteFunc(s.Keys, func(e entry) bool { return e.From.After(now) })
		changed = true
		if last = s.Keys[len(s.Keys)-1]; k.opts.Secret == nil || !k.wanted(last) {
			if err := k.add(s, from); err != nil {
				return false, err
			}
		}
	}
	before := len(s.Keys)
	s.Keys = slices.DeleteFunc(s.Keys, func(e entry) bool { return k.dead(s, e, now) })
	return changed || len(s.Keys) != before, nil
}

// wanted reports whether e is what the options ask for.
func (k *Keyring) wanted(e entry) bool {
	return e.Alg == k.opts.Alg && (k.opts.Secret == nil || subtle.ConstantTimeCompare(e.Private, k.opts.Secret) == 1)
}

// dead reports whether nothing that e signed can be alive.
func (k *Keyring) dead(s *state, e entry, now time.Time) bool {
	begun := e.From
	if begun.IsZero() {
		begun = e.Created // a thief did not wait until it signed
	}
	for _, later := range s.Keys {
		if later.From.After(begun) && later.From.Add(k.opts.KeepAfter).Before(now) {
			return true
		}
	}
	return false
}

func (k *Keyring) add(s *state, from time.Time) error {
	if k.opts.Secret != nil {
		return k.addSecret(s, from)
	}
	e, err := k.make(from)
	if err != nil {
		return err
	}
	return k.insert(s, e)
}

// make makes a key that signs at from.
func (k *Keyring) make(from time.Time) (entry, error) {
	private, err := token.GenerateKey(k.opts.Alg)
	if err != nil {
		return entry{}, fmt.Errorf("keyring: make a key: %w", err)
	}
	der, ok := private.([]byte)
	if !ok {
		if der, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
			return entry{}, fmt.Errorf("keyring: make a key: %w", err)
		}
	}
	return entry{ID: "k" + strings.ToLower(rand.Text()[:16]), Alg: k.opts.Alg, Private: der, Created: k.opts.Now(), From: from}, nil
}

// insert puts e in its place by From.
func (k *Keyring) insert(s *state, e entry) error {
	if err := e.load(); err != nil {
		return err
	}
	s.Keys = append(s.Keys, e)
	s.sort()
	s.trim()
	return nil
}

// trim forgets the oldest revoked keys, until there are at most MaxKeys. Nothing is lost but their lines in the list: a
// key that the ring does not hold is refused as one that is revoked. The newest must stay, so that no key
// before it signs again; here another has been inserted after it.
func (s *state) trim() {
	for len(s.Keys) > MaxKeys {
		oldest := slices.IndexFunc(s.Keys, func(e entry) bool { return e.Revoked })
		if oldest < 0 {
			return
		}
		s.Keys = slices.Delete(s.Keys, oldest, oldest+1)
	}
}

// revoke takes e out of use. If e has not signed yet, its time to sign is dropped too:
// another key would have to sign then, unpublished.
func (e *entry) revoke(now time.Time) {
	if e.Revoked = true; e.From.After(now) {
		e.From = time.Time{}
	}
}

// active returns the key that signs at now: the newest whose time has come. It is nil if
// that key was revoked. An older key must not sign again, because the ring drops it when
// it can no longer have signed anything alive.
func active(s *state, now time.Time) *entry {
	for i := len(s.Keys) - 1; i >= 0; i-- {
		if e := &s.Keys[i]; !e.From.After(now) {
			if e.Revoked {
				return nil
			}
			return e
		}
	}
	return nil
}

// next returns the index of the key that is published and will sign after now, or -1.
func (s *state) next(now time.Time) int {
	return slices.IndexFunc(s.Keys, func(e entry) bool { return !e.Revoked && e.From.After(now) })
}

// Signer returns the key that signs now.
func (k *Keyring) Signer() *token.Signer {
	return signing(k.current.Load(), k.opts.Now()).signer
}

// signing is the active key. If the clock of this process is behind the one that began the
// ring, there is none yet: then it is the next key, which rotate would let sign now.
func signing(s *state, now time.Time) *entry {
	if e := active(s, now); e != nil {
		return e
	}
	return &s.Keys[s.next(now)]
}

// Find returns the key to verify with, for token.VerifyJWS.
func (k *Keyring) Find(kid string) (token.Key, bool) {
	for _, e := range k.current.Load().Keys {
		if e.ID == kid && !e.Revoked {
			return e.signer.Key(), true
		}
	}
	return token.Key{}, false
}

// JWKS returns the public keys (RFC 7517) that sign, will sign, or may have signed a token
// that is still alive. Private members never occur (KEY-06).
func (k *Keyring) JWKS() ([]byte, error) {
	var keys []token.Key
	for _, e := range k.current.Load().Keys {
		if !e.Revoked && !e.Alg.Symmetric() {
			keys = append(keys, e.signer.Key())
		}
	}
	return token.MarshalJWKS(keys)
}

// Keys describes the ring, oldest first.
func (k *Keyring) Keys() []Description {
	s, now := k.current.Load(), k.opts.Now()
	active := signing(s, now)
	out := make([]Description, 0, len(s.Keys))
	for i := range s.Keys {
		e := &s.Keys[i]
		d := Description{ID: e.ID, Alg: e.Alg, Status: Retiring, Created: e.Created, From: e.From}
		switch {
		case e.Revoked:
			d.Status = Revoked
		case e == active:
			d.Status = Active
		case e.From.After(now):
			d.Status = Next
		}
		out = append(out, d)
	}
	return out
}

// Derive returns 32 secret bytes for one purpose. Labels are constants: a
// secret never serves two purposes (KEY-13).
func (k *Keyring) Derive(label string) []byte {
	out, err := hkdf.Key(sha256.New, k.current.Load().Root, nil, "counterfoil "+label, 32)
	if err != nil {
		panic("keyring: hkdf: " + err.Error()) // only for a length that SHA-256 cannot give
	}
	return out
}

// change applies f by compare-and-swap until it holds, and loads the result.
func (k *Keyring) change(ctx context.Context, f func(*state) (bool, error)) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	for {
		s, err := k.read(ctx)
		if err != nil {
			return err
		}
		changed, err := f(s)
		if err != nil {
			return err
		}
		if changed {
			if err = k.write(ctx, s); errors.Is(err, store.ErrConflict) {
				continue // another process was first: look again
			} else if err != nil {
				return fmt.Errorf("keyring: %w", err)
			}
		}
		k.current.Store(s)
		return nil
	}
}

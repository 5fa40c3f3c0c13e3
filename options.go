package counterfoil

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/resource"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// Options of NewVerifier. The zero value of each field is the safe default.
type Options struct {
	Issuer   string // required: iss, exactly; https, or http on loopback
	Audience string // required: what aud must contain (TOK-21)

	// Bound is D: no credential is accepted on knowledge older than this. Zero
	// is 10 s; at least 2 s, and no more than the issuer allows.
	Bound time.Duration

	// Stale is for the routes that name no policy of their own. It cannot be
	// ServeStale, which each route must choose for itself.
	Stale StalePolicy

	// ServeStale allows routes to choose ServeStale up to this long; at most 60 s.
	// The issuer knows it: wait=all does not wait for such a verifier, but lists it.
	ServeStale time.Duration

	Leeway      time.Duration // for clocks that disagree; zero: 30 s; at most 60 s
	MaxLifetime time.Duration // tokens made for longer are refused; zero: 15 min
	MaxKeysAge  time.Duration // signed copies are not accepted on keys older than this; zero: 24 h

	Formats    []Format // accepted ones; nil: all three
	Algorithms []string // by their registered names (RFC 7518, RFC 9864); nil: all asymmetric ones (TOK-01)

	// Signatures is how signatures by the issuer's keys are checked. Nil: by the standard library.
	// Module fastverify has another way, for services that see many tokens for the first time. It
	// has no effect with a source in the issuer's own process.
	Signatures *token.Signatures

	// DecryptionKeys open JWEs here: those of the clients that have the public half as
	// their encryption_key. Every other JWE is looked up at the issuer
	// (docs/decisions/0023-who-opens-a-jwe.md). To replace a key, add the new one here
	// first, and take the old one away MaxLifetime after the client has the new one.
	DecryptionKeys []DecryptionKey

	Origins         []string // exact origins that may send unsafe requests with a cookie; nil: the Issuer's
	InsecureCookies bool     // the cookie names for plain http on loopback; always so when the Issuer is http

	// Resource is the URL by which OAuth clients know this service: an origin, perhaps with a
	// path. Then a refusal with a challenge names the metadata of the service (RFC 9728), which
	// [Verifier.ServeResourceMetadata] answers with, and ResourceScopes are the scopes in it.
	// Empty: nothing is named.
	Resource       string
	ResourceScopes []string

	// StartStale has NewVerifier return although the issuer cannot be reached, or not before its
	// context ends: the verifier is stale (see Verifier.Ready), and tries again until Close. It
	// is for a program that must run before the issuer does. What a person must change, such as
	// a refused Credential or another name of the issuer, is an error of NewVerifier all the same.
	StartStale bool

	// MaxSeen is how many verified copies are remembered, and MaxSeenBytes (65,536 at least) how many bytes
	// they may take, about. Beyond either of them, those that were not used of late are verified again.
	// Half of the bytes, and 12 MiB at most, are for the busiest. docs/performance.md has what a
	// copy takes. Zero: 100,000, and 8 MiB and 1,024 for each of MaxSeen.
	MaxSeen      int
	MaxSeenBytes int64

	MaxEntries int // how many log entries are held before the verifier goes stale; zero: 2,000,000

	Logger *slog.Logger     // for what an operator must know; nil: slog.Default()
	Now    func() time.Time // nil: time.Now
}

// DecryptionKey opens JWEs. Exactly one of Direct and Agreement is set.
type DecryptionKey struct {
	ID        string           // kid
	Direct    []byte           // 32 bytes shared with the maker of the JWEs (dir); package issuer shares none
	Agreement *ecdh.PrivateKey // on P-256 or X25519 (ECDH-ES)
	Wrapped   bool             // Agreement is for ECDH-ES+A256KW instead
}

// PublicJWK returns what a client of the issuer is given as its encryption_key: the
// public half of Agreement (RFC 7517).
func (k DecryptionKey) PublicJWK() ([]byte, error) {
	o, err := k.opener()
	if err != nil {
		return nil, fmt.Errorf("counterfoil: %v: %w", k, err)
	}
	r, err := o.Recipient()
	if err != nil {
		return nil, fmt.Errorf("counterfoil: %v: %w", k, err)
	}
	return r.JWK()
}

// String keeps the key out of what prints it.
func (k DecryptionKey) String() string { return "decryption key " + k.ID }

// GoString does so for %#v.
func (k DecryptionKey) GoString() string { return k.String() }

func (k DecryptionKey) opener() (*token.Opener, error) {
	switch {
	case k.Direct != nil && k.Agreement == nil && !k.Wrapped:
		return token.NewDirectKey(k.ID, k.Direct)
	case k.Direct == nil && k.Agreement != nil && k.Wrapped:
		return token.NewWrappingKey(k.ID, k.Agreement)
	case k.Direct == nil && k.Agreement != nil:
		return token.NewAgreementKey(k.ID, k.Agreement)
	}
	return nil, errors.New("want either Direct or Agreement")
}

// withDefaults returns o with every zero replaced, or says which field is wrong.
func (o Options) withDefaults() (Options, error) {
	if o.Issuer == "" || o.Audience == "" {
		return o, errors.New("counterfoil: Options.Issuer and Options.Audience are required")
	}
	for _, d := range []struct {
		name            string
		value           *time.Duration
		zero, low, high time.Duration
	}{
		{"Bound", &o.Bound, 10 * time.Second, 2 * time.Second, time.Minute},
		{"ServeStale", &o.ServeStale, 0, 0, maxServeStale},
		{"Leeway", &o.Leeway, 30 * time.Second, time.Second, time.Minute},
		{"MaxLifetime", &o.MaxLifetime, 15 * time.Minute, time.Minute, time.Hour},
		{"MaxKeysAge", &o.MaxKeysAge, 24 * time.Hour, 2 * keysEvery, 7 * 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.low || *d.value > d.high {
			return o, fmt.Errorf("counterfoil: Options.%s is %v: want %v to %v", d.name, *d.value, d.low, d.high)
		}
	}
	switch o.Stale.mode {
	case inherit:
		o.Stale = FailClosed()
	case serveStale:
		return o, errors.New("counterfoil: Options.Stale cannot be ServeStale: choose it per route, see Verifier.With")
	}
	for _, n := range []struct {
		name  string
		value *int
		zero  int
	}{{"MaxSeen", &o.MaxSeen, 100_000}, {"MaxEntries", &o.MaxEntries, 2_000_000}} {
		if *n.value == 0 {
			*n.value = n.zero
		}
		if *n.value < 1 {
			return o, fmt.Errorf("counterfoil: Options.%s is %d", n.name, *n.value)
		}
	}
	if o.MaxSeenBytes == 0 {
		o.MaxSeenBytes = 8<<20 + 1024*int64(o.MaxSeen)
	}
	if o.MaxSeenBytes < 64<<10 { // half of it must have room for the largest copy
		return o, fmt.Errorf("counterfoil: Options.MaxSeenBytes is %d: want 65,536 at least", o.MaxSeenBytes)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Resource != "" {
		if err := resource.Check(o.Resource); err != nil {
			return o, fmt.Errorf("counterfoil: Options.Resource: %w", err)
		}
	}
	return o, o.setOrigins()
}

// setOrigins sets the default, and refuses what no browser sends or every page can send
// ("null", CSRF-08).
func (o *Options) setOrigins() error {
	issuer, err := urls.Issuer(o.Issuer)
	if err != nil {
		return fmt.Errorf("counterfoil: Options.Issuer: %w", err)
	}
	o.InsecureCookies = o.InsecureCookies || issuer.Scheme == "http"
	if o.Origins == nil {
		o.Origins = []string{urls.OriginOf(issuer)}
		return nil
	}
	if err := checkOrigins(o.Origins); err != nil {
		return fmt.Errorf("counterfoil: Options.Origins: %w", err)
	}
	return nil
}

func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if _, err := urls.Origin(origin); err != nil {
			return err
		}
	}
	return nil
}

// algorithms returns the allowed ones. A program that can verify with a secret can sign with
// it, so it is for a source in the same process alone (TOK-03).
func (o *Options) algorithms(source Source) ([]token.Alg, error) {
	asymmetric := slices.DeleteFunc(token.Algorithms(), token.Alg.Symmetric)
	if o.Algorithms == nil {
		if _, ok := source.(lender); ok {
			return token.Algorithms(), nil
		}
		return asymmetric, nil
	}
	var allowed []token.Alg
	for _, name := range o.Algorithms {
		if !slices.Contains(asymmetric, token.Alg(name)) {
			return nil, fmt.Errorf("counterfoil: Options.Algorithms: %q is not an asymmetric algorithm of RFC 7518 or RFC 9864", name)
		}
		allowed = append(allowed, token.Alg(name))
	}
	if len(allowed) == 0 {
		return nil, errors.New("counterfoil: Options.Algorithms allows none")
	}
	return allowed, nil
}

func (o *Options) openers() (map[string]*token.Opener, error) {
	openers := make(map[string]*token.Opener, len(o.DecryptionKeys))
	for _, k := range o.DecryptionKeys {
		opener, err := k.opener()
		if err != nil {
			return nil, fmt.Errorf("counterfoil: Options.DecryptionKeys: %s: %w", k.ID, err)
		}
		if openers[k.ID] != nil {
			return nil, fmt.Errorf("counterfoil: Options.DecryptionKeys: %s twice", k.ID)
		}
		openers[k.ID] = opener
	}
	return openers, nil
}

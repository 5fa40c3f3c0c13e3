package bench

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// The values that every contender must expect.
const (
	Issuer   = "https://auth.example.com"
	Audience = "https://api.example.com"
	KeyID    = "k1234567890123456"
	Leeway   = 30 * time.Second
)

// Peer is a contender that verifies tokens. Each library is set up by its own documentation,
// as strictly as possible: one algorithm, the key found by kid, iss, aud and exp required if
// the library can require them, and [Leeway] for clocks.
type Peer struct {
	Name   string
	Verify func(compact string) (subject string, err error)
}

// The names of the contenders in the tables.
const (
	Raw       = "raw"
	Ours      = "counterfoil"
	GolangJWT = "golang-jwt"
	JWX       = "jwx"
	JWXKey    = "jwx WithKey"
	GoJOSE    = "go-jose"
)

// Libraries returns a peer for each library, with the one key. If a library refuses the key,
// its peer refuses every token.
func Libraries(alg token.Alg, public any, now func() time.Time) []Peer {
	return append(append([]Peer{golangJWT(alg, public, now)}, jwxPeers(alg, public, now)...), goJOSE(alg, public, now))
}

// claims are the claims that a service reads, for the libraries that fill a struct.
type claims struct {
	Client   string   `json:"client_id"`
	SID      string   `json:"sid"`
	RV       string   `json:"rv"`
	Roles    []string `json:"roles"`
	Methods  []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
}

// ed25519Method adds the name of RFC 9864 to golang-jwt, which has only the name EdDSA.
type ed25519Method struct{ jwt.SigningMethodEd25519 }

func (*ed25519Method) Alg() string { return string(token.Ed25519) }

func init() {
	jwt.RegisterSigningMethod(string(token.Ed25519), func() jwt.SigningMethod { return new(ed25519Method) })
	jwxjwt.Settings(jwxjwt.WithNumericDateParsePedantic(true)) // times as numbers only, not also as texts of RFC 3339
}

var errKid = errors.New("unknown kid")

func golangJWT(alg token.Alg, public any, now func() time.Time) Peer {
	type all struct {
		jwt.RegisteredClaims
		claims
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{string(alg)}), jwt.WithIssuer(Issuer), jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)
	find := func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != KeyID {
			return nil, errKid
		}
		return public, nil
	}
	return Peer{GolangJWT, func(compact string) (string, error) {
		var c all
		_, err := parser.ParseWithClaims(compact, &c, find)
		return c.Subject, err
	}}
}

// jwxPeers returns peers for the two ways to give jwx a key. With a set it finds the key by
// kid, as the other peers do. With a single key it is faster, checks crit, and ignores kid.
func jwxPeers(alg token.Alg, public any, now func() time.Time) []Peer {
	names := []string{JWX, JWXKey}
	method, ok := jwa.LookupSignatureAlgorithm(string(alg))
	key, err := jwk.Import(public)
	set := jwk.NewSet()
	if err == nil && ok {
		err = errors.Join(key.Set(jwk.KeyIDKey, KeyID), key.Set(jwk.AlgorithmKey, method), set.AddKey(key))
	}
	var peers []Peer
	for n, trust := range []jwxjwt.ParseOption{jwxjwt.WithKeySet(set), jwxjwt.WithKey(method, key)} {
		options := []jwxjwt.ParseOption{
			trust, jwxjwt.WithStrictStringClaims(true),
			jwxjwt.WithIssuer(Issuer), jwxjwt.WithAudience(Audience), jwxjwt.WithRequiredClaim(jwxjwt.ExpirationKey),
			jwxjwt.WithAcceptableSkew(Leeway), jwxjwt.WithClock(jwxjwt.ClockFunc(now)),
		}
		peers = append(peers, Peer{names[n], func(compact string) (string, error) {
			if err != nil {
				return "", err
			}
			t, err := jwxjwt.Parse([]byte(compact), options...)
			if err != nil {
				return "", err
			}
			subject, _ := t.Subject()
			return subject, nil
		}})
	}
	return peers
}

// joseAlg returns go-jose's name for alg.
func joseAlg(alg token.Alg) jose.SignatureAlgorithm {
	if alg == token.Ed25519 {
		return jose.EdDSA
	}
	return jose.SignatureAlgorithm(alg)
}

func goJOSE(alg token.Alg, public any, now func() time.Time) Peer {
	type all struct {
		josejwt.Claims
		claims
	}
	algs := []jose.SignatureAlgorithm{joseAlg(alg)}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: KeyID, Algorithm: string(joseAlg(alg))}}}
	return Peer{GoJOSE, func(compact string) (string, error) {
		t, err := josejwt.ParseSigned(compact, algs)
		if err != nil {
			return "", err
		}
		var c all
		if err := t.Claims(set, &c); err != nil {
			return "", err
		}
		return c.Subject, c.ValidateWithLeeway(josejwt.Expected{Issuer: Issuer, AnyAudience: josejwt.Audience{Audience}, Time: now()}, Leeway)
	}}
}

// Tokens is internal/token with the same checks of claims as the libraries: a Verifier without
// its cache, clock and log. The function must not be inlined: the compiler would then not
// inline the functions that it calls.
//
//go:noinline
func Tokens(key token.Key, now func() time.Time) Peer {
	find := func(kid string) (token.Key, bool) { return key, kid == key.ID }
	return Peer{Ours, func(compact string) (string, error) {
		payload, _, err := token.VerifyJWS(compact, "at+jwt", find)
		if err != nil {
			return "", err
		}
		c, err := token.ParseClaims(payload)
		if err != nil {
			return "", err
		}
		at, leeway := now().Unix(), int64(Leeway/time.Second)
		if c.Issuer != Issuer || !slices.Contains(c.Audience, Audience) || at >= c.Expires+leeway || at < c.IssuedAt-leeway || at < c.NotBefore-leeway {
			return "", counterfoil.ErrInvalidToken
		}
		return c.Subject, nil
	}}
}

// Whole is the real Verifier, with its cache, clock and log.
func Whole(v *counterfoil.Verifier) Peer {
	return Peer{Ours, func(compact string) (string, error) {
		s, err := v.Verify(context.Background(), compact)
		if err != nil {
			return "", err
		}
		return s.Subject, nil
	}}
}

// NewVerifier returns the real Verifier. It trusts keys, and follows a log with the given
// number of revoked sessions.
func NewVerifier(ctx context.Context, o counterfoil.Options, revoked int, keys ...token.Key) (*counterfoil.Verifier, error) {
	jwks, err := token.MarshalJWKS(keys)
	if err != nil {
		return nil, err
	}
	o.Issuer, o.Audience, o.Leeway, o.MaxLifetime = Issuer, Audience, Leeway, time.Hour
	return counterfoil.NewVerifier(ctx, &Source{JWKS: jwks, Revoked: revoked, Now: o.Now}, o)
}

// Public returns the public half of a private key, and a secret unchanged.
func Public(private any) any {
	if s, ok := private.(crypto.Signer); ok {
		return s.Public()
	}
	return private
}

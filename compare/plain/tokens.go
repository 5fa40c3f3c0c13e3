package plain

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Key signs tokens and verifies them.
type Key struct {
	Alg     string // HS256, RS256, ES256 or EdDSA
	Private []byte // the secret, or PKCS #8
	Shared  []byte // 32 bytes that encrypt the JWE; nil: tokens are not encrypted
}

// MakeKey makes a key for an algorithm.
func MakeKey(alg string) (Key, error) {
	k := Key{Alg: alg}
	var private any
	var err error
	switch alg {
	case "HS256":
		k.Private = make([]byte, 32)
		rand.Read(k.Private)
		return k, nil
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("plain: no key for %q", alg)
	}
	if err == nil {
		k.Private, err = x509.MarshalPKCS8PrivateKey(private)
	}
	return k, err
}

// TokensOptions of NewTokens.
type TokensOptions struct {
	Issuer, Audience string
	Key              Key

	Cookie    string // the cookie that has the token; empty: it is in the header Authorization
	Blocklist Store  // has the tokens that a logout ended; nil: a token is good until it expires
}

// Tokens are JWTs that are verified at each request.
type Tokens struct {
	o               TokensOptions
	private, public any
	method          jwt.SigningMethod
	parser          *jwt.Parser
	encrypter       jose.Encrypter // nil: tokens are not encrypted
}

// keyID is the kid of every token: there is one key.
const keyID = "k1"

// Claims are what a service reads of a token.
type Claims struct {
	jwt.RegisteredClaims
	Client string   `json:"client_id"`
	Roles  []string `json:"roles"`
}

// NewTokens loads the key and configures the parser: one algorithm, the key by its kid, and iss, aud and
// exp required.
func NewTokens(o TokensOptions) (*Tokens, error) {
	t := &Tokens{o: o, method: jwt.GetSigningMethod(o.Key.Alg), private: any(o.Key.Private), public: any(o.Key.Private)}
	if t.method == nil {
		return nil, fmt.Errorf("plain: no algorithm %q", o.Key.Alg)
	}
	if o.Key.Alg != "HS256" {
		private, err := x509.ParsePKCS8PrivateKey(o.Key.Private)
		if err != nil {
			return nil, err
		}
		t.private, t.public = private, private.(crypto.Signer).Public()
	}
	t.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{o.Key.Alg}), jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
	)
	if o.Key.Shared != nil {
		var err error
		t.encrypter, err = jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: o.Key.Shared, KeyID: keyID},
			(&jose.EncrypterOptions{}).WithContentType("JWT"))
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Sign returns a token of subject, and its jti.
func (t *Tokens) Sign(subject string, life time.Duration) (text, id string, err error) {
	id, now := rand.Text(), time.Now()
	token := jwt.NewWithClaims(t.method, &Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.o.Issuer, Audience: jwt.ClaimStrings{t.o.Audience}, Subject: subject, ID: id,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
		},
		Client: "default", Roles: []string{"staff"},
	})
	token.Header["kid"] = keyID
	if text, err = token.SignedString(t.private); err != nil || t.encrypter == nil {
		return text, id, err
	}
	encrypted, err := t.encrypter.Encrypt([]byte(text))
	if err != nil {
		return "", "", err
	}
	text, err = encrypted.CompactSerialize()
	return text, id, err
}

var (
	errKid     = errors.New("unknown kid")
	errBlocked = errors.New("the token was revoked")

	// errStore means that nobody knows whether the token was revoked.
	errStore = errors.New("the blocklist cannot be reached")
)

// Verify returns the claims of a token that is good.
func (t *Tokens) Verify(ctx context.Context, text string) (*Claims, error) {
	if t.encrypter != nil {
		encrypted, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			return nil, err
		}
		inner, err := encrypted.Decrypt(t.o.Key.Shared)
		if err != nil {
			return nil, err
		}
		text = string(inner)
	}
	var c Claims
	if _, err := t.parser.ParseWithClaims(text, &c, t.find); err != nil {
		return nil, err
	}
	if t.o.Blocklist != nil {
		_, blocked, err := t.o.Blocklist.Get(ctx, BlockTable, c.ID)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errStore, err)
		}
		if blocked {
			return nil, errBlocked
		}
	}
	return &c, nil
}

func (t *Tokens) find(token *jwt.Token) (any, error) {
	if token.Header["kid"] != keyID {
		return nil, errKid
	}
	return t.public, nil
}

// Require lets requests with a good token through.
func (t *Tokens) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := t.Verify(r.Context(), t.carried(r))
		switch {
		case errors.Is(err, errStore):
			http.Error(w, "the blocklist cannot be reached", http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, "sign in", http.StatusUnauthorized)
		default:
			admit(next, w, r, c.Subject)
		}
	})
}

// carried is the token of a request; empty: it has none.
func (t *Tokens) carried(r *http.Request) string {
	if t.o.Cookie == "" {
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return ""
		}
		return text
	}
	c, err := r.Cookie(t.o.Cookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// Block puts a token on the blocklist, until it has expired.
func (t *Tokens) Block(ctx context.Context, id string, life time.Duration) error {
	return t.o.Blocklist.Put(ctx, BlockTable, id, []byte{1}, time.Now().Add(life))
}

// RefreshHeader carries a refresh token.
const RefreshHeader = "Refresh-Token"

// refreshLife is how long a refresh token is good.
const refreshLife = 7 * 24 * time.Hour

// NewRefresh makes a refresh token of subject, in s.
func NewRefresh(ctx context.Context, s Store, subject string) (secret string, err error) {
	secret = rand.Text()
	return secret, s.Put(ctx, RefreshTable, secret, []byte(subject), time.Now().Add(refreshLife))
}

// Refresh answers a refresh token of s with the next one, and with a token. Each is good once.
func (t *Tokens) Refresh(s Store, life time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := rand.Text()
		found, err := s.Replace(r.Context(), RefreshTable, r.Header.Get(RefreshHeader), next, time.Now().Add(refreshLife))
		if err != nil {
			http.Error(w, "the store cannot be reached", http.StatusServiceUnavailable)
			return
		}
		if !found {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		subject, _, err := s.Get(r.Context(), RefreshTable, next)
		if err != nil {
			http.Error(w, "the store cannot be reached", http.StatusServiceUnavailable)
			return
		}
		text, _, err := t.Sign(string(subject), life)
		if err != nil {
			http.Error(w, "the token was not signed", http.StatusInternalServerError)
			return
		}
		w.Header().Set(RefreshHeader, next)
		w.Header().Set("Token", text)
		_, _ = w.Write([]byte("ok"))
	})
}

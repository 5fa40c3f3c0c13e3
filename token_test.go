package counterfoil_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// TOK-19: of all kinds of token only an access token is one.
func TestTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		for typ, good := range map[string]bool{
			"at+jwt": true, "AT+JWT": true, "application/at+jwt": true,
			"JWT": false, "logout+jwt": false, "secevent+jwt": false, "dpop+jwt": false, "cf-rev+jwt": false,
			"token-introspection+jwt": false, "at+jwt2": false, "application/application/at+jwt": false,
		} {
			session, err := v.Verify(t.Context(), s.sign(t, typ, claims()))
			if good && err != nil || !good && (!errors.Is(err, counterfoil.ErrInvalidToken) || session != nil) {
				t.Errorf("typ %s: %v, %v", typ, session, err)
			}
		}
	})
}

// TOK-20, TOK-21, TOK-23, TOK-26: what claims a verifier accepts, and that a refusal comes
// without a session.
func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		now := time.Now().Unix()
		for _, c := range []struct {
			name   string
			change func(*token.Claims)
			want   error
		}{
			{"as issued", func(*token.Claims) {}, nil},
			{"two audiences", func(c *token.Claims) { c.Audience = []string{"https://other.test", issuerURL} }, nil},
			{"issuer with slash", func(c *token.Claims) { c.Issuer += "/" }, counterfoil.ErrInvalidToken},
			{"issuer in capitals", func(c *token.Claims) { c.Issuer = strings.ToUpper(c.Issuer) }, counterfoil.ErrInvalidToken},
			{"issuer over http", func(c *token.Claims) { c.Issuer = "http://auth.test" }, counterfoil.ErrInvalidToken},
			{"issuer with port", func(c *token.Claims) { c.Issuer += ":443" }, counterfoil.ErrInvalidToken},
			{"other audience", func(c *token.Claims) { c.Audience = []string{"https://other.test"} }, counterfoil.ErrInvalidToken},
			{"prefix of the audience", func(c *token.Claims) { c.Audience = []string{"https://auth"} }, counterfoil.ErrInvalidToken},
			{"no audience", func(c *token.Claims) { c.Audience = nil }, counterfoil.ErrInvalidToken},
			{"no sid", func(c *token.Claims) { c.SID = "" }, counterfoil.ErrInvalidToken},
			{"no client_id", func(c *token.Claims) { c.Client = "" }, counterfoil.ErrInvalidToken},
			{"no jti", func(c *token.Claims) { c.ID = "" }, counterfoil.ErrInvalidToken},
			{"no rv", func(c *token.Claims) { c.RV = "" }, counterfoil.ErrInvalidToken},
			{"rv is no cursor", func(c *token.Claims) { c.RV = "7" }, counterfoil.ErrInvalidToken},
			{"rv of another epoch", func(c *token.Claims) { c.RV = counterfoil.Cursor{Epoch: 7, Seq: 1}.String() }, counterfoil.ErrInvalidToken},
			{"no iat", func(c *token.Claims) { c.IssuedAt = 0 }, counterfoil.ErrInvalidToken},
			{"made in an hour", func(c *token.Claims) { c.IssuedAt, c.Expires = now+3600, now+3900 }, counterfoil.ErrStale},
			{"made for ten years", func(c *token.Claims) { c.Expires = now + 10*365*86400 }, counterfoil.ErrInvalidToken},
			{"huge exp", func(c *token.Claims) { c.Expires = 1<<53 - 1 }, counterfoil.ErrInvalidToken},
			{"made after its end", func(c *token.Claims) { c.IssuedAt = now + 3600 }, counterfoil.ErrInvalidToken},
			{"begins in a minute", func(c *token.Claims) { c.NotBefore = now + 60 }, counterfoil.ErrStale},
			{"huge nbf", func(c *token.Claims) { c.NotBefore = 1<<53 - 1 }, counterfoil.ErrInvalidToken},
			{"expired", func(c *token.Claims) { c.IssuedAt, c.Expires = now-600, now-300 }, counterfoil.ErrExpired},
		} {
			made := claims()
			c.change(made)
			for range 2 { // the second time it could be a seen one
				session, err := v.Verify(t.Context(), s.sign(t, "at+jwt", made))
				if !errors.Is(err, c.want) || (err == nil) != (session != nil) {
					t.Errorf("%s: Verify = %v, %v, want %v", c.name, session, err, c.want)
				}
			}
		}
	})
}

// TOK-24: 30 s of leeway on each side, and at its end it is over.
func TestLeeway(t *testing.T) {
	for _, c := range []struct {
		offset       time.Duration // of the verifier's time to exp, or to iat
		alive, begun bool
	}{
		{-31 * time.Second, true, false},
		{-30 * time.Second, true, true},
		{-29 * time.Second, true, true},
		{0, true, true},
		{29 * time.Second, true, true},
		{30 * time.Second, false, true},
		{31 * time.Second, false, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(t)
			now := time.Now()
			v := follow(t, s, counterfoil.Options{Now: func() time.Time { return now.Add(time.Hour) }}) // says nothing
			defer v.Close()
			made := claims()
			made.IssuedAt, made.Expires = now.Add(-c.offset-5*time.Minute).Unix(), now.Add(-c.offset).Unix()
			if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", made)); (err == nil) != c.alive {
				t.Errorf("exp%+v: Verify = %v", c.offset, err)
			}
			made.IssuedAt, made.Expires = now.Add(-c.offset).Unix(), now.Add(-c.offset+5*time.Minute).Unix()
			if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", made)); (err == nil) != c.begun {
				t.Errorf("iat%+v: Verify = %v", c.offset, err)
			}
		})
	}
	// A looked-up copy ends when its issuer said: without leeway it is looked up anew.
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		id := s.opaque("ses_1")
		if _, err := v.Verify(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute - time.Second)
		if _, err := v.Verify(t.Context(), id); err != nil || s.lookups.Load() != 1 {
			t.Errorf("before its end: %v after %d look-ups", err, s.lookups.Load())
		}
		time.Sleep(time.Second + 2*time.Millisecond) // two thousandths of the time since the last page
		// The answer is the same, and so contradicts what pages say of the time.
		if _, err := v.Verify(t.Context(), id); !errors.Is(err, counterfoil.ErrStale) || s.lookups.Load() != 2 {
			t.Errorf("at its end: %v after %d look-ups, want ErrStale after 2", err, s.lookups.Load())
		}
	})
}

// TOK-06: a signature has two forms, and a revocation reaches the token in both.
func TestMalleableSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		cut := strings.LastIndexByte(text, '.') + 1
		sig, err := base64.RawURLEncoding.DecodeString(text[cut:])
		if err != nil {
			t.Fatal(err)
		}
		other := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(sig[32:]))
		twin := text[:cut] + base64.RawURLEncoding.EncodeToString(append(sig[:32:32], other.FillBytes(make([]byte, 32))...))
		for _, form := range []string{text, twin} {
			if _, err := v.Verify(t.Context(), form); err != nil {
				t.Fatal(err)
			}
		}
		s.revoke(source.ScopeToken, "tok_1")
		synctest.Wait()
		for _, form := range []string{text, twin, text, twin} {
			if _, err := v.Verify(t.Context(), form); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("Verify = %v, want ErrRevoked", err)
			}
		}
	})
}

// KEY-15: an issuer that has gone on to an algorithm of which this program knows nothing
// loses none of its other keys by that.
func TestUnknownAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		s.jwks = func(set []byte) ([]byte, error) {
			return bytes.Replace(set, []byte(`[`), []byte(`[{"kty":"AKP","alg":"ML-DSA-44","kid":"pq","pub":"AAAA"},`), 1), nil
		}
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		good := s.sign(t, "at+jwt", claims())
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Error(err)
		}
		_, rest, _ := strings.Cut(good, ".")
		if _, err := v.Verify(t.Context(), b64(`{"alg":"ML-DSA-44","kid":"pq","typ":"at+jwt"}`)+"."+rest); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("signed by it: %v, want ErrInvalidToken", err)
		}
		if st := v.Status(); st.Keys != 1 || st.SkippedKeys != 1 {
			t.Errorf("%d keys, %d skipped, want 1 and 1", st.Keys, st.SkippedKeys)
		}
	})
}

// TOK-01, TOK-03: the allow-list of algorithms.
func TestAlgorithms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		private, err := token.GenerateKey(token.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		ed, err := token.NewSigner("k2", token.Ed25519, private)
		if err != nil {
			t.Fatal(err)
		}
		s.others = []token.Key{ed.Key()}
		both := follow(t, s, counterfoil.Options{})
		defer both.Close()
		one := follow(t, s, counterfoil.Options{Algorithms: []string{"ES256"}})
		defer one.Close()
		text := sign(t, ed, "at+jwt", claims())
		if _, err := both.Verify(t.Context(), text); err != nil {
			t.Error(err)
		}
		if _, err := one.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("an algorithm that is not allowed: %v", err)
		}
		for _, bad := range [][]string{{}, {"none"}, {"HS256"}, {"es256"}, {"EdDSA"}, {"ML-DSA-44"}, {"ES256", "HS256"}} {
			if _, err := counterfoil.NewVerifier(t.Context(), s, counterfoil.Options{Issuer: issuerURL, Audience: issuerURL, Algorithms: bad}); err == nil {
				t.Errorf("Algorithms %q are accepted", bad)
			}
		}
	})
}

// A JWE for a key of ours is opened here, and its inside is held to every rule; one
// for another key is looked up (JWE-06).
func TestDecryptionKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		secret := []byte("0123456789abcdef0123456789abcdef")
		v := follow(t, s, counterfoil.Options{DecryptionKeys: []counterfoil.DecryptionKey{{ID: "e1", Direct: secret}}})
		defer v.Close()
		encrypt := func(kid, inner string) string {
			o, err := token.NewDirectKey(kid, secret)
			if err != nil {
				t.Fatal(err)
			}
			text, err := token.EncryptDirect(o, "at+jwt", inner)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		good := encrypt("e1", s.sign(t, "at+jwt", claims()))
		if got, err := v.Verify(t.Context(), good); err != nil || got.Carrier != counterfoil.CarrierJWE || s.lookups.Load() != 0 {
			t.Errorf("Verify = %v, %v after %d look-ups", got, err, s.lookups.Load())
		}
		stranger := newSigner(t, "k1")
		for name, text := range map[string]string{
			"signed by another": encrypt("e1", sign(t, stranger, "at+jwt", claims())),
			"another kind":      encrypt("e1", s.sign(t, "JWT", claims())),
			"damaged":           good[:len(good)-8] + "AAAAAAAA",
		} {
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrInvalidToken) || s.lookups.Load() != 0 {
				t.Errorf("%s: %v after %d look-ups", name, err, s.lookups.Load())
			}
		}
		if _, err := v.Verify(t.Context(), encrypt("e2", s.sign(t, "at+jwt", claims()))); !errors.Is(err, counterfoil.ErrInvalidToken) || s.lookups.Load() != 1 {
			t.Errorf("another key: %v after %d look-ups", err, s.lookups.Load())
		}
		s.revoke(source.ScopeSession, "ses_1")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), good); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("after the revocation: %v", err)
		}
	})
}

// TOK-11, TOK-12, TOK-13, TOK-22, TOK-30: payloads that are signed, and still no access token.
func TestPayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		made, err := claims().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		good := string(made)
		exp, aud := regexp.MustCompile(`"exp":[0-9]+`), regexp.MustCompile(`"aud":"[^"]*"`)
		for name, payload := range map[string]string{
			"as issued":       good,
			"exp as string":   exp.ReplaceAllString(good, `"exp":"1767225900"`),
			"exp negative":    exp.ReplaceAllString(good, `"exp":-1`),
			"exp zero":        exp.ReplaceAllString(good, `"exp":0`),
			"exp 1e999":       exp.ReplaceAllString(good, `"exp":1e999`),
			"exp 1.8e308":     exp.ReplaceAllString(good, `"exp":1.7e308`),
			"exp null":        exp.ReplaceAllString(good, `"exp":null`),
			"exp missing":     exp.ReplaceAllString(good, `"x":1`),
			"Exp":             strings.Replace(good, `"exp"`, `"Exp"`, 1),
			"SUB":             strings.Replace(good, `"sub"`, `"SUB"`, 1),
			"sub twice":       strings.Replace(good, `"sub"`, `"sub":"bob","sub"`, 1),
			"sub as number":   strings.Replace(good, `"sub":"alice"`, `"sub":1`, 1),
			"aud empty":       aud.ReplaceAllString(good, `"aud":""`),
			"aud empty list":  aud.ReplaceAllString(good, `"aud":[]`),
			"aud nested":      aud.ReplaceAllString(good, `"aud":[["`+issuerURL+`"]]`),
			"aud as number":   aud.ReplaceAllString(good, `"aud":1`),
			"scope as list":   strings.Replace(good, `"sub"`, `"scope":["a"],"sub"`, 1),
			"amr as string":   strings.Replace(good, `"sub"`, `"amr":"pwd","sub"`, 1),
			"not UTF-8":       strings.Replace(good, `alice`, "a\xff", 1),
			"control in sub":  strings.Replace(good, `alice`, `a\r\nb`, 1),
			"data after it":   good + `{}`,
			"a list":          `[` + good + `]`,
			"for another key": strings.Replace(good, `"sub"`, `"cnf":{"jkt":"x"},"sub"`, 1),
		} {
			text, err := s.signer.Sign("at+jwt", []byte(payload))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			session, err := v.Verify(t.Context(), text)
			if name == "as issued" && err != nil || name != "as issued" && (!errors.Is(err, counterfoil.ErrInvalidToken) || session != nil) {
				t.Errorf("%s: Verify = %v, %v", name, session, err)
			}
		}
	})
}

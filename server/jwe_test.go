package server_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
)

// asking counts the look-ups of one service.
type asking struct{ lookups atomic.Int64 }

func (a *asking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/oauth/introspect" {
		a.lookups.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// service is a verifier elsewhere that has these keys.
func (b *bench) service(keys ...counterfoil.DecryptionKey) (*counterfoil.Verifier, *asking) {
	b.Helper()
	asks := new(asking)
	source, err := counterfoil.Remote(b.url, counterfoil.RemoteOptions{Credential: b.key, Transport: asks})
	must(b.T, err)
	v, err := counterfoil.NewVerifier(b.Context(), source, counterfoil.Options{Issuer: b.url, Audience: b.url, DecryptionKeys: keys})
	must(b.T, err)
	b.Cleanup(func() { v.Close() })
	return v, asks
}

// encryptTo makes key the one of the client "svc".
func (b *bench) encryptTo(key counterfoil.DecryptionKey) (jwk string) {
	b.Helper()
	public, err := key.PublicJWK()
	must(b.T, err)
	got := b.admin(http.StatusOK, "PUT", "/v1/admin/clients/svc", `{"opens":"account","encryption_key":`+string(public)+`}`)
	if kid := got["encryption_key"].(map[string]any)["kid"]; kid != key.ID {
		b.Errorf("encryption_key.kid = %v, want %s", kid, key.ID)
	}
	return string(public)
}

// header is the protected header of a JWE.
func header(t *testing.T, jwe string) (h struct{ Alg, Kid, Cty string }) {
	t.Helper()
	first, _, _ := strings.Cut(jwe, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	must(t, err)
	must(t, json.Unmarshal(raw, &h))
	return h
}

// A client's JWEs are opened by the service that has its key, without a question, and
// revoked like any other; the issuer knows them too, though the key is not its own.
func TestServiceOpensItsJWEs(t *testing.T) {
	for alg, curve := range map[string]ecdh.Curve{"ECDH-ES": ecdh.P256(), "ECDH-ES+A256KW": ecdh.X25519()} {
		t.Run(alg, func(t *testing.T) {
			b := newBench(t)
			private, err := curve.GenerateKey(rand.Reader)
			must(t, err)
			key := counterfoil.DecryptionKey{ID: "svc-1", Agreement: private, Wrapped: alg != "ECDH-ES"}
			jwk := b.encryptTo(key)
			v, asks := b.service(key)
			login := func(carrier string) issued {
				return b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","client":"svc","carrier":"`+carrier+`"}`))
			}
			opens := func(got issued) {
				t.Helper()
				s, err := v.Verify(t.Context(), got.Access)
				if err != nil || s.ID != got.Session.ID || s.Client != "svc" || s.Carrier != counterfoil.CarrierJWE || asks.lookups.Load() != 0 {
					t.Fatalf("Verify = %+v, %v after %d look-ups", s, err, asks.lookups.Load())
				}
			}
			got := login("jwe")
			if h := header(t, got.Access); h.Alg != alg || h.Kid != "svc-1" || h.Cty != "JWT" { // RFC 7519 section 5.2
				t.Errorf("header = %+v", h)
			}
			opens(got)
			got = b.issued(b.call("POST", "/v1/refresh", `{"refresh_token":"`+got.Refresh+`","client":"svc"}`))
			opens(got)

			// The issuer answers for it: introspection, and so who has not the key; its API.
			if body := b.ask(b.key, got.Access); !strings.Contains(body, `"active":true`) || !strings.Contains(body, got.Session.ID) {
				t.Errorf("introspection = %s", body)
			}
			other, asked := b.service()
			if s, err := other.Verify(t.Context(), got.Access); err != nil || s.ID != got.Session.ID || asked.lookups.Load() != 1 {
				t.Errorf("without the key: Verify = %v, %v after %d look-ups", s, err, asked.lookups.Load())
			}
			if n := b.status(got); n != http.StatusOK {
				t.Errorf("GET /v1/session = %d", n)
			}

			// JWE-06, JWE-10: what was changed, or put there by somebody who knows the key.
			recipient, err := token.ParseRecipient([]byte(jwk))
			must(t, err)
			forge := func(inner string) string {
				jwe, err := token.EncryptTo(recipient, func(string) []byte { return []byte(strings.Repeat("f", 32)) }, token.AccessType, inner)
				must(t, err)
				return jwe
			}
			bearer := login("bearer").Access
			for name, jwe := range map[string]string{
				"tampered": got.Access[:len(got.Access)-30] + "AAAAAAAA" + got.Access[len(got.Access)-22:],
				"forged":   forge(bearer[:len(bearer)-86] + strings.Repeat("A", 86)),
				"alg none": forge(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k","typ":"at+jwt"}`)) + "." + strings.Split(bearer, ".")[1] + ".AA"),
			} {
				if s, err := v.Verify(t.Context(), jwe); !errors.Is(err, counterfoil.ErrInvalidToken) || asks.lookups.Load() != 0 {
					t.Errorf("%s: Verify = %v, %v after %d look-ups", name, s, err, asks.lookups.Load())
				}
				if body := b.ask(b.key, jwe); body != `{"active":false}` {
					t.Errorf("%s: introspection = %s", name, body)
				}
			}

			// Whatever ends it ends it here, by whichever end it is held.
			for name, end := range map[string]func(issued){
				"RFC 7009":      func(i issued) { b.call("POST", "/oauth/revoke", url.Values{"token": {i.Access}}.Encode()) },
				"refresh token": func(i issued) { b.call("POST", "/oauth/revoke", url.Values{"token": {i.Refresh}}.Encode()) },
				"logout":        func(i issued) { b.call("POST", "/v1/logout", "", "Authorization", "Bearer "+i.Access) },
				"session": func(i issued) {
					b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"session","id":"`+i.Session.ID+`"}`)
				},
				"client": func(issued) {
					b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"client","id":"svc"}`)
				},
				"subject": func(i issued) {
					s, err := v.Verify(t.Context(), i.Access)
					must(t, err)
					b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"subject","id":"`+s.Subject+`"}`)
				},
				"everybody": func(issued) { b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"all"}`) },
			} {
				got := login("jwe")
				opens(got)
				end(got)
				head, err := b.issuer.Head(t.Context())
				must(t, err)
				must(t, v.WaitFor(t.Context(), head))
				if _, err := v.Verify(t.Context(), got.Access); !errors.Is(err, counterfoil.ErrRevoked) || asks.lookups.Load() != 0 {
					t.Errorf("%s: Verify = %v after %d look-ups, want ErrRevoked", name, err, asks.lookups.Load())
				}
				if n := b.status(got); n != http.StatusUnauthorized {
					t.Errorf("%s: GET /v1/session = %d", name, n)
				}
			}
		})
	}
}

// The key is replaced in the settings: from then on tokens are for the new one. A service
// that holds both opens both; one that holds the old one asks.
func TestEncryptionKeyIsReplaced(t *testing.T) {
	b := newBench(t)
	var keys [2]counterfoil.DecryptionKey
	var tokens [2]string
	for n, id := range []string{"svc-1", "svc-2"} {
		private, err := ecdh.P256().GenerateKey(rand.Reader)
		must(t, err)
		keys[n] = counterfoil.DecryptionKey{ID: id, Agreement: private}
	}
	b.encryptTo(keys[0])
	first := b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","client":"svc","carrier":"jwe"}`))
	b.encryptTo(keys[1])
	second := b.issued(b.call("POST", "/v1/refresh", `{"refresh_token":"`+first.Refresh+`","client":"svc"}`))
	tokens[0], tokens[1] = first.Access, second.Access
	both, asksBoth := b.service(keys[:]...)
	old, asksOld := b.service(keys[0])
	misnamed, _ := b.service(counterfoil.DecryptionKey{ID: "svc-2", Agreement: keys[0].Agreement})
	for n, text := range tokens {
		if h := header(t, text); h.Kid != keys[n].ID {
			t.Errorf("kid = %s, want %s", h.Kid, keys[n].ID)
		}
		for _, v := range []*counterfoil.Verifier{both, old} {
			if s, err := v.Verify(t.Context(), text); err != nil || s.ID != first.Session.ID {
				t.Errorf("%s: Verify = %v, %v", keys[n].ID, s, err)
			}
		}
		if body := b.ask(b.key, text); !strings.Contains(body, `"active":true`) { // the issuer too has only the new one
			t.Errorf("%s: introspection = %s", keys[n].ID, body)
		}
	}
	if n, m := asksBoth.lookups.Load(), asksOld.lookups.Load(); n != 0 || m != 1 {
		t.Errorf("%d look-ups with both keys, %d with the old one, want 0 and 1", n, m)
	}
	if _, err := misnamed.Verify(t.Context(), tokens[1]); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("another key under the kid: Verify = %v", err)
	}
	trail := b.admin(http.StatusOK, "GET", "/v1/admin/audit", "")["entries"]
	text, err := json.Marshal(trail)
	must(t, err)
	for _, key := range keys {
		if !strings.Contains(string(text), "encryption_key="+key.ID) {
			t.Errorf("the trail does not tell of %s: %s", key.ID, text)
		}
	}

	b.admin(http.StatusOK, "PUT", "/v1/admin/clients/svc", `{}`) // without a key it is as every client
	third := b.issued(b.call("POST", "/v1/refresh", `{"refresh_token":"`+second.Refresh+`","client":"svc"}`))
	if h := header(t, third.Access); h.Alg != "dir" {
		t.Errorf("alg without a key = %s, want dir", h.Alg)
	}
}

// What is no public key to encrypt to is refused by name, and neither kept nor quoted.
func TestEncryptionKeyRefused(t *testing.T) {
	b := newBench(t)
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	must(t, err)
	good := b.encryptTo(counterfoil.DecryptionKey{ID: "svc-1", Agreement: private})
	_, keys := b.call("GET", "/.well-known/jwks.json", "")
	signing := strings.TrimSuffix(strings.TrimPrefix(keys, `{"keys":[`), `]}`)
	for name, c := range map[string]struct{ jwk, wants string }{
		"private":   {strings.Replace(good, "{", `{"d":"canary",`, 1), "private key"},
		"signing":   {strings.TrimSpace(signing), "use must be"},
		"algorithm": {strings.Replace(good, `"ECDH-ES"`, `"RSA-OAEP-256"`, 1), "alg must be"},
		"kid":       {strings.Replace(good, `"kid":"svc-1",`, "", 1), "kid is required"},
		"text":      {`"key"`, "encryption_key"},
		"a set":     {`{"keys":[` + good + `]}`, "kid is required"},
	} {
		res, body := b.call("PUT", "/v1/admin/clients/svc", `{"encryption_key":`+c.jwk+`}`, "Authorization", "Bearer "+b.key)
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, c.wants) || strings.Contains(body, "canary") {
			t.Errorf("%s: PUT = %d %s, want 400 with %q", name, res.StatusCode, body, c.wants)
		}
	}
	if got := b.admin(http.StatusOK, "GET", "/v1/admin/clients/svc", ""); got["encryption_key"].(map[string]any)["kid"] != "svc-1" {
		t.Errorf("after what was refused the client is %v", got)
	}
}

package counterfoil_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// SES-11: at most 16 KiB of cookies are read, however many there are.
func TestCookieLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		own := source.CookieName + "=" + s.opaque("ses_1")
		pad := func(bytes int) string { return "pad=" + strings.Repeat("x", bytes-len("pad=")) }
		for _, c := range []struct {
			name    string
			cookies []string // header fields
			good    bool
		}{
			{"3,000 of them", []string{strings.Repeat("a=b; ", 3000) + own}, true},
			{"3,000 in two fields", []string{strings.Repeat("a=b; ", 1500) + "a=b", strings.Repeat("a=b; ", 1500) + own}, true},
			{"16 KiB", []string{own + "; " + pad(16<<10-len(own)-2)}, true},
			{"a byte more", []string{own + "; " + pad(16<<10-len(own)-1)}, false},
			{"a byte more in two fields", []string{own, pad(16<<10 - len(own) + 1)}, false},
			{"5,000 of them", []string{own + strings.Repeat("; a=b", 5000)}, false},
		} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Cookie"] = c.cookies
			got, err := v.VerifyRequest(r)
			if c.good && err != nil || !c.good && (err == nil || errors.Is(err, counterfoil.ErrInvalidToken) || got != nil) {
				t.Errorf("%s: %v, %v", c.name, got, err)
			}
			w := httptest.NewRecorder()
			v.Require(http.NotFoundHandler()).ServeHTTP(w, r)
			if !c.good && (w.Code != http.StatusRequestHeaderFieldsTooLarge || w.Header().Get("Set-Cookie") != "") {
				t.Errorf("%s: %d, sets %q, want 431 and the cookie kept", c.name, w.Code, w.Header().Get("Set-Cookie"))
			}
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{strings.Repeat("a=b; ", 1<<18)}
		if n := testing.AllocsPerRun(10, func() { _, _ = source.FindCredential(r, source.CookieName) }); n > 2 {
			t.Errorf("a megabyte of cookies costs %v allocations", n)
		}
	})
}

// TOK-17: a key is one issuer's. Another issuer's key under the same id, or a name of
// an issuer that is not configured, verifies nothing and causes no request.
func TestKeysOfAnotherIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		other := newSigner(t, "k1")
		asked := s.keys.Load()
		elsewhere := claims()
		elsewhere.Issuer = "https://evil.test"
		for name, text := range map[string]string{
			"their key, our name":   sign(t, other, "at+jwt", claims()),
			"their key, their name": sign(t, other, "at+jwt", elsewhere),
			"our key, their name":   s.sign(t, "at+jwt", elsewhere),
		} {
			if got, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrInvalidToken) || got != nil {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
		if n := s.keys.Load() - asked + s.lookups.Load(); n != 0 {
			t.Errorf("%d requests were made", n)
		}
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", claims())); err != nil {
			t.Errorf("a good one: %v", err)
		}
	})
}

// TOK-27: a signature is never skipped: no switch of the
// verifier or of a route makes it accept a token that was changed.
func TestNoSwitchSkipsTheSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		good := s.sign(t, "at+jwt", claims())
		forged := good[:len(good)-8] + "AAAAAAAA"
		unsigned := good[:strings.LastIndexByte(good, '.')+1]
		try := func(name string, o counterfoil.Options, route counterfoil.Route) {
			o.Issuer, o.Audience, o.Logger = issuerURL, issuerURL, quiet
			v, err := counterfoil.NewVerifier(t.Context(), s, o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			defer v.Close()
			for _, text := range []string{forged, unsigned} {
				if got, err := v.With(route).VerifyRequest(request(counterfoil.CarrierBearer, text)); !errors.Is(err, counterfoil.ErrInvalidToken) || got != nil {
					t.Errorf("%s: %v, %v", name, got, err)
				}
			}
		}
		for _, field := range reflect.VisibleFields(reflect.TypeFor[counterfoil.Options]()) {
			if field.Type.Kind() == reflect.Bool {
				var o counterfoil.Options
				reflect.ValueOf(&o).Elem().FieldByIndex(field.Index).SetBool(true)
				try(field.Name, o, counterfoil.Route{})
			}
		}
		for _, field := range reflect.VisibleFields(reflect.TypeFor[counterfoil.Route]()) {
			if field.Type.Kind() == reflect.Bool {
				var r counterfoil.Route
				reflect.ValueOf(&r).Elem().FieldByIndex(field.Index).SetBool(true)
				try("Route."+field.Name, counterfoil.Options{}, r)
			}
		}
		for _, policy := range []counterfoil.StalePolicy{counterfoil.FailClosed(), counterfoil.Introspect(), counterfoil.ServeStale(time.Minute)} {
			try(fmt.Sprint(policy), counterfoil.Options{ServeStale: time.Minute}, counterfoil.Route{Stale: policy})
		}
	})
}

// JWE-07: a verifier of signed tokens takes no encrypted one, although it could open it,
// and the other way round.
func TestFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		secret := []byte("0123456789abcdef0123456789abcdef")
		key, err := token.NewDirectKey("e1", secret)
		if err != nil {
			t.Fatal(err)
		}
		signed := s.sign(t, "at+jwt", claims())
		encrypted, err := token.EncryptDirect(key, "at+jwt", signed)
		if err != nil {
			t.Fatal(err)
		}
		held := map[counterfoil.Format]string{counterfoil.Opaque: s.opaque("ses_1"), counterfoil.JWT: signed, counterfoil.JWE: encrypted}
		for wanted := range held {
			v := follow(t, s, counterfoil.Options{
				Formats: []counterfoil.Format{wanted}, DecryptionKeys: []counterfoil.DecryptionKey{{ID: "e1", Direct: secret}},
			})
			for format, text := range held {
				got, err := v.Verify(t.Context(), text)
				if format == wanted && err != nil || format != wanted && (!errors.Is(err, counterfoil.ErrInvalidToken) || got != nil) {
					t.Errorf("a verifier of %v, given %v: %v, %v", wanted, format, got, err)
				}
			}
			v.Close()
		}
	})
}

// REV-17: what was looked up is kept, obeys the bound, and goes when the log says so.
func TestLookedUpIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		kept, gone := s.opaque("ses_1"), s.opaque("ses_2")
		for _, id := range []string{kept, kept, gone, gone} {
			if _, err := v.Verify(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.lookups.Load(); n != 2 {
			t.Errorf("%d look-ups of two sessions, want 2", n)
		}
		// The source goes on saying that the session is good: the log is believed.
		s.revoke(source.ScopeSession, "ses_2")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), gone); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("after its revocation: %v", err)
		}
		if _, err := v.Verify(t.Context(), kept); err != nil {
			t.Errorf("the other one: %v", err)
		}
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		time.Sleep(11 * time.Second)
		if _, err := v.Verify(t.Context(), kept); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("beyond the bound: %v, want ErrStale", err)
		}
	})
}

// SES-24: the session tells when and how it was proven, and a route can ask for more.
func TestStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		made := claims()
		made.Methods, made.ACR, made.AuthTime = []string{"pwd", "otp"}, "mfa", made.AuthTime-600
		r := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", made))
		got, err := v.VerifyRequest(r)
		if err != nil || got.ACR != "mfa" || fmt.Sprint(got.Methods) != "[pwd otp]" || got.AuthTime.Unix() != made.AuthTime {
			t.Fatalf("session = %+v, %v", got, err)
		}
		for _, c := range []struct {
			name string
			rule counterfoil.Rule
			want int
		}{
			{"proven within an hour", counterfoil.Fresh(time.Hour), http.StatusOK},
			{"proven within five minutes", counterfoil.Fresh(5 * time.Minute), http.StatusUnauthorized},
			{"by two factors", counterfoil.ACR("mfa"), http.StatusOK},
			{"by a passkey", counterfoil.ACR("phr"), http.StatusUnauthorized},
		} {
			w := httptest.NewRecorder()
			v.Require(nothing, c.rule).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.want)
			}
		}
	})
}

// TOK-29: an identity is an issuer and a subject. The same subject of another issuer is
// another identity, and ending the sessions of one ends no session of the other.
func TestSubjectIsOneIssuers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const elsewhere = "https://other.test"
		here, there := newScripted(t), newScripted(t)
		v := follow(t, here, counterfoil.Options{})
		defer v.Close()
		w, err := counterfoil.NewVerifier(t.Context(), there, counterfoil.Options{Issuer: elsewhere, Audience: issuerURL, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		made := claims()
		made.Issuer = elsewhere
		own, other := here.sign(t, "at+jwt", claims()), there.sign(t, "at+jwt", made)
		a, err := v.Verify(t.Context(), own)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.Verify(t.Context(), other)
		if err != nil || a.Subject != b.Subject || a.Issuer == b.Issuer || b.Issuer != elsewhere {
			t.Fatalf("%+v and %+v, %v", a, b, err)
		}
		here.revoke(source.ScopeSubject, "alice")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), own); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("the subject that was revoked: %v", err)
		}
		if _, err := w.Verify(t.Context(), other); err != nil {
			t.Errorf("its namesake: %v", err)
		}
	})
}

// An epoch is what a token says, so what is remembered of them is bounded.
func TestEpochsAreBounded(t *testing.T) {
	if n := counterfoil.Over(1000); n < 1 || n > 64 {
		t.Errorf("%d epochs are remembered, want 1 to 64", n)
	}
}

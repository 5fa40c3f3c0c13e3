package counterfoil_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// KEY-08: unknown key ids cause one fetch at most, in 10 s.
func TestUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		good := s.sign(t, "at+jwt", claims())
		stranger := newSigner(t, "k9")
		text := sign(t, stranger, "at+jwt", claims())
		_, rest, _ := strings.Cut(text, ".")
		done := make(chan struct{})
		for range 2 {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := range 5000 {
					// The signature is not reached: an unknown kid comes first.
					junk := b64(fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"random-%d"}`, i)) + "." + rest
					if _, err := v.Verify(t.Context(), junk); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("Verify = %v, want ErrInvalidToken", err)
						return
					}
				}
			}()
		}
		<-done
		<-done
		if n := s.keys.Load(); n != 2 {
			t.Errorf("%d fetches after 10,000 unknown ids, want the first and one more", n)
		}
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		s.set(func() { s.others = []token.Key{stranger.Key()} })
		if _, err := v.Verify(t.Context(), text); err != nil || s.keys.Load() != 3 {
			t.Errorf("a new key after the cooldown: %v, %d fetches", err, s.keys.Load())
		}
	})
}

// KEY-05: a revoked key is refused although it is listed, and stays so after a
// refetch and after its entry has expired.
func TestRevokedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		next := newSigner(t, "k2")
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.others = []token.Key{next.Key()} })
		s.revoke(source.ScopeKey, "k1")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) || s.keys.Load() != 1 {
			t.Errorf("seen before: %v after %d fetches, want ErrRevoked without another", err, s.keys.Load())
		}
		if _, err := v.Verify(t.Context(), sign(t, next, "at+jwt", claims())); err != nil || s.keys.Load() != 2 {
			t.Errorf("signed by its successor: %v, %d fetches", err, s.keys.Load())
		}
		for range 3 {
			time.Sleep(20 * time.Minute)
			stolen := claims()
			stolen.RV = s.head.String()
			if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", stolen)); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("signed later: %v, want ErrRevoked", err)
			}
		}
		if n := v.Status().Entries; n != 0 {
			t.Errorf("%d entries, want none", n)
		}
	})
}

// After a key was revoked, a verifier that is not asked about the next key has it within
// moments, too. Verifiers that read of it at the same time do not fetch at the same time.
func TestFetchAfterRevokedKeyIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		s.others = []token.Key{newSigner(t, "k2").Key()}
		const many = 20
		for range many {
			defer follow(t, s, counterfoil.Options{}).Close()
		}
		s.revoke(source.ScopeKey, "k1")
		synctest.Wait()
		if n := s.keys.Load(); n > many+1 {
			t.Errorf("%d fetches in the moment of the revocation, want none", n-many)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := s.keys.Load(); n != 2*many {
			t.Errorf("%d fetches soon after it, want %d", n-many, many)
		}
	})
}

// A set that changes while it is fetched is fetched once more for the checks that wait for a key
// of it.
func TestKeyRevokedDuringFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		next := newSigner(t, "k2")
		v := follow(t, slowKeys{s}, counterfoil.Options{})
		defer v.Close()
		done := make(chan error)
		go func() {
			_, err := v.Verify(t.Context(), sign(t, next, "at+jwt", claims()))
			done <- err
		}()
		synctest.Wait()
		s.set(func() { s.others = []token.Key{next.Key()} })
		s.revoke(source.ScopeKey, "k1")
		if err := <-done; err != nil || s.keys.Load() != 3 {
			t.Errorf("signed by the successor: %v after %d fetches", err, s.keys.Load())
		}
	})
}

// slowKeys answers with what was true a while ago.
type slowKeys struct{ *scripted }

func (s slowKeys) Keys(ctx context.Context) ([]byte, error) {
	set, err := s.scripted.Keys(ctx)
	time.Sleep(100 * time.Millisecond)
	return set, err
}

// KEY-12 and 4.8: a set that cannot be read leaves the old keys in use, for
// MaxKeysAge; then signed copies are stale, not invalid, and looked-up ones go on.
func TestKeysAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{MaxKeysAge: 2 * time.Hour}) // instead of 24: fewer polls to run
		defer v.Close()
		for name, bad := range map[string]func([]byte) ([]byte, error){
			"one kid twice": func(set []byte) ([]byte, error) {
				key := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
				return []byte(`{"keys":[` + key + "," + key + `]}`), nil
			},
			"no key":   func([]byte) ([]byte, error) { return []byte(`{"keys":[]}`), nil },
			"not JSON": func([]byte) ([]byte, error) { return []byte(`<html>`), nil },
			"outage":   func([]byte) ([]byte, error) { return nil, counterfoil.ErrUnavailable },
		} {
			s.set(func() { s.jwks = bad })
			asked := s.keys.Load()
			time.Sleep(10 * time.Minute)
			if st := v.Status(); s.keys.Load() == asked || st.Keys != 1 || st.KeysError == "" {
				t.Errorf("%s: %d keys, error %q", name, st.Keys, st.KeysError)
			}
			if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", claims())); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		stranger := newSigner(t, "k9")
		if _, err := v.Verify(t.Context(), sign(t, stranger, "at+jwt", claims())); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("an unknown kid while the issuer cannot be asked: %v, want ErrUnavailable", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", claims())); !errors.Is(err, counterfoil.ErrStale) || v.Ready() == nil {
			t.Errorf("on keys that are too old: %v, want ErrStale", err)
		}
		if _, err := v.Verify(t.Context(), s.opaque("ses_2")); err != nil {
			t.Errorf("a looked-up copy: %v", err)
		}
		s.set(func() { s.jwks = nil })
		time.Sleep(10 * time.Second)
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", claims())); err != nil || v.Ready() != nil {
			t.Errorf("when the keys are back: %v, %v", err, v.Ready())
		}
	})
}

// KEY-07, REV-16: no redirect, no plain http, no huge or endless body.
func TestRemoteKeys(t *testing.T) {
	for _, bad := range []string{"http://auth.test", "https://auth.test/", "ftp://auth.test", "auth.test", "http://127.0.0.1.auth.test"} {
		if _, err := counterfoil.Remote(bad, counterfoil.RemoteOptions{}); err == nil {
			t.Errorf("Remote(%q) = nil error", bad)
		}
	}
	for credential, ok := range map[string]bool{"canary": true, "canary\r\n": true, " canary": true, "": true, "can ary": false, "\ufeffcanary": false, "can\nary": false, "cänary": false} {
		_, err := counterfoil.Remote("https://auth.test", counterfoil.RemoteOptions{Credential: credential})
		if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), "RemoteOptions.Credential") || strings.Contains(err.Error(), "ary")) {
			t.Errorf("Remote with the credential %q: %v", credential, err)
		}
	}
	host := netip.MustParsePrefix("169.254.1.2/32")
	for _, o := range []counterfoil.RemoteOptions{
		{AllowAddresses: []netip.Prefix{{}}}, {AllowAddresses: []netip.Prefix{host, netip.MustParsePrefix("::/0")}},
		{AllowAddresses: []netip.Prefix{host}, Transport: http.DefaultTransport},
	} {
		if _, err := counterfoil.Remote("https://auth.test", o); err == nil || !strings.Contains(err.Error(), "AllowAddresses") {
			t.Errorf("Remote(%+v) = %v", o, err)
		}
	}
	if _, err := counterfoil.Remote("https://auth.test", counterfoil.RemoteOptions{AllowAddresses: []netip.Prefix{host}}); err != nil {
		t.Error(err)
	}
	stolen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer stolen.Close()
	var answer http.HandlerFunc
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer web.Close()
	source, err := counterfoil.Remote(web.URL, counterfoil.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stolen.URL, http.StatusFound) },
		"not found": http.NotFound,
		"huge": func(w http.ResponseWriter, r *http.Request) {
			chunk := make([]byte, 64<<10)
			for range 16 << 10 {
				if _, err := w.Write(chunk); err != nil {
					return // hung up on, as it should be
				}
			}
			t.Error("1 GiB was read")
		},
	} {
		answer = h
		if _, err := source.Keys(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		if _, err := source.Lookup(t.Context(), "x"); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: Lookup = %v, want ErrUnavailable", name, err)
		}
	}
}

// What a person has to mend is not called temporary: an operator who reads that waits.
func TestLastingIsNotTemporary(t *testing.T) {
	status := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	defer web.Close()
	remote, err := counterfoil.Remote(web.URL, counterfoil.RemoteOptions{Credential: "cfk_x"})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]string{
		401: "the issuer refuses the API key", 403: "lacks a scope", 404: "is it the issuer?", 503: "temporarily unavailable: ", 500: "temporarily unavailable: ",
	} {
		status = code
		_, err := remote.Lookup(t.Context(), "x")
		if !errors.Is(err, counterfoil.ErrUnavailable) || !strings.Contains(err.Error(), want) || code < 500 && strings.Contains(err.Error(), "temporar") {
			t.Errorf("%d: Lookup = %v, want ErrUnavailable and %q", code, err, want)
		}
	}
	status = 400
	if _, err := remote.Log(t.Context(), source.Follow{}); !errors.Is(err, counterfoil.ErrUnavailable) || !strings.Contains(err.Error(), "the bound may be longer") {
		t.Errorf("400: Log = %v, want a word about the bound", err)
	}
}

// KEY-07: a body that trickles is given up after 2 s.
func TestRemoteSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, err := counterfoil.Remote("https://auth.test", counterfoil.RemoteOptions{Transport: trickle{}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := source.Keys(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) || time.Since(begun) > 3*time.Second {
			t.Errorf("Keys = %v after %v", err, time.Since(begun))
		}
	})
}

// trickle answers with one byte a second until the request is given up.
type trickle struct{}

func (trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	body, out := io.Pipe()
	go func() {
		for {
			select {
			case <-r.Context().Done():
				out.CloseWithError(r.Context().Err())
				return
			case <-time.After(time.Second):
				_, _ = out.Write([]byte(" "))
			}
		}
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: body, Header: http.Header{}, Request: r}, nil
}

// An issuer that hangs does not hold up the checks of made-up key ids.
func TestUnknownKeyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, &hanging{scripted: s}, counterfoil.Options{})
		defer v.Close()
		begun := time.Now()
		_, err := v.Verify(t.Context(), sign(t, newSigner(t, "k9"), "at+jwt", claims()))
		if !errors.Is(err, counterfoil.ErrUnavailable) || time.Since(begun) != 500*time.Millisecond {
			t.Errorf("Verify = %v after %v", err, time.Since(begun))
		}
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", claims())); err != nil {
			t.Error(err)
		}
	})
}

// hanging answers the first question for keys, and no other.
type hanging struct{ *scripted }

func (h *hanging) Keys(ctx context.Context) ([]byte, error) {
	if h.keys.Load() == 0 {
		return h.scripted.Keys(ctx)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// KEY-11: a server that calls itself otherwise is not the issuer that was meant.
func TestRemoteName(t *testing.T) {
	is := counterfoiltest.New(t)
	for name, url := range map[string]string{"as it is": is.URL, "another name": strings.Replace(is.URL, "127.0.0.1", "localhost", 1)} {
		source, err := counterfoil.Remote(url, counterfoil.RemoteOptions{Credential: is.APIKey})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Keys(t.Context()); (err == nil) != (url == is.URL) || err != nil && !strings.Contains(err.Error(), is.URL) {
			t.Errorf("%s: Keys = %v", name, err)
		}
	}
}

// KEY-07, REV-16: the keys and the log come from a server whose certificate is trusted, and
// from no other: it is sent nothing.
func TestCertificateOfAStranger(t *testing.T) {
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshake
	web.StartTLS()
	defer web.Close()
	source, err := counterfoil.Remote(web.URL, counterfoil.RemoteOptions{Credential: "key"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: web.URL, Audience: web.URL})
	if _, is := errors.AsType[*tls.CertificateVerificationError](err); !is {
		t.Errorf("NewVerifier = %v, want an error about the certificate", err)
	}
}

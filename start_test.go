package counterfoil_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
)

// REV-07: a verifier that starts before its issuer answers 503 to every carrier, by each policy, and
// takes no cookie away. It accepts nothing before it has read the log, and everything good soon after.
func TestStartStale(t *testing.T) {
	for _, carrier := range presets {
		synctest.Test(t, func(t *testing.T) {
			auth := &cuttable{Issuer: newIssuer(t)}
			good, revoked := signIn(t, auth.Issuer, carrier).Access.Reveal(), signIn(t, auth.Issuer, carrier)
			if _, err := auth.Issuer.Revoke(t.Context(), source.ScopeSession, revoked.Session.ID, audit.Act{}); err != nil {
				t.Fatal(err)
			}
			auth.cut.Store(true)
			o := counterfoil.Options{Issuer: issuerURL, Audience: issuerURL, ServeStale: time.Minute, Logger: quiet}
			if _, err := counterfoil.NewVerifier(t.Context(), auth, o); !errors.Is(err, counterfoil.ErrUnavailable) {
				t.Fatalf("without StartStale: %v, want ErrUnavailable", err)
			}
			var log bytes.Buffer
			o.StartStale, o.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
			v, err := counterfoil.NewVerifier(t.Context(), auth, o)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			for name, p := range map[string]counterfoil.StalePolicy{"fail closed": {}, "introspect": counterfoil.Introspect(), "serve stale": counterfoil.ServeStale(time.Minute)} {
				for _, access := range []string{good, revoked.Access.Reveal()} {
					w := httptest.NewRecorder()
					v.With(counterfoil.Route{Stale: p}).Require(http.NotFoundHandler()).ServeHTTP(w, request(carrier, access))
					if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header()["Set-Cookie"] != nil {
						t.Errorf("%v, %s: %d %v, want 503", carrier, name, w.Code, w.Header())
					}
				}
			}
			if err := v.Ready(); !errors.Is(err, counterfoil.ErrStale) || !strings.Contains(err.Error(), "the issuer has not answered yet") {
				t.Errorf("Ready = %v", err)
			}
			if st := v.Status(); !st.Stale || st.Waiting == "" {
				t.Errorf("Status = %+v", st)
			}
			time.Sleep(time.Minute)
			auth.cut.Store(false)
			time.Sleep(5 * time.Second)
			if err := v.Ready(); err != nil || v.Status().Waiting != "" {
				t.Errorf("Ready = %v, %+v", err, v.Status())
			}
			if _, err := v.VerifyRequest(request(carrier, good)); err != nil {
				t.Errorf("%v, a good one: %v", carrier, err)
			}
			if _, err := v.VerifyRequest(request(carrier, revoked.Access.Reveal())); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%v, a revoked one: %v", carrier, err)
			}
			if text := log.String(); strings.Count(text, "waiting for the issuer") != 1 || strings.Count(text, "the issuer has answered: ") != 1 || strings.Count(text, "\n") != 2 {
				t.Errorf("the log says\n%s", text)
			}
		})
	}
}

// A verifier that waits for its issuer ends at once.
func TestCloseWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		s.down = counterfoil.ErrUnavailable
		v := follow(t, s, counterfoil.Options{StartStale: true})
		if _, err := v.With(counterfoil.Route{Stale: counterfoil.Introspect()}).VerifyRequest(request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", claims()))); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("while it waits: %v, want ErrStale", err)
		}
		begun := time.Now()
		v.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

// answering is an issuer that answers each question by its path.
type answering func(path string) (status int, body string)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := a(r.URL.Path)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// What a person must change is told at the start. If it comes later, the log says it once, and Ready does.
func TestStartStaleNeedsAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, err := newScripted(t).Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		start := func(a answering) (*counterfoil.Verifier, error) {
			from, err := counterfoil.Remote(issuerURL, counterfoil.RemoteOptions{Transport: a})
			if err != nil {
				t.Fatal(err)
			}
			return counterfoil.NewVerifier(t.Context(), from, counterfoil.Options{
				Issuer: issuerURL, Audience: issuerURL, StartStale: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
		}
		lives := func(log int) answering {
			return func(path string) (int, string) {
				switch path {
				case "/.well-known/jwks.json":
					return 200, string(keys)
				case "/v1/log":
					return log, ""
				}
				return 200, fmt.Sprintf(`{"issuer":%q}`, issuerURL)
			}
		}
		for name, c := range map[string]struct {
			answering
			want string
		}{
			"key refused":  {lives(401), "the issuer refuses the API key"},
			"no scope":     {lives(403), "lacks a scope"},
			"bound":        {lives(400), "the bound may be longer"},
			"no issuer":    {func(string) (int, string) { return 404, "" }, "is it the issuer?"},
			"another name": {func(string) (int, string) { return 200, `{"issuer":"https://other.test","keys":[]}` }, `calls itself "https://other.test"`},
		} {
			if v, err := start(c.answering); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", name, err, c.want)
				v.Close()
			}
		}
		if text := log.String(); text != "" {
			t.Errorf("the log says\n%s", text)
		}
		var up atomic.Bool
		v, err := start(func(path string) (int, string) {
			if !up.Load() {
				return 502, ""
			}
			return lives(401)(path)
		})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		synctest.Wait()
		up.Store(true)
		time.Sleep(time.Minute)
		if err := v.Ready(); !errors.Is(err, counterfoil.ErrStale) || !strings.Contains(err.Error(), "refuses the API key") {
			t.Errorf("Ready = %v", err)
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || strings.Count(text, "level=ERROR msg=\"the issuer has answered, and cannot be followed\"") != 1 {
			t.Errorf("the log says\n%s", text)
		}
	})
}

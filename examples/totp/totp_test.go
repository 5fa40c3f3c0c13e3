package totp

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// RFC 6238 appendix B, the last six digits.
func TestVectors(t *testing.T) {
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := Code([]byte("12345678901234567890"), time.Unix(at, 0)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

const pass = "a long and quiet afternoon"

// app is a program with the server inside it, a user, and a clock that a test can set.
type app struct {
	*testing.T
	auth  *server.Embedded
	later atomic.Int64
}

func (a *app) now() time.Time { return time.Now().Add(time.Duration(a.later.Load())) }

func newApp(t *testing.T) *app {
	a := &app{T: t}
	db := memory.New()
	t.Cleanup(func() { _ = db.Close() })
	var err error
	a.auth, err = server.Open(t.Context(), server.Config{
		Store: db, URL: "http://127.0.0.1:8080", Methods: []login.Method{Method{a.now}},
		Now: a.now, InsecureHashes: true, Audit: func(audit.Entry) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.auth.Close() })
	if err := a.auth.AddUser(t.Context(), "alice", pass); err != nil {
		t.Fatal(err)
	}
	return a
}

// answer is an answer of the API.
type answer struct {
	status  int
	Attempt string `json:"attempt"`
	Method  string `json:"method"`
	Access  string `json:"access_token"`
	Session struct {
		Methods []string `json:"amr"`
	} `json:"session"`
}

func (a *app) call(path, body string, header ...string) (got answer) {
	a.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	a.auth.ServeHTTP(w, r)
	data, err := io.ReadAll(w.Body)
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil {
		a.Fatalf("%s = %d %s", path, w.Code, data)
	}
	got.status = w.Code
	return got
}

func (a *app) password() answer {
	a.Helper()
	return a.call("/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`)
}

// session is of alice, who has given the password.
func (a *app) session() *counterfoil.Session {
	a.Helper()
	got := a.password()
	if got.status != http.StatusOK {
		a.Fatalf("the password: %+v", got)
	}
	s, err := a.auth.Issuer().Account(a.Context(), got.Access, counterfoil.Header)
	if err != nil {
		a.Fatal(err)
	}
	return s
}

func (a *app) code(attempt, code string) answer {
	a.Helper()
	return a.call("/v1/login/continue", `{"attempt":"`+attempt+`","answer":{"answer":"`+code+`"}}`)
}

// A user with the app must enter its code after the password. A code is accepted once.
func TestSecondStep(t *testing.T) {
	a := newApp(t)
	session := a.session()
	secret := NewSecret()
	if uri := URI(secret, "Counterfoil", "alice"); !strings.HasPrefix(uri, "otpauth://totp/Counterfoil:alice?issuer=Counterfoil&secret=") {
		t.Error(uri)
	}
	m := Method{a.now}
	if err := m.Enrol(t.Context(), a.auth.Users(), session, audit.Act{By: audit.ByLocal}, secret, "000000"); err == nil {
		t.Error("a wrong code enrols") // the probability that it is right is one in a million
	}
	if err := m.Enrol(t.Context(), a.auth.Users(), session, audit.Act{By: audit.ByLocal}, secret, Code(secret, a.now())); err != nil {
		t.Fatal(err)
	}
	asked := a.password()
	if asked.status != http.StatusAccepted || asked.Method != "totp" || asked.Access != "" {
		t.Fatalf("the password alone: %+v", asked)
	}
	if got := a.code(asked.Attempt, Code(secret, a.now())); got.status != http.StatusUnauthorized {
		t.Errorf("the code of the enrolment again: %+v", got)
	}
	a.later.Add(int64(step))
	a.later.Add(int64(step))
	code := Code(secret, a.now())
	asked = a.password()
	got := a.code(asked.Attempt, code)
	if got.status != http.StatusOK || !slices.Equal(got.Session.Methods, []string{"pwd", "otp", "mfa"}) {
		t.Fatalf("password and code: %+v", got)
	}
	if again := a.code(asked.Attempt, code); again.status != http.StatusUnauthorized {
		t.Errorf("the same attempt again: %+v", again)
	}
	if replayed := a.code(a.password().Attempt, code); replayed.status != http.StatusUnauthorized {
		t.Errorf("the same code again: %+v", replayed)
	}
	if alone := a.call("/v1/login", `{"identifier":"alice","method":"totp","input":{},"carrier":"bearer"}`); alone.status != http.StatusUnauthorized {
		t.Errorf("a code without the password: %+v", alone)
	}
	a.later.Add(int64(3 * step))
	bearer := []string{"Authorization", "Bearer " + got.Access}
	up := a.call("/v1/session/step-up", `{"method":"totp"}`, bearer...)
	if up.status != http.StatusAccepted {
		t.Fatalf("step-up: %+v", up)
	}
	up = a.call("/v1/login/continue", `{"attempt":"`+up.Attempt+`","answer":{"answer":"`+Code(secret, a.now())+`"}}`, bearer...)
	if up.status != http.StatusOK {
		t.Errorf("step-up with the code: %+v", up)
	}
}

// An attacker with the password and without the app gets five guesses. Then each guess needs a
// longer wait.
func TestGuessesAreSlowedDown(t *testing.T) {
	a := newApp(t)
	secret := NewSecret()
	if err := (Method{a.now}).Enrol(t.Context(), a.auth.Users(), a.session(), audit.Act{By: audit.ByLocal}, secret, Code(secret, a.now())); err != nil {
		t.Fatal(err)
	}
	guesses := 0
	for range 9 {
		asked := a.password()
		if asked.status == http.StatusTooManyRequests {
			break
		}
		if got := a.code(asked.Attempt, "no code"); got.status != http.StatusUnauthorized {
			t.Fatalf("a guess: %+v", got)
		}
		guesses++
	}
	if guesses != 5 {
		t.Errorf("%d guesses before the first wait, want 5", guesses)
	}
}

package source_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// An answer of introspection is a session, whole, or nothing but that there is none.
func TestIntrospection(t *testing.T) {
	s := &counterfoil.Session{
		ID: "ses_1", Issuer: "https://auth.test", Subject: "alice", Client: "web", Audience: []string{"a"},
		Scopes: []string{"read", "write"}, Roles: []string{"staff"}, AuthTime: time.Unix(5, 0), IssuedAt: time.Unix(6, 0), Expires: time.Unix(7, 0), Born: at(8),
	}
	for want, i := range map[string]source.Introspection{
		`{"active":false}`: {},
		`{"active":true,"iss":"https://auth.test","sub":"alice","sid":"ses_1","client_id":"web","aud":["a"],"exp":7,"iat":6,` +
			`"scope":"read write","roles":["staff"],"auth_time":5,"rv":"0000000000000001.8"}`: {Session: s},
	} {
		text, err := json.Marshal(i)
		if err != nil || string(text) != want {
			t.Errorf("written: %s, %v, want %s", text, err, want)
		}
		var read source.Introspection
		if err := json.Unmarshal(text, &read); err != nil || !reflect.DeepEqual(read, i) {
			t.Errorf("%s is read as %+v, %v", text, read.Session, err)
		}
	}
	for _, bad := range []string{
		`{"active":true}`, `{"active":true,"active":false}`, `[]`, `{"active":true,"sub":"a","sid":"s","exp":1}`, `{"active":true,"sub":"a","sid":"s","exp":1,"rv":"x"}`,
	} {
		i := source.Introspection{Session: s}
		if err := json.Unmarshal([]byte(bad), &i); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, counterfoil.ErrInvalidToken) || i.Session != s {
			t.Errorf("%s: %+v, %v, want ErrUnavailable and no change", bad, i.Session, err)
		}
	}
}

func TestNewContext(t *testing.T) {
	s := &counterfoil.Session{ID: "ses_1"}
	if got, ok := counterfoil.FromContext(source.NewContext(t.Context(), s)); !ok || got != s {
		t.Errorf("FromContext = %v, %v", got, ok)
	}
	if got, ok := counterfoil.FromContext(t.Context()); ok || got != nil {
		t.Errorf("FromContext of no session = %v, %v", got, ok)
	}
}

// The problem of an error depends on how the credential came: a browser gets no challenge
// for a cookie. An outage is never 401.
func TestProblemFor(t *testing.T) {
	for _, c := range []struct {
		err       error
		by        counterfoil.Transport
		status    int
		challenge string
	}{
		{counterfoil.ErrRevoked, counterfoil.Header, http.StatusUnauthorized, `Bearer error="invalid_token"`},
		{counterfoil.ErrRevoked, counterfoil.Cookie, http.StatusUnauthorized, ""},
		{source.ErrDuplicateCookie, counterfoil.Cookie, http.StatusUnauthorized, ""},
		{source.ErrMultipleCredentials, counterfoil.Header, http.StatusBadRequest, ""},
		{source.ErrCrossOrigin, counterfoil.Cookie, http.StatusForbidden, ""},
		{counterfoil.ErrStale, counterfoil.Header, http.StatusServiceUnavailable, ""},
		{errors.Join(counterfoil.ErrUnavailable, counterfoil.ErrInvalidToken), counterfoil.Header, http.StatusServiceUnavailable, ""},
		{&source.StepUpError{ACR: []string{"mfa"}}, counterfoil.Header, http.StatusUnauthorized, `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="mfa"`},
		{errors.New("secret"), counterfoil.Header, http.StatusInternalServerError, ""},
	} {
		p := source.ProblemFor(c.err, c.by)
		if p.Status != c.status || p.Challenge != c.challenge || !errors.Is(p, c.err) {
			t.Errorf("%v by %v: %d %q, %v", c.err, c.by, p.Status, p.Challenge, p)
		}
	}
}

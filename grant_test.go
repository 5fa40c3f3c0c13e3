package counterfoil_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// One session, two clients: the end of what one holds is for its copies alone, and for
// those that were born before it.
func TestEndOfAGrant(t *testing.T) {
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{})
	defer v.Close()
	copyFor := func(client, id string, seq uint64) string {
		c := claims()
		c.Client, c.ID, c.RV = client, id, at(seq).String()
		return s.sign(t, "at+jwt", c)
	}
	born := s.revoke(source.ScopeSession, "ses_other").Seq
	web, app := copyFor("web", "tok_web", born), copyFor("app", "tok_app", born)
	check := func(name, access string, want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), access); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	check("web", web, nil)
	check("app", app, nil)
	end := s.revoke(source.ScopeGrant, "ses_1 app")
	if err := v.WaitFor(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	check("web after the end of app", web, nil)
	check("app after its end", app, counterfoil.ErrRevoked)
	check("another old copy of app", copyFor("app", "tok_app2", born), counterfoil.ErrRevoked)
	check("app, granted again", copyFor("app", "tok_app3", end.Seq), nil)
	if err := v.WaitFor(t.Context(), s.revoke(source.ScopeSession, "ses_1")); err != nil {
		t.Fatal(err)
	}
	check("web after the end of the session", web, counterfoil.ErrRevoked)
	check("app after the end of the session", copyFor("app", "tok_app4", end.Seq), counterfoil.ErrRevoked)
}

// What an issuer of tomorrow writes may mean anything. A verifier that does not know its
// scope refuses every copy, and goes on when the entry has expired.
func TestUnknownScope(t *testing.T) {
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{})
	defer v.Close()
	seen, id := s.sign(t, "at+jwt", claims()), s.opaque("ses_2")
	for _, access := range []string{seen, id} {
		if _, err := v.Verify(t.Context(), access); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.WaitFor(t.Context(), s.revoke("scope of tomorrow", "ses_9 web")); err != nil {
		t.Fatal(err)
	}
	c := claims()
	c.ID = "tok_new"
	for name, access := range map[string]string{"seen": seen, "opaque": id, "new": s.sign(t, "at+jwt", c)} {
		if _, err := v.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("%s: %v, want ErrRevoked", name, err)
		}
	}
}

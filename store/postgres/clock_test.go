package postgres_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// OPS-15, REV-13: of two nodes on one database the one whose clock is wrong issues nothing,
// and sweeps nothing that a verifier needs which starts later. It revokes, and tells those
// who follow it the time of the database.
func TestNodeWithAWrongClock(t *testing.T) {
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	begun := time.Now()
	node := func(off time.Duration) *server.Embedded {
		e, err := server.Open(t.Context(), server.Config{
			Store: open(t, dsn), URL: "https://auth.test", SealKey: [32]byte{1}, Offline: true, InsecureHashes: true, AccessTTL: 15 * time.Minute,
			Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
			Now:     func() time.Time { return time.Now().Add(off) },
			Elapsed: func() time.Duration { return time.Since(begun) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	right := node(0)
	first, second := signIn(t, right.Issuer(), "alice"), signIn(t, right.Issuer(), "alice")
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute, 24 * time.Hour} {
		wrong := node(off)
		for n, i := range []*issuer.Issuer{right.Issuer(), wrong.Issuer()} {
			token := []*issuer.Issued{first, second}[n].Session.TokenID
			if _, err := i.Revoke(t.Context(), source.ScopeToken, token, audit.Act{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := wrong.Clock().Err(); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%v off: Err = %v", off, err)
		}
		rev, err := right.Issuer().SubjectRev(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		proof := login.Proof{Subject: "bob", Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev}
		if _, err := wrong.Issuer().Login(t.Context(), proof, issuer.Request{}); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%v off: Login = %v, want ErrUnavailable", off, err)
		}
		if err := wrong.Issuer().Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, followed := range map[string]*server.Embedded{"the right node": right, "the wrong node": wrong} {
			page, err := followed.Issuer().Log(t.Context(), source.Follow{})
			if err != nil || time.Until(page.Time).Abs() > nearly {
				t.Errorf("%v off: %s tells the time %v, %v", off, name, page.Time, err)
			}
			v, err := counterfoil.NewVerifier(t.Context(), followed.Issuer(), counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test", Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatalf("%v off: a verifier of %s: %v", off, name, err)
			}
			for n, i := range []*issuer.Issued{first, second} {
				if _, err := v.Verify(t.Context(), i.Access.Reveal()); !errors.Is(err, counterfoil.ErrRevoked) {
					t.Errorf("%v off: a new verifier of %s says of token %d: %v, want ErrRevoked", off, name, n, err)
				}
			}
			v.Close()
		}
		if err := right.Clock().Err(); err != nil {
			t.Errorf("%v off: the right node: %v", off, err)
		}
		_ = wrong.Close()
	}
}

// nearly allows for the time between two readings: all clocks here are of one machine.
const nearly = 10 * time.Second

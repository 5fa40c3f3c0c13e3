package password_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
)

// prover is passwords, and the flow that runs them as a way of signing in.
type prover struct {
	*password.Passwords
	*flow.Flow
}

func newProver(t testing.TB, s store.Store, users *directory.Directory, guesses *throttle.Throttle, o password.Options) prover {
	t.Helper()
	o.Users, o.Throttle, o.InsecureHashes = users, guesses, true
	passwords, err := password.New(o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := flow.New(flow.Options{
		Store: s, Users: users, Throttle: guesses, Methods: []login.Method{passwords}, Now: o.Now,
		SubjectRev: func(context.Context, string) (uint64, error) { return 7, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return prover{passwords, f}
}

// Prove signs in as far as the proof.
func (p prover) Prove(ctx context.Context, r flow.Request) (login.Proof, error) {
	got, err := p.Flow.Begin(ctx, r)
	if err != nil {
		return login.Proof{}, err
	}
	return *got.Proof, nil
}

func attempt(identifier, pass string) flow.Request {
	return flow.Request{Identifier: identifier, Input: input(pass), Address: netip.MustParseAddr("192.0.2.1")}
}

func input(pass string) login.Secret {
	text, _ := json.Marshal(map[string]string{"password": pass})
	return secret.New(string(text))
}

func newThrottle(t testing.TB, s store.Store, now func() time.Time) *throttle.Throttle {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	made, err := throttle.New(throttle.Options{Store: s, Key: key, Now: now, PerSecond: 60})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

package flow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/login"
)

// passkey finds out itself who it is, whatever name was given.
type passkey struct{ of string }

func (passkey) Name() string { return "passkey" }

func (k passkey) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	account, err := a.Lookup(ctx, k.of)
	if err != nil {
		return login.Step{}, err
	}
	if a.Input.Reveal() == `{"ask":true}` {
		return login.Step{Challenge: &login.Challenge{Public: map[string]string{"ask": "touch it"}}}, nil
	}
	return login.Step{Proof: account.Prove("hwk")}, nil
}

func (k passkey) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	account, err := a.Lookup(ctx, k.of)
	if err != nil {
		return login.Step{}, err
	}
	return login.Step{Proof: account.Prove("hwk")}, nil
}

// LOGIN-09: who proves to be somebody else than the name says ends no row of failures at
// that name. An account of one's own would let one guess at another for ever.
func TestOthersEndNoRow(t *testing.T) {
	for _, input := range []string{"", `{"ask":true}`} {
		key := &passkey{}
		b := newBench(t, word{"word"}, key)
		b.user("alice", "word", "secret")
		key.of = b.user("mallory").ID
		signIn := func() error {
			r, err := b.begin("passkey", "Alice", input)
			if err == nil && r.Challenge != nil {
				r, err = b.answer(r, "")
			}
			if err == nil && r.Proof.Subject != key.of {
				t.Errorf("proven: %+v", r.Proof)
			}
			return err
		}
		throttled := false
		for range 6 {
			_, err := b.begin("word", "alice", `{"word":"wrong"}`)
			throttled = throttled || errors.As(err, &login.Throttled{})
			if err := signIn(); err != nil && !errors.As(err, &login.Throttled{}) {
				t.Fatal(err)
			}
		}
		if !throttled {
			t.Errorf("%q: six guesses at alice between logins of mallory, and no wait", input)
		}
		// The name's own account ends it.
		b.later(time.Hour)
		key.of, _ = b.users.IDOf(t.Context(), "alice")
		b.must(signIn())
		for range 5 {
			if _, err := b.begin("word", "alice", `{"word":"wrong"}`); !errors.Is(err, login.ErrRefused) {
				t.Errorf("%q: after a login of alice = %v", input, err)
			}
		}
	}
}

// looker proves the account of the name, and looks at another one last.
type looker struct{ passkey }

func (k looker) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	account, err := a.Account(ctx)
	if err == nil {
		_, err = a.Lookup(ctx, k.of)
	}
	return login.Step{Proof: account.Prove("hwk")}, err
}

// LOGIN-09: an account that was only looked at is not the result's: its name would get the
// client a device credential of somebody else.
func TestResultNamesWhoWasProven(t *testing.T) {
	key := &looker{}
	b := newBench(t, key)
	alice := b.user("alice")
	key.of = b.user("mallory").ID
	if r, err := b.begin("passkey", "alice", ""); err != nil || r.Proof.Subject != alice.ID || r.Account != "" {
		t.Errorf("proven: %+v, %v, want alice, and no other account", r, err)
	}
}

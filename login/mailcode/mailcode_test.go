package mailcode_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/login/mailcode"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// second is a second factor of the users who have one.
type second struct{}

func (second) Name() string { return "second" }
func (second) Begin(context.Context, login.Attempt) (login.Step, error) {
	return login.Step{}, login.ErrRefused
}
func (second) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	account, err := a.Account(ctx)
	if err != nil || !strings.Contains(a.Input.Reveal(), "yes") {
		return login.Step{}, errors.Join(err, login.ErrRefused)
	}
	return login.Step{Proof: account.Prove("second")}, nil
}
func (second) After(ctx context.Context, a login.Attempt) (*login.Challenge, error) {
	account, err := a.Account(ctx)
	if err != nil || len(account.Credentials) == 0 {
		return nil, err
	}
	return &login.Challenge{Public: map[string]string{}}, nil
}

type bench struct {
	*flow.Flow
	t     *testing.T
	store *storetest.FaultyStore
	users *directory.Directory
	now   time.Time
	codes map[string]string // by message id
	to    map[string]directory.User
	from  netip.Addr // of the next request: each comes from elsewhere
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, store: storetest.Faulty(memory.New()), now: time.Now(), codes: map[string]string{}, to: map[string]directory.User{}, from: netip.MustParseAddr("192.0.2.1")}
	now := func() time.Time { return b.now }
	trail, err := audit.New(audit.Options{Store: b.store, Hook: func(audit.Entry) {}})
	must(t, err)
	b.users, err = directory.New(directory.Options{Store: b.store, Audit: trail, Now: now})
	must(t, err)
	limits, err := throttle.New(throttle.Options{Store: b.store, Key: make([]byte, 32), Now: now})
	must(t, err)
	m, err := mailcode.New(mailcode.Options{
		Key: make([]byte, 32), Now: now,
		Compose: func(u directory.User, code secret.String, _ time.Time) (store.Record, error) {
			id := fmt.Sprintf("%06d", len(b.codes))
			b.codes[id], b.to[id] = code.Reveal(), u
			return store.Record{Key: store.Key{Kind: "letter", ID: id}, Value: []byte(`{}`)}, nil
		},
		Send: b.users.MailCode,
	})
	must(t, err)
	b.Flow, err = flow.New(flow.Options{
		Store: b.store, Users: b.users, Throttle: limits, Methods: []login.Method{m, second{}}, Now: now,
		SubjectRev: func(context.Context, string) (uint64, error) { return 7, nil },
	})
	must(t, err)
	return b
}

func (b *bench) user(u directory.User, kinds ...string) directory.User {
	b.t.Helper()
	u, err := b.users.Create(b.t.Context(), audit.Act{}, u)
	must(b.t, err)
	for _, kind := range kinds {
		must(b.t, b.users.SaveCredential(b.t.Context(), u.ID, login.Credential{Kind: kind, Data: json.RawMessage(`{}`)}, audit.Entry{}))
	}
	u, err = b.users.ByID(b.t.Context(), u.ID)
	must(b.t, err)
	return u
}

func (b *bench) elsewhere() netip.Addr {
	b.from = b.from.Next()
	return b.from
}

// letters are the ids of the messages that were committed.
func (b *bench) letters() (ids []string) {
	for rec, err := range b.store.List(b.t.Context(), "letter", "*", "") {
		must(b.t, err)
		ids = append(ids, rec.ID)
	}
	return ids
}

// code is the newest that was mailed.
func (b *bench) code() string {
	ids := b.letters()
	if len(ids) == 0 {
		b.t.Fatal("no code was mailed")
	}
	return b.codes[ids[len(ids)-1]]
}

func (b *bench) begin(name string) (flow.Result, error) {
	return b.Begin(b.t.Context(), flow.Request{Method: "mail", Identifier: name, Address: b.elsewhere(), Apart: true})
}

func (b *bench) ask(name string) flow.Result {
	b.t.Helper()
	r, err := b.begin(name)
	must(b.t, err)
	return r
}

func (b *bench) answer(r flow.Result, text string) (flow.Result, error) {
	return b.Finish(b.t.Context(), flow.Answer{Attempt: r.Attempt, Secret: r.Secret, Address: b.elsewhere(), Input: login.NewSecret(`{"answer":"` + text + `"}`)})
}

func wrong(code string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, code)
}

// A code signs in the user whom it was mailed to, in the browser that asked, once. Five that are wrong are the end.
func TestSignInByCode(t *testing.T) {
	b := newBench(t)
	u := b.user(directory.User{Identifier: "ada@example.com", Verified: b.now})
	r := b.ask("Ada@example.com")
	if string(r.Challenge) != `{"digits":8,"tries":5}` || r.Expires.Sub(b.now) > directory.CodeTTL {
		t.Errorf("the challenge is %s until %v", r.Challenge, r.Expires)
	}
	code := b.code()
	other := b.ask("ada@example.com")
	if _, err := b.answer(flow.Result{Attempt: r.Attempt, Secret: other.Secret}, code); !errors.Is(err, login.ErrOver) {
		t.Errorf("in another browser = %v, want ErrOver", err)
	}
	if again, err := b.answer(other, code); err != nil || again.Proof != nil {
		t.Errorf("the code of another attempt = %+v, %v", again, err)
	}
	got, err := b.answer(r, code[:4]+" "+code[4:])
	if err != nil || got.Proof == nil || got.Proof.Subject != u.ID || fmt.Sprint(got.Proof.Methods) != "[mail]" || got.Proof.ACR != "" || got.Proof.SubjectRev != 7 {
		t.Fatalf("the code = %+v, %v", got, err)
	}
	if _, err := b.answer(r, code); !errors.Is(err, login.ErrOver) {
		t.Errorf("once more = %v, want ErrOver", err)
	}

	r = b.ask("ada@example.com")
	code = b.code()
	for n := range 5 {
		next, err := b.answer(r, wrong(code))
		if n == 4 {
			if !errors.Is(err, login.ErrRefused) {
				t.Errorf("the fifth wrong code = %v, want ErrRefused", err)
			}
			break
		}
		if want := fmt.Sprintf(`{"digits":8,"tries":%d,"wrong":true}`, 4-n); err != nil || string(next.Challenge) != want {
			t.Fatalf("wrong code %d: %s, %v, want %s", n+1, next.Challenge, err, want)
		}
		if _, err := b.answer(r, code); !errors.Is(err, login.ErrOver) {
			t.Errorf("the right code at a question that was answered = %v, want ErrOver", err)
		}
		r = next
	}

	b.now = b.now.Add(time.Hour)
	r = b.ask("ada@example.com")
	b.now = b.now.Add(directory.CodeTTL)
	if _, err := b.answer(r, b.code()); !errors.Is(err, login.ErrOver) {
		t.Errorf("after ten minutes = %v, want ErrOver", err)
	}
}

// LOGIN-18: a user with a second factor is asked for it, also after the fifth try.
func TestSecondFactorIsAskedFor(t *testing.T) {
	b := newBench(t)
	u := b.user(directory.User{Identifier: "ada@example.com", Verified: b.now}, "second")
	r := b.ask("ada@example.com")
	code := b.code()
	for range 4 {
		var err error
		r, err = b.answer(r, wrong(code))
		must(t, err)
	}
	r, err := b.answer(r, code)
	if err != nil || r.Proof != nil || r.Method != "second" {
		t.Fatalf("after the code %+v, %v, want the second factor", r, err)
	}
	got, err := b.answer(r, "yes")
	if err != nil || got.Proof == nil || got.Proof.Subject != u.ID || fmt.Sprint(got.Proof.Methods) != "[mail second]" {
		t.Errorf("after both %+v, %v", got, err)
	}
	if _, is := login.Method(&mailcode.Method{}).(login.Second); is {
		t.Error("a mailed code is a second factor")
	}
}

// LOGIN-06: for a user whom no code is mailed to, the answers and the calls of the store are the same, try by
// try; also for one who had too many.
func TestSignInByCodeTellsNothing(t *testing.T) {
	b := newBench(t)
	b.user(directory.User{Identifier: "known@example.com", Verified: b.now})
	b.user(directory.User{Identifier: "claimed@example.com"})
	b.user(directory.User{Identifier: "bob"})
	gone := b.user(directory.User{Identifier: "gone@example.com", Verified: b.now})
	gone.Status = directory.Disabled
	must(t, b.users.Write(t.Context(), gone, nil, audit.Entry{}))
	for round := range 8 {
		want := ""
		for _, name := range []string{"known@example.com", "claimed@example.com", "bob", "gone@example.com", "nobody@example.com"} {
			b.now = b.now.Add(3 * time.Second) // the limits of guessing are not what is tested
			before, reads, commits := len(b.letters()), b.store.Calls(storetest.OpGet), b.store.Calls(storetest.OpCommit)
			r, err := b.begin(name)
			must(t, err)
			got := string(r.Challenge)
			for range 5 {
				var next flow.Result
				if next, err = b.answer(r, "no code"); err != nil {
					break
				}
				got += string(next.Challenge)
				r = next
			}
			got += fmt.Sprint(err, b.store.Calls(storetest.OpGet)-reads, b.store.Calls(storetest.OpCommit)-commits)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("round %d, %s:\n%s, others\n%s", round, name, got, want)
			}
			if sent := len(b.letters()) > before; sent != (name == "known@example.com" && round < 6) {
				t.Errorf("round %d, %s: mailed %v", round, name, sent)
			}
		}
	}
}

// A code that is mailed to an address which is not the user's any more signs nobody in; and at most six an hour
// are mailed: what a seventh would have been signs nobody in.
func TestCodeOfAnAddressBefore(t *testing.T) {
	b := newBench(t)
	u := b.user(directory.User{Identifier: "ada", Address: "old@example.com", Verified: b.now})
	r := b.ask("ada")
	code := b.code()
	u.Address = "new@example.com"
	must(t, b.users.Write(t.Context(), u, nil, audit.Entry{}))
	if got, err := b.answer(r, code); err != nil || got.Proof != nil {
		t.Errorf("a code to the address before = %+v, %v", got, err)
	}
	for range 9 {
		b.now = b.now.Add(5 * time.Minute)
		again, err := b.begin("ada")
		if err != nil && !login.Unchecked(err) {
			t.Fatal(err)
		}
		if err == nil {
			r = again
		}
	}
	if n := len(b.letters()); n != 6 {
		t.Errorf("%d codes were mailed within an hour, want 6", n)
	}
	if got, err := b.answer(r, b.codes[fmt.Sprintf("%06d", len(b.codes)-1)]); err != nil || got.Proof != nil {
		t.Errorf("a code that was not mailed = %+v, %v", got, err)
	}
}

package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// word is a way of signing in by one word, which is a credential.
type word struct{ name string }

func (w word) Name() string { return w.name }

func (w word) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Word string `json:"word"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	for _, c := range account.Credentials {
		if string(c.Data) == `"`+in.Word+`"` {
			return login.Step{Proof: account.Prove(w.name), Used: &c}, nil
		}
	}
	return login.Step{}, login.ErrRefused
}

func (w word) Finish(context.Context, login.Attempt) (login.Step, error) {
	return login.Step{}, login.ErrRefused
}

// riddle asks, and wants the answer. It is a second step for accounts that have one.
type riddle struct {
	name   string
	second bool
	asked  atomic.Int64
	down   atomic.Bool
}

func (m *riddle) Name() string { return m.name }

func (m *riddle) challenge(account login.Account) *login.Challenge {
	m.asked.Add(1)
	answer := "nothing"
	if len(account.Credentials) > 0 {
		answer = strings.Trim(string(account.Credentials[0].Data), `"`)
	}
	return &login.Challenge{Public: map[string]string{"ask": "what is it?"}, State: []byte(answer)}
}

func (m *riddle) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	if m.second && !a.StepUp {
		return login.Step{}, login.ErrRefused
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	return login.Step{Challenge: m.challenge(account)}, nil
}

func (m *riddle) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Answer string `json:"answer"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	if m.down.Load() {
		return login.Step{}, fmt.Errorf("the sphinx sleeps: %w", counterfoil.ErrUnavailable)
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	if in.Answer == "again" {
		return login.Step{Challenge: m.challenge(account)}, nil
	}
	if in.Answer != string(a.State) || len(account.Credentials) == 0 {
		return login.Step{}, login.ErrRefused
	}
	return login.Step{Proof: account.Prove(m.name)}, nil
}

// secondRiddle is asked for after another method.
type secondRiddle struct{ *riddle }

func (m secondRiddle) After(ctx context.Context, a login.Attempt) (*login.Challenge, error) {
	account, err := a.Account(ctx)
	if err != nil || len(account.Credentials) == 0 {
		return nil, err
	}
	return m.challenge(account), nil
}

type bench struct {
	*flow.Flow
	t     *testing.T
	store *storetest.FaultyStore
	users *directory.Directory
	rev   atomic.Uint64
	now   atomic.Int64
}

func newBench(t *testing.T, methods ...login.Method) *bench {
	t.Helper()
	b := &bench{t: t, store: storetest.Faulty(memory.New())}
	b.rev.Store(7)
	now := func() time.Time { return time.Unix(1e9, b.now.Load()) }
	trail, err := audit.New(audit.Options{Store: b.store, Hook: func(audit.Entry) {}})
	b.must(err)
	b.users, err = directory.New(directory.Options{Store: b.store, Audit: trail})
	b.must(err)
	guesses, err := throttle.New(throttle.Options{Store: b.store, Key: make([]byte, 32), Now: now})
	b.must(err)
	b.Flow, err = flow.New(flow.Options{
		Store: b.store, Users: b.users, Throttle: guesses, Methods: methods, Now: now,
		SubjectRev: func(context.Context, string) (uint64, error) { return b.rev.Load(), nil },
	})
	b.must(err)
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) later(d time.Duration) { b.now.Add(int64(d)) }

// user makes one with credentials: kind, data, kind, data.
func (b *bench) user(name string, credentials ...string) directory.User {
	b.t.Helper()
	u, err := b.users.Create(b.t.Context(), audit.Act{}, directory.User{Identifier: name, Roles: []string{"staff"}})
	b.must(err)
	for n := 0; n < len(credentials); n += 2 {
		c := login.Credential{Kind: credentials[n], Data: json.RawMessage(`"` + credentials[n+1] + `"`)}
		b.must(b.users.SaveCredential(b.t.Context(), u.ID, c, audit.Entry{}))
	}
	u, err = b.users.ByID(b.t.Context(), u.ID)
	b.must(err)
	return u
}

var from = netip.MustParseAddr("192.0.2.1")

func (b *bench) begin(method, name, input string, change ...func(*flow.Request)) (flow.Result, error) {
	r := flow.Request{Method: method, Identifier: name, Input: login.NewSecret(input), Address: from, Keep: json.RawMessage(`"kept"`)}
	for _, c := range change {
		c(&r)
	}
	return b.Begin(b.t.Context(), r)
}

// ask begins an attempt and wants a challenge.
func (b *bench) ask(method, name, input string, change ...func(*flow.Request)) flow.Result {
	b.t.Helper()
	r, err := b.begin(method, name, input, change...)
	b.must(err)
	if r.Challenge == nil || r.Proof != nil {
		b.t.Fatalf("begun: %+v, want a challenge", r)
	}
	return r
}

func (b *bench) answer(r flow.Result, answer string) (flow.Result, error) {
	got, _, err := b.answerKept(r, answer)
	return got, err
}

// answerKept is answer, and returns what Kept was given.
func (b *bench) answerKept(r flow.Result, answer string) (got flow.Result, kept string, err error) {
	got, err = b.Finish(b.t.Context(), flow.Answer{
		Attempt: r.Attempt, Secret: r.Secret, Input: login.NewSecret(`{"answer":"` + answer + `"}`), Address: from,
		Kept: func(keep json.RawMessage) error { kept = string(keep); return nil },
	})
	return got, kept, err
}

func (b *bench) attempts() (n int) {
	b.t.Helper()
	for _, err := range b.store.List(b.t.Context(), "attempt", "*", "") {
		b.must(err)
		n++
	}
	return n
}

// LOGIN-09: strangers who use up what is not kept for known devices stop an owner with one at no
// step of a sign-in.
func TestKnownDeviceAtTheSecondStep(t *testing.T) {
	b := newBench(t, word{"word"}, secondRiddle{&riddle{name: "riddle", second: true}})
	b.user("alice", "word", "please", "riddle", "a man")
	device := b.Device("alice", login.Secret{})
	strangers := 0
	for n := range 20 {
		b.user("bob"+strconv.Itoa(n), "word", "please", "riddle", "a man")
		r := b.ask("", "alice", `{"word":"please"}`, func(r *flow.Request) { r.Device = device })
		unknown := b.ask("", "bob"+strconv.Itoa(n), `{"word":"please"}`)
		for throttled := false; !throttled; strangers++ {
			_, err := b.begin("", "nobody"+strconv.Itoa(strangers), `{"word":"no"}`, func(r *flow.Request) {
				r.Address = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", strangers))
			})
			throttled = errors.As(err, new(login.Throttled))
		}
		if _, err := b.answer(unknown, "a fish"); !errors.As(err, new(login.Throttled)) {
			t.Fatalf("a stranger's answer = %v, want Throttled", err)
		}
		got, err := b.answer(r, "a man")
		if err != nil || got.Proof == nil {
			t.Fatalf("the owner's answer: %+v, %v", got, err)
		}
		b.later(time.Minute)
	}
}

// LOGIN-20: a challenge is answered once, by who has its secret, in time. Then the proof is there,
// with what the caller wanted to keep. Whatever else comes is one error, or refused.
func TestChallenge(t *testing.T) {
	for _, apart := range []bool{false, true} {
		b := newBench(t, &riddle{name: "riddle"})
		u := b.user("Alice", "riddle", "a man")
		as := func(r *flow.Request) { r.Apart = apart }
		r, other := b.ask("", "alice", "", as), b.ask("", "alice", "", as)
		if string(r.Challenge) != `{"ask":"what is it?"}` || r.Method != "riddle" || !strings.HasPrefix(r.Attempt, "cfa_") || (r.Secret.Reveal() != "") != apart {
			t.Fatalf("begun: %+v", r)
		}
		if strings.Contains(r.Attempt, "a man") || r.Attempt == other.Attempt {
			t.Errorf("attempts %s, %s", r.Attempt, other.Attempt)
		}
		for what, bad := range map[string]flow.Result{
			"nothing": {}, "another's secret": {Attempt: r.Attempt[:26] + other.Attempt[26:], Secret: other.Secret},
			"no secret": {Attempt: r.Attempt[:26]}, "the secret elsewhere": {Attempt: r.Attempt[:26] + r.Secret.Reveal(), Secret: login.NewSecret(r.Attempt[26:])},
			"another prefix": {Attempt: "cfr_" + r.Attempt[4:], Secret: r.Secret}, "made up": {Attempt: "cfa_" + strings.Repeat("A", 65)},
			"a line break": {Attempt: "cfa_" + strings.Repeat("\n", 22), Secret: r.Secret}, "longer": {Attempt: r.Attempt + "A", Secret: r.Secret},
		} {
			if got, err := b.answer(bad, "a man"); !errors.Is(err, login.ErrOver) {
				t.Errorf("apart %v, %s = %+v, %v, want ErrOver", apart, what, got, err)
			}
		}
		got, kept, err := b.answerKept(r, "a man")
		b.must(err)
		want := login.Proof{Subject: u.ID, Methods: []string{"riddle"}, At: time.Unix(1e9, 0), SubjectRev: 7, Roles: []string{"staff"}}
		if fmt.Sprint(*got.Proof) != fmt.Sprint(want) || got.Account != "alice" || kept != `"kept"` || got.Challenge != nil {
			t.Errorf("proven: %+v %+v", got, got.Proof)
		}
		if _, err := b.answer(r, "a man"); !errors.Is(err, login.ErrOver) {
			t.Errorf("the answer again = %v, want ErrOver", err)
		}
		if _, err := b.answer(other, "a fish"); !errors.Is(err, login.ErrRefused) {
			t.Errorf("a wrong answer = %v, want ErrRefused", err)
		}
		if _, err := b.answer(other, "a man"); !errors.Is(err, login.ErrOver) {
			t.Errorf("after a wrong answer = %v, want ErrOver", err)
		}
		late := b.ask("", "alice", "", as)
		b.later(5 * time.Minute)
		if _, err := b.answer(late, "a man"); !errors.Is(err, login.ErrOver) {
			t.Errorf("after five minutes = %v, want ErrOver", err)
		}
		_, err = b.store.Sweep(t.Context(), time.Unix(1e9, b.now.Load()).Add(2*time.Second))
		b.must(err)
		if n := b.attempts(); n != 0 {
			t.Errorf("%d attempts are left", n)
		}
	}
}

// LOGIN-20: of two answers at once one is looked at.
func TestOneAnswer(t *testing.T) {
	b := newBench(t, &riddle{name: "riddle"})
	b.user("alice", "riddle", "a man")
	r := b.ask("", "alice", "")
	var proven atomic.Int64
	var wg sync.WaitGroup
	for range 15 {
		wg.Go(func() {
			if _, err := b.answer(r, "a man"); err == nil {
				proven.Add(1)
			} else if !errors.Is(err, login.ErrOver) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if proven.Load() != 1 {
		t.Errorf("%d of 15 answers at once were taken, want 1", proven.Load())
	}
}

// LOGIN-06: a name that nobody has, and one that is disabled, get a challenge like any
// other, and no answer to it is right.
func TestChallengeTellsNoNames(t *testing.T) {
	b := newBench(t, &riddle{name: "riddle"})
	b.user("alice", "riddle", "a man")
	gone := b.user("gone", "riddle", "a man")
	gone.Status = directory.Disabled
	b.must(b.users.Write(t.Context(), gone, nil, audit.Entry{}))
	b.user("without")
	reads := 0
	for _, name := range []string{"alice", "gone", "without", "nobody"} {
		before := b.store.Calls(storetest.OpGet) + b.store.Calls(storetest.OpList)
		r := b.ask("", name, "")
		cost := b.store.Calls(storetest.OpGet) + b.store.Calls(storetest.OpList) - before
		if reads == 0 {
			reads = cost
		}
		if cost != reads || string(r.Challenge) != `{"ask":"what is it?"}` || len(r.Attempt) != 69 {
			t.Errorf("%s: %d reads and %+v, alice has %d", name, cost, r, reads)
		}
		for _, answer := range []string{"nothing", ""} {
			if _, err := b.answer(r, answer); err == nil {
				t.Errorf("%s answered %q and is in", name, answer)
			}
		}
	}
}

// After a first method, the second is asked of those who have it, and proofs join. Until
// it is answered, nothing is proven and no row of failures ends.
func TestSecondStep(t *testing.T) {
	second := secondRiddle{&riddle{name: "riddle", second: true}}
	b := newBench(t, word{"word"}, second)
	u := b.user("alice", "word", "please", "riddle", "a man")
	b.user("bob", "word", "please")
	if r, err := b.begin("", "bob", `{"word":"please"}`); err != nil || r.Proof == nil {
		t.Errorf("bob, who has no riddle: %+v, %v", r, err)
	}
	if _, err := b.begin("riddle", "alice", ""); !errors.Is(err, login.ErrRefused) {
		t.Errorf("the second step alone = %v, want ErrRefused", err)
	}
	if r, err := b.begin("riddle", "alice", "", func(r *flow.Request) { r.StepUp = true }); err != nil || r.Challenge == nil {
		t.Errorf("to step up by the second step alone: %+v, %v", r, err)
	}
	r := b.ask("", "alice", `{"word":"please"}`)
	if r.Method != "riddle" {
		t.Errorf("the challenge is of %s", r.Method)
	}
	b.later(time.Minute)
	b.rev.Store(8) // the subject changes meanwhile: the proof must not hide it (LOGIN-19)
	got, err := b.answer(r, "a man")
	b.must(err)
	if p := got.Proof; p.Subject != u.ID || !slices.Equal(p.Methods, []string{"word", "riddle"}) || p.SubjectRev != 7 || !p.At.Equal(time.Unix(1e9, 0)) || got.Account != "alice" {
		t.Errorf("proven: %+v", got.Proof)
	}
	// A stranger who knows the word guesses at the riddle: each guess counts.
	var throttled login.Throttled
	guesses := 0
	for range 20 {
		r, err := b.begin("", "alice", `{"word":"please"}`)
		if errors.As(err, &throttled) {
			break
		}
		b.must(err)
		if _, err := b.answer(r, "a fish"); !errors.Is(err, login.ErrRefused) {
			t.Fatalf("a wrong answer = %v", err)
		}
		guesses++
	}
	if guesses > 5 {
		t.Errorf("%d guesses at the second step, want 5 before it is slowed down", guesses)
	}
	b.later(time.Minute)
	got, err = b.answer(b.ask("", "alice", `{"word":"please"}`), "a man")
	if err != nil || got.Proof == nil {
		t.Fatalf("after the wait: %+v, %v", got, err)
	}
	for range 4 {
		b.later(time.Minute)
		if _, err := b.begin("", "alice", `{"word":"no"}`); !errors.Is(err, login.ErrRefused) {
			t.Errorf("after a success = %v, want ErrRefused", err)
		}
	}
}

// An outage, and an answer that is none, leave the attempt as it was.
func TestAnswerThroughAnOutage(t *testing.T) {
	m := &riddle{name: "riddle"}
	b := newBench(t, m)
	b.user("alice", "riddle", "a man")
	r := b.ask("", "alice", "")
	m.down.Store(true)
	if _, err := b.answer(r, "a man"); !errors.Is(err, counterfoil.ErrUnavailable) {
		t.Errorf("while the method is down = %v", err)
	}
	m.down.Store(false)
	var bad login.BadInput
	if _, err := b.Finish(t.Context(), flow.Answer{Attempt: r.Attempt, Input: login.NewSecret(`{"anwser":"a man"}`), Address: from}); !errors.As(err, &bad) {
		t.Errorf("a misspelt member = %v, want BadInput", err)
	}
	refused := errors.New("not this client")
	if _, err := b.Finish(t.Context(), flow.Answer{Attempt: r.Attempt, Input: login.NewSecret(`{"answer":"a man"}`), Address: from, Kept: func(keep json.RawMessage) error {
		if string(keep) != `"kept"` {
			t.Errorf("Kept is given %s", keep)
		}
		return refused
	}}); !errors.Is(err, refused) {
		t.Errorf("an answer that is not admitted = %v", err)
	}
	for _, kind := range []store.Kind{"throttle", "attempt", "user"} {
		b.store.Inject(storetest.Fault{Op: storetest.OpGet, Kind: kind})
		if _, err := b.answer(r, "a man"); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, login.ErrRefused) || errors.Is(err, login.ErrOver) {
			t.Errorf("without reads of %s = %v, want ErrUnavailable", kind, err)
		}
		b.store.Heal()
	}
	if got, err := b.answer(r, "a man"); err != nil || got.Proof == nil {
		t.Errorf("when all is well = %+v, %v", got, err)
	}
}

// A method that asks again and again comes to an end.
func TestStepsAreBounded(t *testing.T) {
	b := newBench(t, &riddle{name: "riddle"})
	b.user("alice", "riddle", "a man")
	r := b.ask("", "alice", "")
	for n := 2; ; n++ {
		next, kept, err := b.answerKept(r, "again")
		if errors.Is(err, login.ErrRefused) && n == 7 {
			break
		}
		if err != nil || n > 6 || next.Attempt == r.Attempt || kept != `"kept"` {
			t.Fatalf("challenge %d = %+v, %v", n, next, err)
		}
		r = next
	}
	if b.attempts() != 0 {
		t.Error("an attempt is left")
	}
}

// once is a way of signing in by a number that is good once.
type once struct{ calls atomic.Int64 }

func (o *once) Name() string { return "once" }

func (o *once) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	o.calls.Add(1)
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	c := account.Credentials[0]
	if string(c.Data) != `"fresh"` {
		return login.Step{}, login.ErrRefused
	}
	c.Data = json.RawMessage(`"spent"`)
	return login.Step{Proof: account.Prove("otp"), Used: &c}, nil
}

func (o *once) Finish(context.Context, login.Attempt) (login.Step, error) {
	return login.Step{}, login.ErrRefused
}

// Of two who use a credential up at once, one finds it used.
func TestUsedOnce(t *testing.T) {
	m := &once{}
	b := newBench(t, m)
	b.user("alice", "once", "fresh")
	b.store.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "credential", Times: 1, Slow: true, Before: func() {
		if r, err := b.begin("", "alice", ""); err != nil || r.Proof == nil {
			t.Errorf("the faster one = %+v, %v", r, err)
		}
	}})
	if _, err := b.begin("", "alice", ""); !errors.Is(err, login.ErrRefused) || m.calls.Load() != 3 {
		t.Errorf("the slower one = %v after %d calls, want ErrRefused after 3", err, m.calls.Load())
	}
}

// A use is noted to the day, so that not every login writes the credential.
func TestLastUsed(t *testing.T) {
	b := newBench(t, word{"word"})
	u := b.user("alice", "word", "please")
	writes := 0
	b.store.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "credential", Slow: true, Before: func() { writes++ }})
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {time.Hour, 1}, {25 * time.Hour, 2}} {
		b.later(c.later)
		_, err := b.begin("", "alice", `{"word":"please"}`)
		b.must(err)
		if writes != c.want {
			t.Errorf("%v later: %d writes, want %d", c.later, writes, c.want)
		}
	}
	all, err := b.users.Credentials(t.Context(), u.ID, "word")
	b.must(err)
	if !all[0].LastUsed.Equal(time.Unix(1e9, b.now.Load())) {
		t.Errorf("used at %v", all[0].LastUsed)
	}
}

// odd does what a method must not do.
type odd struct{ step login.Step }

func (o odd) Name() string                                              { return "odd" }
func (o odd) Begin(context.Context, login.Attempt) (login.Step, error)  { return o.step, nil }
func (o odd) Finish(context.Context, login.Attempt) (login.Step, error) { return o.step, nil }

func TestOddMethods(t *testing.T) {
	challenge := func(public any, state int) login.Step {
		return login.Step{Challenge: &login.Challenge{Public: public, State: make([]byte, state)}}
	}
	for what, step := range map[string]login.Step{
		"nothing":           {},
		"both":              {Proof: &login.Proof{Subject: "a"}, Challenge: &login.Challenge{}},
		"a proof of nobody": {Proof: &login.Proof{}},
		"no object":         challenge("text", 0),
		"no JSON":           challenge(func() {}, 0),
		"a large challenge": challenge(map[string]string{"a": strings.Repeat("x", 5000)}, 0),
		"a large state":     challenge(map[string]string{}, 3000),
		"an odd credential": {Proof: &login.Proof{Subject: "a"}, Used: &login.Credential{ID: "x", Data: json.RawMessage(`1`)}},
	} {
		b := newBench(t, odd{step})
		b.user("alice")
		if r, err := b.begin("", "alice", ""); err == nil {
			t.Errorf("%s = %+v", what, r)
		}
		if b.attempts() != 0 {
			t.Errorf("%s left an attempt", what)
		}
	}
	for _, methods := range [][]login.Method{nil, {word{""}}, {word{"Word"}}, {word{"a"}, word{"a"}}, {word{strings.Repeat("a", 33)}}} {
		b := newBench(t, word{"word"})
		guesses, err := throttle.New(throttle.Options{Store: b.store, Key: make([]byte, 32)})
		b.must(err)
		if _, err := flow.New(flow.Options{Store: b.store, Users: b.users, Throttle: guesses, Methods: methods, SubjectRev: func(context.Context, string) (uint64, error) { return 0, nil }}); err == nil {
			t.Errorf("methods %v are accepted", methods)
		}
	}
	b := newBench(t, word{"word"})
	if _, err := b.begin("other", "alice", ""); !errors.Is(err, login.ErrUnknownMethod) {
		t.Errorf("an unknown method = %v", err)
	}
}

// elsewhere knows people of its own, who are no users here.
type elsewhere struct{}

func (elsewhere) Name() string { return "elsewhere" }

func (elsewhere) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	account, err := a.Lookup(ctx, "ldap:alice")
	if err != nil {
		return login.Step{}, err
	}
	return login.Step{Proof: account.Prove("pwd")}, nil
}

func (elsewhere) Finish(context.Context, login.Attempt) (login.Step, error) {
	return login.Step{}, login.ErrRefused
}

func TestLookup(t *testing.T) {
	b := newBench(t, elsewhere{})
	r, err := b.begin("", "", "")
	b.must(err)
	if r.Proof.Subject != "ldap:alice" || r.Proof.SubjectRev != 7 || r.Account != "" {
		t.Errorf("proven: %+v %+v", r, r.Proof)
	}
}

// LOGIN-20: who began an attempt is who answers it: the client of a login, the session of a
// step-up. For all others there is no such attempt, and it is left as it was.
func TestWhoMayAnswer(t *testing.T) {
	session := func(id string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return id, err }
	}
	for name, c := range map[string]struct {
		began  flow.Request
		answer flow.Answer
		want   error
	}{
		"the client":               {flow.Request{Client: "app"}, flow.Answer{Client: "app"}, nil},
		"another client":           {flow.Request{Client: "app"}, flow.Answer{Client: "shop"}, login.ErrOver},
		"no client":                {flow.Request{Client: "app"}, flow.Answer{}, login.ErrOver},
		"a session, for a login":   {flow.Request{Client: "app"}, flow.Answer{Session: session("ses_1", nil)}, login.ErrOver},
		"the session":              {flow.Request{StepUp: true, Session: "ses_1"}, flow.Answer{Client: "app", Session: session("ses_1", nil)}, nil},
		"another session":          {flow.Request{StepUp: true, Session: "ses_1"}, flow.Answer{Session: session("ses_2", nil)}, login.ErrOver},
		"no session":               {flow.Request{StepUp: true, Session: "ses_1"}, flow.Answer{}, login.ErrOver},
		"a session that has ended": {flow.Request{StepUp: true, Session: "ses_1"}, flow.Answer{Session: session("", counterfoil.ErrRevoked)}, counterfoil.ErrRevoked},
	} {
		b := newBench(t, &riddle{name: "riddle"})
		b.user("ann", "riddle", "a man")
		c.began.Method, c.began.Identifier, c.began.Input, c.began.Address = "riddle", "ann", login.NewSecret("{}"), from
		r, err := b.Begin(t.Context(), c.began)
		b.must(err)
		c.answer.Attempt, c.answer.Input, c.answer.Address = r.Attempt, login.NewSecret(`{"answer":"a man"}`), from
		if _, err := b.Finish(t.Context(), c.answer); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish = %v, want %v", name, err, c.want)
		}
		if c.want == nil {
			continue
		}
		c.answer.Client, c.answer.Session = c.began.Client, session(c.began.Session, nil)
		if _, err := b.Finish(t.Context(), c.answer); err != nil {
			t.Errorf("%s: the right answer afterwards: %v", name, err)
		}
	}
}

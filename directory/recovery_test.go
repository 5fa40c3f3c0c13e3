package directory_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// mailroom is a directory with a clock, and what it mailed last.
type mailroom struct {
	*directory.Directory
	t    *testing.T
	s    store.Store
	now  time.Time
	last directory.Mailed
	to   directory.User
	n    int // messages

	warned int    // of them, that an address is taken
	device string // identifier that the device which asks has signed in before
}

func newMailroom(t *testing.T, s store.Store) *mailroom {
	m := &mailroom{t: t, s: s, now: time.Now()}
	m.restart()
	return m
}

// restart forgets what is not in the store.
func (m *mailroom) restart() {
	d, err := directory.New(directory.Options{Store: m.s, Now: func() time.Time { return m.now }})
	must(m.t, err)
	m.Directory = d
}

func (m *mailroom) user(u directory.User) directory.User {
	m.t.Helper()
	u, err := m.Create(m.t.Context(), audit.Act{}, u)
	must(m.t, err)
	u, err = m.ByID(m.t.Context(), u.ID)
	must(m.t, err)
	return u
}

func (m *mailroom) compose(u directory.User, mailed directory.Mailed) (store.Record, error) {
	m.n, m.last, m.to = m.n+1, mailed, u
	return store.Record{Key: store.Key{Kind: "message", ID: fmt.Sprint(m.n)}, Value: []byte(`{}`)}, nil
}

func (m *mailroom) knows(identifier string) bool { return identifier == m.device }

// forgot returns the handle, and whether there was a message.
func (m *mailroom) forgot(name string) (handle secret.String, sent bool) {
	m.t.Helper()
	handle, sent, err := m.BeginRecovery(m.t.Context(), name, "en", audit.Act{}, m.knows, m.compose)
	must(m.t, err)
	return handle, sent
}

// answer answers with a code; wrong is a code that is none.
func (m *mailroom) answer(handle secret.String, code string) (secret.String, error) {
	token, _, err := m.AnswerRecovery(m.t.Context(), handle, code)
	return token, err
}

// redeem chooses a password.
func (m *mailroom) redeem(token secret.String, hash string) error {
	u, _, err := m.Invited(m.t.Context(), token)
	if err != nil {
		return err
	}
	u, due, err := m.Read(m.t.Context(), u.ID)
	must(m.t, err)
	u.Password, u.Version = hash, u.Version+1
	due.End = u.Version
	return m.Redeem(m.t.Context(), token, u, &due, audit.Entry{}, nil)
}

func (m *mailroom) wrong() string {
	if m.last.Code.Reveal() == "00000000" {
		return "11111111"
	}
	return "00000000"
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

// LOGIN-12: a code is eight digits that count five tries over all, at whatever server, and ten
// minutes; a right one is good once.
func TestRecoveryCode(t *testing.T) {
	m := newMailroom(t, memory.New())
	m.user(directory.User{Identifier: "ada@example.com", Password: "a hash"})
	handle, sent := m.forgot("Ada@Example.com")
	if !sent || m.to.Address != "ada@example.com" || len(m.last.Code.Reveal()) != 8 || strings.Trim(m.last.Code.Reveal(), "0123456789") != "" {
		t.Fatalf("mailed %v, %q to %+v", sent, m.last.Code.Reveal(), m.to)
	}
	code := m.last.Code.Reveal()
	for range 4 {
		_, err := m.answer(handle, m.wrong())
		wants(t, "a wrong code", err, login.ErrRefused)
		m.restart()
	}
	_, err := m.answer(secret.New(strings.Repeat("x", 43)), code)
	wants(t, "a code at another page", err, login.ErrOver)
	token, err := m.answer(handle, code[:4]+" "+code[4:])
	if err != nil {
		t.Fatalf("the fifth try, which is right = %v", err)
	}
	_, err = m.answer(handle, code)
	wants(t, "a code that was used", err, login.ErrRefused)
	_, _, err = m.Invited(t.Context(), m.last.Token)
	wants(t, "the link beside it", err, login.ErrRefused)
	must(t, m.redeem(token, "another hash"))
	wants(t, "the token once more", m.redeem(token, "a third"), directory.ErrUsed)

	handle, _ = m.forgot("ada@example.com")
	for range 5 {
		_, err := m.answer(handle, m.wrong())
		wants(t, "a wrong code", err, login.ErrRefused)
	}
	m.restart()
	_, err = m.answer(handle, m.last.Code.Reveal())
	wants(t, "the right code after five that were wrong", err, login.ErrOver)
	if _, _, err := m.Invited(t.Context(), m.last.Token); err != nil {
		t.Errorf("the link after five wrong codes = %v: who guesses must not take it from the owner", err)
	}

	m.now = m.now.Add(time.Hour)
	handle, _ = m.forgot("ada@example.com")
	m.now = m.now.Add(directory.CodeTTL)
	_, err = m.answer(handle, m.last.Code.Reveal())
	wants(t, "a code after ten minutes", err, login.ErrOver)
	if _, _, err := m.Invited(t.Context(), m.last.Token); err != nil {
		t.Errorf("the link after ten minutes = %v", err)
	}
	m.now = m.now.Add(directory.LinkTTL - directory.CodeTTL)
	_, _, err = m.Invited(t.Context(), m.last.Token)
	wants(t, "the link after a quarter of an hour", err, login.ErrRefused)
}

// LOGIN-12: what was mailed is dead after a newer mail, after any new password, and with the user. An
// invitation that an administrator handed out is not taken away by a stranger.
func TestRecoveryEnds(t *testing.T) {
	m := newMailroom(t, memory.New())
	u := m.user(directory.User{Identifier: "ada@example.com", Password: "a hash"})
	invitation, _, err := m.Invite(t.Context(), u.ID, audit.Act{})
	must(t, err)
	old, _ := m.forgot(u.Identifier)
	before := m.last
	handle, _ := m.forgot(u.Identifier)
	_, err = m.answer(old, before.Code.Reveal())
	wants(t, "a code after a newer mail", err, login.ErrRefused)
	_, _, err = m.Invited(t.Context(), before.Token)
	wants(t, "a link after a newer mail", err, login.ErrRefused)
	if _, _, err := m.Invited(t.Context(), invitation); err != nil {
		t.Errorf("an invitation after a mail that anybody can ask for = %v", err)
	}
	must(t, m.redeem(invitation, "another hash"))
	_, err = m.answer(handle, m.last.Code.Reveal())
	wants(t, "a code after a new password", err, login.ErrRefused)
	_, _, err = m.Invited(t.Context(), m.last.Token)
	wants(t, "a link after a new password", err, login.ErrRefused)

	m.now = m.now.Add(time.Hour)
	handle, _ = m.forgot(u.Identifier)
	u, err = m.ByID(t.Context(), u.ID)
	must(t, err)
	must(t, m.Delete(t.Context(), u, audit.Entry{}))
	_, err = m.answer(handle, m.last.Code.Reveal())
	wants(t, "a code after its user", err, login.ErrRefused)
}

// What was mailed to an address is dead once the user has another, by whatever way, also if that one is
// given back: who reads mail at the one before has nothing.
func TestMailedEndsWithItsAddress(t *testing.T) {
	ways := map[string]func(*mailroom, directory.User){
		"proven": func(m *mailroom, u directory.User) {
			_, err := m.verify(directory.Verification{Token: m.ask(u, "new@example.com").Token})
			must(m.t, err)
		},
		"by an administrator": func(m *mailroom, u directory.User) {
			u.Address, u.Verified = "new@example.com", time.Time{}
			must(m.t, m.Write(m.t.Context(), u, nil, audit.Entry{}))
		},
		"and back": func(m *mailroom, u directory.User) {
			for _, address := range []string{"new@example.com", u.Address} {
				now, err := m.ByID(m.t.Context(), u.ID)
				must(m.t, err)
				now.Address = address
				must(m.t, m.Write(m.t.Context(), now, nil, audit.Entry{}))
			}
		},
	}
	for name, change := range ways {
		for _, verified := range []time.Time{{}, time.Now().UTC().Truncate(time.Second)} {
			m := newMailroom(t, memory.New())
			u := m.user(directory.User{Identifier: "old@example.com", Verified: verified, Password: "a hash"})
			invitation, _, err := m.InviteByMail(t.Context(), u.ID, audit.Act{}, m.compose)
			must(t, err)
			handle, _ := m.forgot(u.Identifier)
			exchanged, err := m.answer(handle, m.last.Code.Reveal())
			must(t, err)
			if name != "proven" { // that one uses it up
				m.ask(u, "third@example.com")
			}
			pending := m.last
			change(m, u)
			wants(t, name+": an invitation", m.redeem(invitation, "another hash"), login.ErrRefused)
			wants(t, name+": the token for a code", m.redeem(exchanged, "another hash"), login.ErrRefused)
			_, err = m.verify(directory.Verification{Token: pending.Token})
			wants(t, name+": a link to prove an address", err, login.ErrRefused)
			if name == "proven" {
				continue
			}
			m.now = m.now.Add(time.Hour)
			handle, sent := m.forgot(u.Identifier)
			mailed := m.last
			if u, err = m.ByID(t.Context(), u.ID); err != nil || !sent {
				t.Fatalf("%s: sent %v, %v", name, sent, err)
			}
			u.Address = "fourth@example.com"
			must(t, m.Write(t.Context(), u, nil, audit.Entry{}))
			wants(t, name+": a link for a password", m.redeem(mailed.Token, "another hash"), login.ErrRefused)
			_, err = m.answer(handle, mailed.Code.Reveal())
			wants(t, name+": a code", err, login.ErrRefused)
		}
	}
}

// What is mailed counts for the address that it went to, whatever is still kept of it: a node of an
// earlier version changes an address, and deletes nothing.
func TestMailedCountsForItsAddress(t *testing.T) {
	m := newMailroom(t, memory.New())
	u := m.user(directory.User{Identifier: "ada@example.com", Password: "a hash"})
	m.forgot(u.Identifier)
	var kept []store.Record
	for rec, err := range m.s.List(t.Context(), "recovery", u.ID, "") {
		must(t, err)
		kept = append(kept, rec)
	}
	u.Address = "new@example.com"
	must(t, m.Write(t.Context(), u, nil, audit.Entry{}))
	for n := range kept {
		kept[n].Rev = 0
	}
	_, err := m.s.Commit(t.Context(), store.Batch{Put: kept})
	must(t, err)
	wants(t, "the link to the address before", m.redeem(m.last.Token, "another hash"), login.ErrRefused)
}

// recorded remembers the shape of each commit, and counts the reads.
type recorded struct {
	store.Store
	reads   int
	commits []string
	size    int
}

func (r *recorded) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	r.reads++
	return r.Store.Get(ctx, keys...)
}

func (r *recorded) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	for _, rec := range b.Put {
		r.size += len(rec.Value)
	}
	r.commits = append(r.commits, fmt.Sprintf("require %d, delete %d of owners, put %d", len(b.Require), len(b.DeleteOwned), len(b.Put)))
	return r.Store.Commit(ctx, b)
}

// LOGIN-07: any name costs the same reads, and one commit of the same shape; also where there
// were too many mails.
func TestRecoveryCostsTheSame(t *testing.T) {
	r := &recorded{Store: memory.New()}
	m := newMailroom(t, r)
	m.user(directory.User{Identifier: "known@example.com", Password: "a hash"})
	m.user(directory.User{Identifier: "named", Address: "proven@example.com", Verified: m.now})
	m.user(directory.User{Identifier: "no-address"})
	gone := m.user(directory.User{Identifier: "gone@example.com"})
	gone.Status = directory.Disabled
	must(t, m.Write(t.Context(), gone, nil, audit.Entry{}))
	names := map[string]bool{
		"known@example.com": true, "proven@example.com": true, "no-address": false, "gone@example.com": false,
		"unknown@example.com": false, "unknown": false, "no@name@at.all": false, strings.Repeat("x", 300): false,
	}
	want, size := "", 0
	for try := range 5 { // of which the last ones are too many
		for name, has := range names {
			r.reads, r.commits, r.size = 0, nil, 0
			handle, sent := m.forgot(name)
			if has != sent && try < 3 || sent && try >= 3 {
				t.Errorf("%.20s: sent %v at mail %d", name, sent, try+1)
			}
			if len(handle.Reveal()) != 43 {
				t.Errorf("%.20s: a handle of %d characters", name, len(handle.Reveal()))
			}
			got := fmt.Sprint(r.reads, r.commits)
			if want == "" {
				want, size = got, r.size
			}
			if difference := r.size - size; difference < -200 || difference > 200 {
				t.Errorf("%.20s writes %d bytes, others %d", name, r.size, size)
			}
			if got != want || len(r.commits) != 1 {
				t.Errorf("%.20s costs at mail %d %s, others %s", name, try+1, got, want)
			}
			// And a code is refused in the same way, as often.
			for n := range 6 {
				want := login.ErrRefused
				if n == 5 {
					want = login.ErrOver
				}
				if _, err := m.answer(handle, "no code"); !errors.Is(err, want) {
					t.Errorf("%.20s: code %d of mail %d = %v, want %v", name, n+1, try+1, err, want)
				}
			}
		}
	}
	m.now = m.now.Add(time.Hour)
	if _, sent := m.forgot("known@example.com"); !sent {
		t.Error("no mail after an hour")
	}
}

// LOGIN-07: who asks for two names does not learn from the codes whether both are of one account: an earlier code
// that a newer mail voids is wrong as often as one that nothing voids, and so is one that was not mailed.
func TestNamesOfOneAccount(t *testing.T) {
	m := newMailroom(t, memory.New())
	m.user(directory.User{Identifier: "ada", Address: "ada@example.com", Verified: m.now})
	m.user(directory.User{Identifier: "eve", Address: "eve@example.com", Verified: m.now})
	for mails := range 5 {
		m.now = m.now.Add(time.Hour)
		said := map[string]string{}
		for _, name := range []string{"ada", "eve", "nobody"} {
			m.now = m.now.Add(time.Hour)
			first, _ := m.forgot(name)
			right := m.last.Code.Reveal()
			for range mails {
				m.forgot("ada@example.com")
			}
			again, _ := m.forgot(name)
			if _, err := m.answer(first, right); err == nil { // before its tries are over
				t.Errorf("%s: a code that was voided is good", name)
			}
			for range 6 {
				_, a := m.answer(first, m.wrong())
				_, b := m.answer(again, m.wrong())
				said[name] += fmt.Sprint(a, b, " ")
			}
		}
		if said["ada"] != said["eve"] || said["ada"] != said["nobody"] {
			t.Errorf("%d mails to another name: %s", mails, said)
		}
	}
}

// A stranger who asks for mails does not take away what the owner is choosing a password with: in return for a code, and
// after an undo.
func TestStrangersAskMeanwhile(t *testing.T) {
	m := newMailroom(t, memory.New())
	u := m.user(directory.User{Identifier: "ada@example.com", Verified: m.now.UTC().Truncate(time.Second), Password: "a hash"})
	handle, _ := m.forgot(u.Identifier)
	token, err := m.answer(handle, m.last.Code.Reveal())
	must(t, err)
	handle, _ = m.forgot(u.Identifier)
	if _, _, err := m.Invited(t.Context(), token); err != nil {
		t.Errorf("the token after a stranger has asked = %v", err)
	}
	newer, err := m.answer(handle, m.last.Code.Reveal())
	must(t, err)
	wants(t, "the token after a newer one", m.redeem(token, "another hash"), login.ErrRefused)
	must(t, m.redeem(newer, "another hash"))

	if u, err = m.ByID(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	moved, err := m.verify(directory.Verification{Token: m.ask(u, "new@example.com").Token})
	must(t, err)
	m.now = m.now.Add(time.Hour)
	token, _, err = m.undo(moved.Undo.Token)
	must(t, err)
	m.forgot(u.Identifier)
	must(t, m.redeem(token, "a third hash"))
}

// Both names of a user have one counter, and an address means the user who proved it.
func TestRecoveryByAddress(t *testing.T) {
	m := newMailroom(t, memory.New())
	m.user(directory.User{Identifier: "squatter@example.com"})
	u := m.user(directory.User{Identifier: "ada", Address: "ada@example.com"})
	u.Address, u.Verified = "squatter@example.com", m.now.UTC().Truncate(time.Second)
	must(t, m.Write(t.Context(), u, nil, audit.Entry{}))
	for n, name := range []string{"ada", "squatter@example.com", "ADA", "squatter@example.com"} {
		if _, sent := m.forgot(name); sent != (n < 3) || sent && m.to.ID != u.ID {
			t.Errorf("%s, mail %d: sent %v to %s, want %s", name, n+1, sent, m.to.ID, u.ID)
		}
	}
}

// LOGIN-09: a stranger who uses up the mails of an hour does not keep the owner from one, who asks from a device that has signed in
// before. Such devices have few mails, too, and a device of another account has none of them.
func TestRecoveryFromAKnownDevice(t *testing.T) {
	m := newMailroom(t, memory.New())
	u := m.user(directory.User{Identifier: "ada", Address: "ada@example.com", Verified: m.now})
	m.user(directory.User{Identifier: "bob@example.com"})
	for _, device := range []string{"", "bob@example.com", "ada", "", "nobody@example.com"} {
		m.device = device
		for n := range 4 {
			want := n < 3 && (device == "ada" || device == "" && m.n < 3)
			if _, sent := m.forgot("ada@example.com"); sent != want || sent && m.to.ID != u.ID {
				t.Errorf("from a device of %q, mail %d: sent %v, want %v", device, n+1, sent, want)
			}
		}
		if _, sent := m.forgot("nobody@example.com"); sent {
			t.Error("a mail to nobody")
		}
	}
}

// LOGIN-17: somebody made an account with an address that is not theirs. Its owner takes it over by mail,
// and nothing of the other stays. In an account whose owner proved the address before, the other credentials
// stay: a mail does not pass by a second factor.
func TestRecoveryTakesOver(t *testing.T) {
	for _, verified := range []bool{false, true} {
		m := newMailroom(t, memory.New())
		ctx := t.Context()
		u := m.user(directory.User{Identifier: "ada@example.com", Password: "the stranger's"})
		if verified {
			u.Verified = m.now
			must(t, m.Write(ctx, u, nil, audit.Entry{}))
		}
		must(t, m.SaveCredential(ctx, u.ID, login.Credential{Kind: "totp", Data: []byte(`{}`)}, audit.Entry{}))
		_, key, err := m.NewKey(ctx, audit.Act{}, directory.APIKey{Client: "x", User: u.ID, Scopes: []string{directory.ScopeFeed}})
		must(t, err)
		m.forgot("ada@example.com")
		must(t, m.redeem(m.last.Token, "the owner's"))
		got, err := m.ByID(ctx, u.ID)
		must(t, err)
		if got.Password != "the owner's" || got.Verified.IsZero() || got.Address != "ada@example.com" {
			t.Errorf("verified %v: %+v", verified, got)
		}
		others, err := m.Credentials(ctx, u.ID, "totp")
		must(t, err)
		if (len(others) == 1) != verified {
			t.Errorf("verified %v: %d other credentials", verified, len(others))
		}
		_, err = m.Key(ctx, key.Reveal())
		if (err == nil) != verified { // package accounts ends it by the new password in any case
			t.Errorf("verified %v: the key that acts for the user = %v", verified, err)
		}
		if id, err := m.IDOfAddress(ctx, "ada@example.com"); err != nil || id != u.ID {
			t.Errorf("verified %v: the address is of %q, %v", verified, id, err)
		}
	}
}

// LOGIN-12: of many who use one code, one link, or both at once, one gets in.
func TestMailedIsUsedOnce(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "users.db"))
	must(t, err)
	defer file.Close()
	for name, s := range map[string]store.Store{"memory": memory.New(), "sqlite": file} {
		m := newMailroom(t, s)
		u := m.user(directory.User{Identifier: "ada@example.com", Password: "a hash"})
		for round := range 4 {
			m.now = m.now.Add(time.Hour)
			handle, _ := m.forgot(u.Identifier)
			mailed := m.last
			var mu sync.Mutex
			got := 0
			var wg sync.WaitGroup
			for n := range 8 {
				wg.Go(func() {
					var err error
					if n%2 == round%2 {
						_, err = m.answer(handle, mailed.Code.Reveal())
					} else {
						err = m.redeem(mailed.Token, fmt.Sprint("hash ", round, n))
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						got++
					case !errors.Is(err, login.ErrRefused) && !errors.Is(err, login.ErrOver) && !errors.Is(err, store.ErrConflict):
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wg.Wait()
			if got != 1 {
				t.Errorf("%s, round %d: %d got in, want one", name, round, got)
			}
		}
	}
}

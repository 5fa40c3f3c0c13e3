package accounts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// letter is a message as its record has it.
type letter struct {
	Kind     accounts.MessageKind
	To       string
	Language string
	Subject  string
	Code     string
	Path     string
	Token    string
	Args     []any
}

// letterbox writes messages into the store, and reads them there.
type letterbox struct {
	store store.Store
	mu    sync.Mutex
	woken int
}

// written counts the letters of all nodes.
var written atomic.Int64

func (b *letterbox) Record(m accounts.Message) (store.Record, error) {
	value, err := json.Marshal(letter{m.Kind, m.To, m.Language, m.Subject, m.Code.Reveal(), m.Path, m.Token.Reveal(), m.Args})
	return store.Record{Key: store.Key{Kind: "letter", ID: fmt.Sprintf("%06d", written.Add(1))}, Value: value}, err
}

func (b *letterbox) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.woken++
}

// letters returns those that were committed, in order.
func (b *letterbox) letters(t *testing.T) (all []letter) {
	t.Helper()
	for rec, err := range b.store.List(t.Context(), "letter", "*", "") {
		must(t, err)
		var l letter
		must(t, json.Unmarshal(rec.Value, &l))
		all = append(all, l)
	}
	return all
}

// last is the newest letter.
func (b *letterbox) last(t *testing.T) letter {
	t.Helper()
	all := b.letters(t)
	if len(all) == 0 {
		t.Fatal("no letter was sent")
	}
	return all[len(all)-1]
}

// mailing is a node that sends mail.
type mailing struct {
	node
	box *letterbox
	now *time.Time
}

func openMailing(t *testing.T, s stores) mailing {
	t.Helper()
	box, now := &letterbox{store: s.users}, time.Now()
	e, err := server.Open(t.Context(), server.Config{
		Store: s.users, Sessions: s.sessions, URL: "https://auth.test", SealKey: [32]byte{1}, Post: box, Offline: true, Now: func() time.Time { return now },
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, InsecureHashes: true,
	})
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return mailing{node{e, t}, box, &now}
}

var fromSomewhere = audit.Act{Address: netip.MustParseAddr("192.0.2.1")}

// recovered chooses a password by the code of the newest letter.
func (m mailing) recovered(handle login.Secret, next string) error {
	invitation, _, err := m.Users().AnswerRecovery(m.t.Context(), noAct, handle, m.box.last(m.t).Code)
	if err != nil {
		return err
	}
	return m.Users().Redeem(m.t.Context(), noAct, invitation, "", secret.New(next))
}

// LOGIN-12, LOGIN-14: who forgot the password gets a code and a link, chooses another, and is told. All
// sessions end; the code is nobody's who has not the page that asked.
func TestRecover(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			m := openMailing(t, engine(t))
			u := m.user("ada@example.com")
			s := m.signIn(u, counterfoil.CarrierBearer)
			handle, err := m.Users().Recover(t.Context(), fromSomewhere, "ADA@example.com", "de", login.Secret{})
			must(t, err)
			got := m.box.last(t)
			if got.Kind != accounts.MailReset || got.To != "ada@example.com" || got.Language != "de" || got.Path != "/welcome" || got.Subject != u.ID {
				t.Errorf("the mail is %+v", got)
			}
			if _, err := m.Issuer().Refresh(t.Context(), s.Refresh.Reveal(), issuer.Renewal{}); err != nil {
				t.Errorf("before the password is another one: %v", err)
			}
			must(t, m.recovered(handle, nextPass))
			if _, err := m.Issuer().Refresh(t.Context(), s.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) && !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("a session after the reset: %v", err)
			}
			if got := m.box.last(t); got.Kind != accounts.MailPassword || got.To != "ada@example.com" {
				t.Errorf("the notice is %+v", got)
			}
			after, err := m.Users().ByID(t.Context(), u.ID)
			if err != nil || after.Verified.IsZero() || after.Password == u.Password {
				t.Errorf("after the reset %+v, %v", after, err)
			}
		})
	}
}

// LOGIN-14: each change of what somebody signs in with is told at the proven address, and at no other.
func TestNotices(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	ctx := t.Context()
	for _, proven := range []bool{true, false} {
		u := m.user(fmt.Sprintf("user-%v@example.com", proven))
		_, err := m.Users().Update(ctx, rights.Owner(), u.ID, noAct, func(u *directory.User) error {
			if proven {
				u.Verified = *m.now
			}
			return nil
		})
		must(t, err)
		before := len(m.box.letters(t))
		must(t, m.Users().SetPassword(ctx, rights.Owner(), u.ID, fromSomewhere, secret.New(nextPass)))
		must(t, m.Users().SetCredential(ctx, rights.Owner(), u.ID, fromSomewhere, login.Credential{Kind: "totp", Data: []byte(`{}`)}))
		must(t, m.Users().DeleteCredential(ctx, rights.Owner(), u.ID, fromSomewhere, "totp", ""))
		var kinds []accounts.MessageKind
		for _, l := range m.box.letters(t)[before:] {
			if kinds = append(kinds, l.Kind); l.To != u.Identifier || len(l.Args) != 3 || l.Args[2] != "192.0.2.1" {
				t.Errorf("a notice is %+v", l)
			}
		}
		want := []accounts.MessageKind{accounts.MailPassword, accounts.MailAdded, accounts.MailRemoved}
		if !proven {
			want = nil
		}
		if fmt.Sprint(kinds) != fmt.Sprint(want) {
			t.Errorf("proven %v: told of %v, want %v", proven, kinds, want)
		}
	}
	if err := m.Users().SetCredential(ctx, rights.Owner(), "usr_x", noAct, login.Credential{Kind: directory.KindMail, Data: []byte(`{}`)}); !errors.Is(err, directory.ErrBadCredential) {
		t.Errorf("an address as a credential = %v, want ErrBadCredential", err)
	}
}

// LOGIN-17: a stranger signs up with the address of somebody, and begins to sign in. Once its owner has
// chosen a password by mail, the stranger has nothing: no session, no key, no attempt that was under way.
func TestSquatterIsOut(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	ctx := t.Context()
	u, err := m.Users().SignUp(ctx, fromSomewhere, "ada@example.com", "", "en", secret.New(pass))
	must(t, err)
	if got := m.box.last(t); got.Kind != accounts.MailVerify || got.Code != "" || len(got.Args) != 0 || got.Token == "" || got.To != "ada@example.com" {
		t.Errorf("who signs up is sent %+v", got)
	}
	session := m.signIn(u, counterfoil.CarrierBearer)
	must(t, m.Users().SetCredential(ctx, rights.Owner(), u.ID, noAct, login.Credential{Kind: "totp", Data: []byte(`{}`)}))
	_, key, err := m.Users().NewKey(ctx, rights.Owner(), noAct, directory.APIKey{Client: "x", User: u.ID, Scopes: []string{directory.ScopeFeed}})
	must(t, err)
	rev, err := m.Issuer().SubjectRev(ctx, u.ID)
	must(t, err)
	asked, err := m.Users().AskAddress(ctx, session.Session, noAct, "stranger@example.com", "en")
	must(t, err)

	handle, err := m.Users().Recover(ctx, fromSomewhere, "ada@example.com", "en", login.Secret{})
	must(t, err)
	must(t, m.recovered(handle, nextPass))

	if _, err := m.Issuer().Refresh(ctx, session.Refresh.Reveal(), issuer.Renewal{}); err == nil {
		t.Error("the session of the stranger goes on")
	}
	if _, err := m.Users().Authenticate(ctx, key.Reveal()); !errors.Is(err, login.ErrRefused) {
		t.Errorf("the key of the stranger = %v", err)
	}
	if others, err := m.Users().Credentials(ctx, u.ID); err != nil || len(others) != 0 {
		t.Errorf("credentials of the stranger: %v, %v", others, err)
	}
	if _, err := m.Issuer().Login(ctx, login.Proof{Subject: u.ID, At: *m.now, SubjectRev: rev}, issuer.Request{}); !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("an attempt of the stranger that was under way = %v, want ErrProveAgain", err)
	}
	if _, err := m.Users().VerifyAddress(ctx, noAct, directory.Verification{Token: asked.Token, User: u.ID}); !errors.Is(err, login.ErrRefused) {
		t.Errorf("the change of address that the stranger asked for = %v, want ErrRefused", err)
	}
}

// Who signs up with many addresses has as few mails sent as who asks for them in another way.
func TestSignUpCountsItsMail(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	var err error
	n := 0
	for ; err == nil && n < 20; n++ {
		_, err = m.Users().SignUp(t.Context(), fromSomewhere, fmt.Sprintf("user%d@example.com", n), "", "en", secret.New(nextPass))
	}
	if !login.Unchecked(err) || n != 11 {
		t.Errorf("sign-up %d = %v, want ten mails and then Throttled", n, err)
	}
	if _, err := m.Users().Recover(t.Context(), fromSomewhere, "user1@example.com", "en", login.Secret{}); !login.Unchecked(err) {
		t.Errorf("a reset from there = %v, want Throttled", err)
	}
}

// What a session had mailed to prove an address is void when the user ends all others, when an administrator ends
// all, and when the user is disabled.
func TestEndedSessionsHaveNoProofOfAnAddress(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	ctx := t.Context()
	for name, end := range map[string]func(directory.User) error{
		"others": func(u directory.User) error {
			_, err := m.Users().EndOthers(ctx, m.signIn(u, counterfoil.CarrierBearer).Session, noAct)
			return err
		},
		"all": func(u directory.User) error {
			_, err := m.Users().EndSessions(ctx, rights.Of(rights.Revoke), u.ID, noAct)
			return err
		},
		"disabled": func(u directory.User) error {
			_, err := m.Users().Update(ctx, rights.Owner(), u.ID, noAct, func(u *directory.User) error { u.Status = directory.Disabled; return nil })
			return err
		},
	} {
		u := m.user(name + "@example.com")
		asked, err := m.Users().AskAddress(ctx, m.signIn(u, counterfoil.CarrierBearer).Session, noAct, "thief-"+name+"@example.com", "en")
		must(t, err)
		must(t, end(u))
		for _, shown := range []directory.Verification{{Token: asked.Token, User: u.ID}, {Handle: asked.Handle, Code: asked.Code.Reveal(), User: u.ID}} {
			if _, err := m.Users().VerifyAddress(ctx, noAct, shown); !errors.Is(err, login.ErrRefused) && !errors.Is(err, login.ErrOver) {
				t.Errorf("%s: what the thief asked for = %v, want it void", name, err)
			}
		}
	}
}

// LOGIN-19: a login that proved the old password while its owner chose another by mail has no session of it.
func TestLoginDuringRecovery(t *testing.T) {
	s := inMemory(t)
	faulty := storetest.Faulty(s)
	first, m := open(t, stores{faulty, faulty}), openMailing(t, stores{s, s})
	u := m.user("ada@example.com")
	rev, err := m.Issuer().SubjectRev(t.Context(), u.ID)
	must(t, err)
	handle, err := m.Users().Recover(t.Context(), noAct, u.Identifier, "en", login.Secret{})
	must(t, err)
	faulty.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "session", Times: 1, Slow: true, Before: func() {
		must(t, m.recovered(handle, nextPass))
	}})
	_, err = first.Issuer().Login(t.Context(), login.Proof{Subject: u.ID, At: *m.now, SubjectRev: rev}, issuer.Request{})
	if !errors.Is(err, issuer.ErrProveAgain) {
		t.Errorf("Login = %v, want ErrProveAgain", err)
	}
}

// A session that was left open does not give the account away; nor does a server without mail.
func TestAskAddressNeedsAFreshLogin(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	u := m.user("ada@example.com")
	own := m.signIn(u, counterfoil.CarrierBearer).Session
	*m.now = m.now.Add(issuer.FreshLogin + time.Second)
	if _, err := m.Users().AskAddress(t.Context(), own, noAct, "thief@example.com", "en"); !errors.Is(err, counterfoil.ErrStepUp) {
		t.Errorf("another address after a quarter of an hour = %v, want ErrStepUp", err)
	}
	if _, err := m.Users().AskAddress(t.Context(), own, noAct, "Ada@Example.com", "en"); err != nil {
		t.Errorf("to prove the one that is there = %v", err)
	}
	without := open(t, stores{s, s})
	if _, err := without.Users().Recover(t.Context(), noAct, "ada@example.com", "en", login.Secret{}); !errors.Is(err, accounts.ErrNoMail) {
		t.Errorf("without mail = %v, want ErrNoMail", err)
	}
}

// The undo of a change of address ends all sessions and voids the password, and its holder chooses another.
// A server that is killed in the middle leaves nobody signed in once another one has finished it.
func TestUndoAddress(t *testing.T) {
	for round, s := range rounds(t) {
		for spared := range 2 {
			users := storetest.Faulty(s.users)
			at := stores{users, s.sessions}
			if s.users == s.sessions {
				at.sessions = users
			}
			dying, m := openMailing(t, at), openMailing(t, s)
			name := fmt.Sprintf("%s, killed at %d", round, spared)
			u := m.user(fmt.Sprintf("ada%d@example.com", spared))
			ctx := t.Context()
			_, err := m.Users().Update(ctx, rights.Owner(), u.ID, noAct, func(u *directory.User) error { u.Verified = *m.now; return nil })
			must(t, err)
			thief := m.signIn(u, counterfoil.CarrierBearer)
			asked, err := m.Users().AskAddress(ctx, thief.Session, noAct, fmt.Sprintf("thief%d@example.com", spared), "en")
			must(t, err)
			_, err = m.Users().VerifyAddress(ctx, noAct, directory.Verification{Token: asked.Token, User: u.ID})
			must(t, err)
			moved := m.box.last(t)
			if moved.Kind != accounts.MailMoved || moved.To != u.Identifier || moved.Path != "/address/undo" || moved.Args[1] != fmt.Sprintf("thief%d@example.com", spared) {
				t.Fatalf("%s: the address before is told %+v", name, moved)
			}
			users.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared, Times: 1})
			invitation, _, err := dying.Users().UndoAddress(ctx, noAct, secret.New(moved.Token))
			users.Heal()
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			if spared == 0 {
				invitation, _, err = m.Users().UndoAddress(ctx, noAct, secret.New(moved.Token))
				must(t, err)
			}
			must(t, m.Users().Finish(ctx))
			if _, err := m.Issuer().Refresh(ctx, thief.Refresh.Reveal(), issuer.Renewal{}); err == nil {
				t.Errorf("%s: the session of the thief goes on", name)
			}
			got, err := m.Users().ByID(ctx, u.ID)
			if err != nil || got.Identifier != u.Identifier || got.Address != u.Identifier || got.Password != "" {
				t.Errorf("%s: after the undo %+v, %v", name, got, err)
			}
			if spared == 0 {
				must(t, m.Users().Redeem(ctx, noAct, invitation, "", secret.New(nextPass)))
			}
		}
	}
}

// An address that was never proven is told that the account has another, without a link, and not which.
func TestUnprovenAddressIsTold(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	u := m.user("ada@example.com")
	asked, err := m.Users().AskAddress(t.Context(), m.signIn(u, counterfoil.CarrierBearer).Session, noAct, "thief@example.com", "en")
	must(t, err)
	_, err = m.Users().VerifyAddress(t.Context(), noAct, directory.Verification{Token: asked.Token, User: u.ID})
	must(t, err)
	if got := m.box.last(t); got.Kind != accounts.MailLeft || got.To != "ada@example.com" || got.Path != "" || got.Token != "" || fmt.Sprint(got.Args) != "[]" {
		t.Errorf("the address before is told %+v", got)
	}
}

// LOGIN-16: an administrator has an invitation mailed, and never sees it.
func TestInviteByMail(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	ctx := t.Context()
	u, _, err := m.Users().CreateInvitedByMail(ctx, rights.Owner(), noAct, directory.User{Identifier: "ada@example.com"})
	must(t, err)
	first := m.box.last(t)
	must(t, m.Users().Redeem(ctx, noAct, secret.New(first.Token), "", secret.New(pass)))
	to, expires, err := m.Users().InviteByMail(ctx, rights.Owner(), u.ID, noAct)
	if got := m.box.last(t); err != nil || to != "ada@example.com" || got.Kind != accounts.MailInvite || got.Token == first.Token || expires.Sub(*m.now) != directory.LinkTTL {
		t.Errorf("InviteByMail = %q, %v, %v, and %+v", to, expires, err, got)
	}
	if got, err := m.Users().ByID(ctx, u.ID); err != nil || got.Verified.IsZero() {
		t.Errorf("who came by the mail has proven the address: %+v, %v", got, err)
	}
	before := len(m.box.letters(t))
	bob := m.user("bob")
	if _, _, err := m.Users().InviteByMail(ctx, rights.Owner(), bob.ID, noAct); !errors.Is(err, directory.ErrNoAddress) {
		t.Errorf("without an address = %v, want ErrNoAddress", err)
	}
	if _, _, err := m.Users().CreateInvitedByMail(ctx, rights.Owner(), noAct, directory.User{Identifier: "carol"}); !errors.Is(err, directory.ErrNoAddress) || len(m.box.letters(t)) != before {
		t.Errorf("a new user without an address = %v, want ErrNoAddress", err)
	}
	if _, err := m.Users().ByIdentifier(ctx, "carol"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the user who could not be told: %v, want ErrNotFound", err)
	}
}

// LOGIN-09: one address of the network has few messages sent, and other tries by it are counted, too.
func TestMailIsLimited(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	sent := 0
	var err error
	for n := range 30 {
		if _, err = m.Users().Recover(context.Background(), fromSomewhere, fmt.Sprint("nobody", n), "en", login.Secret{}); err != nil {
			break
		}
		sent++
	}
	if sent != 10 || !login.Unchecked(err) {
		t.Errorf("%d mails were asked for, then %v; want 10 and Throttled", sent, err)
	}
	if _, err := m.Users().Recover(context.Background(), audit.Act{Address: netip.MustParseAddr("192.0.2.2")}, "nobody", "en", login.Secret{}); err != nil {
		t.Errorf("from elsewhere = %v", err)
	}
}

// meddled is a store in which something happens just before the next commit.
type meddled struct {
	store.Store
	before *func()
}

func (m meddled) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if do := *m.before; do != nil {
		*m.before = nil
		do()
	}
	return m.Store.Commit(ctx, b)
}

// LOGIN-12: what a thief asked for who was signed in is not granted any more once the owner has chosen another password:
// neither what is under way when that is committed, nor while the sessions are about to end, nor later.
func TestAskedBeforeTheReset(t *testing.T) {
	asks := map[string]func(m mailing, s *counterfoil.Session) error{
		"another address": func(m mailing, s *counterfoil.Session) error {
			_, err := m.Users().AskAddress(m.t.Context(), s, noAct, "thief@example.com", "en")
			return err
		},
		"a credential": func(m mailing, s *counterfoil.Session) error {
			return m.Users().SetOwnCredential(m.t.Context(), s, noAct, login.Credential{Kind: "totp", Data: []byte(`{}`)})
		},
		"another credential": func(m mailing, s *counterfoil.Session) error {
			return m.Users().SetOwnCredential(m.t.Context(), s, noAct, login.Credential{Kind: "key", Data: []byte(`{"of":"thief"}`)})
		},
	}
	for round, s := range rounds(t) {
		for what, ask := range asks {
			for _, when := range []string{"under way", "while sessions end", "later"} {
				name := fmt.Sprintf("%s, %s, %s", round, what, when)
				users := storetest.Faulty(s.users)
				before := new(func())
				at := stores{meddled{users, before}, s.sessions}
				if s.users == s.sessions {
					at.sessions = at.users
				}
				m, thief := openMailing(t, s), openMailing(t, at)
				m.box, numbered = &letterbox{store: s.users}, numbered+1
				u := m.user(fmt.Sprintf("ada%d@example.com", numbered))
				must(t, m.Users().SetCredential(t.Context(), rights.Owner(), u.ID, noAct, login.Credential{Kind: "key", Data: []byte(`{}`)}))
				session := m.signIn(u, counterfoil.CarrierBearer).Session
				reset := func() { must(t, m.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass))) }
				switch when {
				case "under way":
					*before = reset
				case "while sessions end":
					users.Inject(storetest.Fault{Op: storetest.OpCommit, After: 1, Times: 1})
					if err := thief.Users().SetPassword(t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass)); err == nil {
						t.Errorf("%s: no error", name)
					}
					users.Heal()
				default:
					reset()
				}
				letters := len(m.box.letters(t))
				if err := ask(thief, session); !errors.Is(err, counterfoil.ErrRevoked) {
					t.Errorf("%s = %v, want ErrRevoked", name, err)
				}
				for _, l := range m.box.letters(t)[letters:] {
					if l.Kind == accounts.MailVerify || l.Kind == accounts.MailAdded {
						t.Errorf("%s: a mail %s", name, l.Kind)
					}
				}
				all, err := m.Users().Credentials(t.Context(), u.ID)
				if err != nil || len(all) != 1 || string(all[0].Data) != `{}` {
					t.Errorf("%s: credentials %v, %v", name, all, err)
				}
				must(t, m.Users().Finish(t.Context()))
				if err := ask(m, m.signIn(u, counterfoil.CarrierBearer).Session); err != nil {
					t.Errorf("%s: the owner = %v", name, err)
				}
			}
		}
	}
}

// LOGIN-12: an administrator voids the undo of a change, and nothing else of the user. What an undo takes away is in the
// audit trail.
func TestEndUndos(t *testing.T) {
	s := inMemory(t)
	m := openMailing(t, stores{s, s})
	ctx := t.Context()
	for _, ended := range []bool{true, false} {
		u := m.user(fmt.Sprintf("ada-%t@example.com", ended))
		_, err := m.Users().Update(ctx, rights.Owner(), u.ID, noAct, func(u *directory.User) error { u.Verified = *m.now; return nil })
		must(t, err)
		session := m.signIn(u, counterfoil.CarrierBearer)
		asked, err := m.Users().AskAddress(ctx, session.Session, noAct, "new-"+u.Identifier, "en")
		must(t, err)
		_, err = m.Users().VerifyAddress(ctx, noAct, directory.Verification{Token: asked.Token, User: u.ID})
		must(t, err)
		undo := secret.New(m.box.last(t).Token)
		must(t, m.Users().SetCredential(ctx, rights.Owner(), u.ID, noAct, login.Credential{Kind: "totp", ID: "thief", Data: []byte(`{}`)}))
		if ended {
			for _, who := range []rights.Actor{{}, m.support()} {
				if err := m.Users().EndUndos(ctx, who, u.ID, noAct); !errors.Is(err, counterfoil.ErrForbidden) {
					t.Errorf("EndUndos, by who may not write: %v, want ErrForbidden", err)
				}
			}
			must(t, m.Users().EndUndos(ctx, rights.Program(), u.ID, audit.Act{By: "subject:root"}))
			must(t, m.Users().EndUndos(ctx, rights.Program(), u.ID, audit.Act{By: "subject:late"})) // there is none any more
		}
		_, _, err = m.Users().UndoAddress(ctx, noAct, undo)
		if errors.Is(err, login.ErrRefused) != ended || err != nil && !ended {
			t.Errorf("an undo, ended %t = %v", ended, err)
		}
		got, err := m.Users().ByID(ctx, u.ID)
		if err != nil || (got.Address == "new-"+u.Identifier && got.Password == u.Password) != ended {
			t.Errorf("after an undo, ended %t: %+v, %v", ended, got, err)
		}
		told, _, err := m.Issuer().Audit().List(ctx, audit.Query{Subject: u.ID, Actions: []audit.Action{audit.DeleteCredential, audit.ChangeUser}, Limit: 10})
		must(t, err)
		var last audit.Entry
		if len(told) > 0 {
			last = told[0]
		}
		want := audit.Entry{Action: audit.DeleteCredential, Target: "totp/thief", By: audit.BySubject(u.ID)}
		if ended {
			want = audit.Entry{Action: audit.ChangeUser, Detail: "no undo of the address any more", By: "subject:root"}
		}
		if last.Action != want.Action || last.Target != want.Target || last.Detail != want.Detail || last.By != want.By {
			t.Errorf("the trail says %+v, want %+v", last, want)
		}
	}
	if err := m.Users().EndUndos(ctx, rights.Program(), "usr_nobody", noAct); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of nobody = %v, want ErrNotFound", err)
	}
}

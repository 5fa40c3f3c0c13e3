// Package password proves who somebody is by a password: argon2id, and a bounded number
// of hashes at a time. Begin with [New]; [Passwords] is a login.Method, which package flow
// runs. It checks passwords and makes hashes of new ones. It cannot store a new one:
// package accounts does, which knows whose sessions end with the old one.
package password

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/throttle"
)

// Users is what package password needs of the directory.
type Users interface {
	// ImportedWork is what the checks of imported hashes cost at most, and how long a
	// refusal lasts at least.
	ImportedWork(ctx context.Context) (work directory.Work, last time.Duration, err error)
}

// Options of New.
type Options struct {
	Users    Users              // required: a *directory.Directory
	Throttle *throttle.Throttle // required: counts what is tried, except at a login, which package flow counts

	Slots int              // hashes at a time, of 64 MiB each; zero: 1 to 8, as many as CPUs, but one less without Worker
	Now   func() time.Time // nil: time.Now

	// Worker makes a command that runs Work on its standard input and output, in a
	// process of low priority: then a flood of logins takes nothing from the checks of
	// sessions in this one (LOGIN-04). Slots count from 0; a process that died is made
	// again for its slot. Nil: hashes are computed in this process.
	Worker func(slot int) *exec.Cmd

	// InsecureHashes makes hashes that cost nothing, to compute or to break: for
	// tests that are not about passwords.
	InsecureHashes bool
}

// Passwords checks passwords, and hashes new ones.
type Passwords struct {
	opts   Options
	slots  *slots
	queue  chan struct{} // one per attempt that waits or runs
	kept   chan struct{} // the same for known devices, when queue is full
	local  line          // of callers on this machine, before they come to queue
	policy params        // what new hashes are made with; stored ones below it are made anew at the next login
	dummy  string        // is verified when there is nothing to verify (LOGIN-06)
	hashed atomic.Int64
}

// New checks o.
func New(o Options) (*Passwords, error) {
	if o.Users == nil || o.Throttle == nil {
		return nil, errors.New("password: Options.Users and Options.Throttle are required")
	}
	o.Slots = o.slots()
	if o.Now == nil {
		o.Now = time.Now
	}
	policy := o.policy()
	all := make([]hasher, o.Slots)
	for slot := range all {
		all[slot] = o.hasher(slot)
	}
	return &Passwords{
		opts: o, policy: policy, slots: newSlots(all, o.Worker != nil), queue: make(chan struct{}, 5*o.Slots), kept: make(chan struct{}, o.Slots),
		local: newLine(max(o.Slots/2, 1)), dummy: dummy(policy),
	}, nil
}

func (o Options) hasher(slot int) hasher {
	if o.Worker == nil {
		return here{}
	}
	return &worker{command: func() *exec.Cmd { return o.Worker(slot) }}
}

func (o Options) slots() int {
	if o.Slots > 0 {
		return o.Slots
	}
	n := runtime.GOMAXPROCS(0)
	if o.Worker == nil {
		// One CPU stays free of hashing: a hash runs for a tenth of a second, and checks
		// of sessions must not stand behind it (LOGIN-04).
		n--
	}
	return min(max(n, 1), 8)
}

func (o Options) policy() params {
	if o.InsecureHashes {
		return insecure
	}
	return production
}

// Measure computes two hashes, and returns how many passwords a second all slots of o can
// check, and how long one takes. More attempts than that would fill the queue. It computes them in
// this process, which is not of low priority: a start does not wait for a busy machine. Their
// memory is returned to the system.
func Measure(o Options) (perSecond int, one time.Duration) {
	for n := range 2 {
		begun := time.Now()
		hash("no such password", o.policy())
		if took := time.Since(begun); n == 0 || took < one {
			one = took
		}
		debug.FreeOSMemory()
	}
	return int(time.Duration(o.slots()) * time.Second / max(one, time.Microsecond)), one
}

// Close waits for the hashes under way and ends the processes of Options.Worker.
// Every later call waits for its context.
func (p *Passwords) Close() error {
	for range p.slots.count() {
		_, _, _ = p.slots.take(context.Background())
	}
	return p.slots.close()
}

// Name is what clients ask for.
func (p *Passwords) Name() string { return directory.KindPassword }

// Begin checks a password. Unknown, disabled, without a password, wrong: all get
// login.ErrRefused after the work of one hash; with users from elsewhere, whose hashes
// cost differently, after the work of one of each kind (LOGIN-06).
func (p *Passwords) Begin(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Password string `json:"password"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	h, release, err := p.slot(ctx, a.Known) // before the user is read: a flood costs no look-ups
	if err != nil {
		return login.Step{}, err
	}
	begun := p.opts.Now()
	var last time.Duration
	step, err := func() (login.Step, error) {
		defer release() // who is refused waits without a slot
		account, err := a.Account(ctx)
		if err != nil {
			return login.Step{}, err
		}
		step, stored, err := p.check(h, account, secret.New(in.Password))
		if !errors.Is(err, login.ErrRefused) {
			return step, err
		}
		var work directory.Work
		var unread error
		if work, last, unread = p.opts.Users.ImportedWork(ctx); unread != nil && ctx.Err() == nil {
			return login.Step{}, unread
		}
		if err := p.spendRest(h, work, stored, secret.New(in.Password)); err != nil {
			return login.Step{}, err
		}
		return login.Step{}, err
	}()
	if errors.Is(err, login.ErrRefused) && last > 0 {
		err = p.even(ctx, begun, last)
	}
	return step, err
}

// Finish refuses: a password has no challenge.
func (p *Passwords) Finish(context.Context, login.Attempt) (login.Step, error) {
	return login.Step{}, login.ErrRefused
}

// check does the work of Begin, in a slot. stored is what the password was compared with.
func (p *Passwords) check(h hasher, a login.Account, password secret.String) (step login.Step, stored string, err error) {
	var used login.Credential
	if len(a.Credentials) > 0 {
		used = a.Credentials[0]
	}
	if stored, err = directory.HashOf(used); err != nil {
		return login.Step{}, "", err
	}
	usable := a.Subject != "" && stored != ""
	if !usable {
		stored = p.dummy
	}
	match, outdated, err := p.verify(h, stored, password)
	if err != nil {
		return login.Step{}, "", err
	}
	if !match || !usable {
		return login.Step{}, stored, login.ErrRefused
	}
	if outdated {
		phc, err := p.hash(h, password)
		if err != nil {
			return login.Step{}, "", err
		}
		renewed, err := directory.NewPassword(phc, used.Created)
		if err != nil {
			return login.Step{}, "", err
		}
		used.Data = renewed.Data
	}
	return login.Step{Proof: a.Prove("pwd"), Used: &used}, stored, nil
}

// counted does what checks a credential once g is counted. Every door to a hash is one:
// strangers could keep the slots busy by another (LOGIN-04), and try out names faster
// than passwords (docs/decisions/0007).
func (p *Passwords) counted(ctx context.Context, g throttle.Guess, check func() error) error {
	ticket, err := p.opts.Throttle.Take(ctx, g)
	if err != nil {
		return err
	}
	err = check()
	var rejected login.RejectedPassword
	switch {
	case err == nil, errors.As(err, &rejected): // what was tried is right
		return errors.Join(err, ticket.Succeeded(ctx))
	case errors.Is(err, login.ErrRefused):
		return err
	}
	return errors.Join(err, ticket.Undo(ctx)) // busy, or an outage: nothing was guessed
}

func (p *Passwords) verify(h hasher, stored string, password secret.String) (match, outdated bool, err error) {
	p.hashed.Add(1)
	return h.verify(stored, password.Reveal(), p.policy)
}

func (p *Passwords) hash(h hasher, password secret.String) (string, error) {
	p.hashed.Add(1)
	return h.hash(password.Reveal(), p.policy)
}

// Choose returns the hash of a password that somebody chose for an account. It fails with
// login.RejectedPassword, login.Throttled or login.ErrBusy. from is the address that asks;
// without one it is an administrator of this machine, or the program around us: the call
// waits for its turn, until ctx ends.
func (p *Passwords) Choose(ctx context.Context, from netip.Addr, identifier, name string, chosen secret.String) (hash string, err error) {
	if err := p.acceptable(identifier, name, chosen.Reveal()); err != nil {
		return "", err
	}
	h, release, err := p.slotFor(ctx, from)
	if err != nil {
		return "", err
	}
	defer release()
	return p.hash(h, chosen)
}

// Replace returns the hash of the password that takes the place of the current one, which
// its owner must know (LOGIN-14). For a wrong one it computes one hash, and compares nothing
// else: nobody learns anything of next. It fails like Choose, and with login.ErrRefused.
func (p *Passwords) Replace(ctx context.Context, from netip.Addr, user directory.User, current, next secret.String) (hash string, err error) {
	// Who asks is signed in, so failures are counted apart: strangers who guess at
	// the account do not keep its owner from changing the password.
	g := throttle.Guess{Account: "change " + user.ID, Address: from, Local: !from.IsValid()}
	err = p.counted(ctx, g, func() (err error) {
		hash, err = p.replace(ctx, from, user, current, next)
		return err
	})
	return hash, err
}

func (p *Passwords) replace(ctx context.Context, from netip.Addr, user directory.User, current, next secret.String) (hash string, err error) {
	h, release, err := p.slotOf(ctx, from)
	if err != nil {
		return "", err
	}
	defer release()
	if user.Password == "" {
		return "", login.ErrRefused
	}
	match, _, err := p.verify(h, user.Password, current)
	if err != nil {
		return "", err
	}
	if !match {
		return "", login.ErrRefused
	}
	if err := p.acceptable(user.Identifier, user.Name, next.Reveal()); err != nil {
		return "", err
	}
	return p.hash(h, next)
}

// minLength is that of a new password, in code points (LOGIN-01).
const minLength = 15

// maxPassword is how many bytes a password has at most.
const maxPassword = 1024

// acceptable applies the rules of SP 800-63B: length, no composition rules, not
// easily guessed (LOGIN-01, LOGIN-02). Nothing is trimmed or folded when hashing.
func (p *Passwords) acceptable(identifier, name, password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return login.RejectedPassword{Reason: "it is not valid text", Rule: "text"}
	case n < minLength:
		return login.RejectedPassword{Reason: fmt.Sprintf("it is too short: use %d characters or more, for example four words", minLength), Rule: "short"}
	case n > 256 || len(password) > maxPassword:
		return login.RejectedPassword{Reason: "it is too long: use at most 256 characters", Rule: "long"}
	}
	folded := strings.ToLower(password)
	local, _, _ := strings.Cut(strings.ToLower(identifier), "@")
	for _, own := range append(strings.Fields(strings.ToLower(name)), local) {
		if len(own) >= 4 && strings.Contains(folded, own) {
			return login.RejectedPassword{Reason: "it contains your name", Rule: "name"}
		}
	}
	if strings.Contains(folded, "counterfoil") || common(folded) || len(period(folded)) <= 8 {
		return login.RejectedPassword{Reason: "it is easily guessed", Rule: "guessed"}
	}
	return nil
}

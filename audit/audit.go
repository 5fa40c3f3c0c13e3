// Package audit records who did what to whom, from where and why (OPS-03).
//
// Begin with [New]. [Trail.Commit] commits a change of state and its entry together.
// [Trail.Tell] is for events that change nothing, or that happen too often to keep (a
// refresh). Of those, [Trail.Run] keeps refusals, and samples them when there are many. One
// hook hears every entry, kept or not; logs and metrics use it. [Trail.List] reads the entries
// that were kept. Run also seals them: [Trail.Verify] finds out whether somebody changed them.
//
// An entry never holds a credential, nor text that a person typed where a credential
// belongs (OPS-01).
package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/store"
)

// Action says what happened.
type Action string

// The actions. Those marked "told" are never kept.
const (
	Login            Action = "login"          // refused ones are told
	Logout           Action = "logout"         // the holder gave the session up
	Refresh          Action = "refresh"        // told
	Repeat           Action = "refresh.repeat" // the answer to a refresh was given again, within the grace
	Reuse            Action = "refresh.reuse"  // a refresh token came a second time: the session has ended, or what Client held of it
	AddGrant         Action = "grant.add"      // Client holds a grant on Session
	AddHost          Action = "host.add"       // a browser has a cookie of Session at another host; Target: its id and the origin
	ReuseCode        Action = "host.reuse"     // the code for that came a second time: what was made with it has ended
	Revoke           Action = "revoke"         // Target: the scope, and the id when it is no subject, client or session
	Impersonate      Action = "impersonation"  // By acts as Subject from now on, in Session
	StepUp           Action = "session.stepup" // the subject proved anew who it is; Session is the session from then on
	EndOthers        Action = "sessions.end"   // all sessions of Subject but Session
	StartOver        Action = "sessions.renew" // credentials changed: all ended, Session made
	SetSubject       Action = "subject.set"    // roles, or disabled, for all its sessions
	SetClient        Action = "client.set"     // made or changed
	DeleteClient     Action = "client.delete"
	RotateKey        Action = "key.rotate" // Target: the key that will sign, or signs; told when its time has come
	RevokeKey        Action = "key.revoke" // Target: the key
	NewEpoch         Action = "log.epoch"  // acknowledged entries were lost: a new log has begun
	CreateUser       Action = "user.create"
	ChangeUser       Action = "user.change" // name, status or roles
	DeleteUser       Action = "user.delete"
	ChangePassword   Action = "password.change" // by its owner, or with an invitation
	Invite           Action = "user.invite"     // a person with the invitation may set a password for Subject
	Recover          Action = "user.recover"    // a code and a link to choose another password were mailed to Subject
	SetAddress       Action = "address.set"     // the mail address of Subject is verified, or another one
	UndoAddress      Action = "address.undo"    // the one before is back, and the password is void
	CreateAPIKey     Action = "apikey.create"   // Target: the key's public id
	DeleteAPIKey     Action = "apikey.delete"
	SetCredential    Action = "credential.set" // Target: kind and id
	DeleteCredential Action = "credential.delete"
	Export           Action = "export"           // all of a list was read as a file; Target: the list, Detail: format and filter
	Damaged          Action = "damaged"          // in lists alone: what is kept cannot be read
	MuteCheck        Action = "monitor.mute"     // Target: the check of the monitor of which people are told nothing, or are told again
	ChangeIncident   Action = "monitor.incident" // Target: the incident that was announced, or was given a note or its end
	TestChannel      Action = "monitor.test"     // Target: the channel of the monitor to which a test is sent
	Redeliver        Action = "outbox.redeliver" // Target: a dead letter, which is sent again
	DropLetter       Action = "outbox.drop"      // Target: a dead letter
	Limit            Action = "limit"            // told: an attempt was not even checked
	Deny             Action = "denied"           // told: the caller may not make the request; Target: its route
	CrossSite        Action = "cross-site"       // told: another site made the request; Target: its route
)

// Outcome says how it went.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // done, and durable
	Refused Outcome = "refused" // not done
	Unknown Outcome = "unknown" // the store did not say: done or not
)

// Entry is one event. Its JSON is what is kept, listed and logged. Members that say
// nothing are absent.
type Entry struct {
	ID      string     `json:"id,omitempty"` // of a kept entry: sorts newest first
	Time    time.Time  `json:"time"`         // UTC
	Action  Action     `json:"action"`
	Outcome Outcome    `json:"outcome"`
	Subject string     `json:"subject,omitempty"` // whose account it was done to
	By      string     `json:"by"`                // see Act
	Client  string     `json:"client,omitempty"`
	Session string     `json:"session,omitempty"` // public id
	Target  string     `json:"target,omitempty"`  // what it was done to, if none of the above
	Address netip.Addr `json:"address,omitzero"`  // where the request came from
	Request string     `json:"request,omitempty"` // X-Request-Id of the answer
	Reason  string     `json:"reason,omitempty"`  // why, in the words of the actor
	Detail  string     `json:"detail,omitempty"`  // what else is worth knowing, as key=value

	wrote []wrote // kept, and not listed; see Wrote
}

// Act is who does something, from where, in which request, and why. Every call that
// changes something takes one.
type Act struct {
	// By is "subject:" and a subject, "key:" and the client of an API key, "local"
	// for a person on the machine itself, "issuer" for what the server does by itself, or
	// "unknown" for a caller that has not proven who it is. Zero is "issuer".
	By      string
	Address netip.Addr
	Request string
	Reason  string // printable ASCII, at most 100 bytes
}

// The actors that have no name.
const (
	ByLocal   = "local"
	ByIssuer  = "issuer"
	ByUnknown = "unknown"
)

// ByLocalUser names a user of the machine as the actor, by the number that the system has for
// it.
func ByLocalUser(uid uint32) string { return ByLocal + ":uid " + strconv.FormatUint(uint64(uid), 10) }

// BySubject names a person as the actor.
func BySubject(id string) string { return "subject:" + id }

// SubjectOf returns the person whom by names as the actor, if it is one.
func SubjectOf(by string) (id string, is bool) { return strings.CutPrefix(by, "subject:") }

// ByKey names a program as the actor, by the client that its API key is of.
func ByKey(client string) string { return "key:" + client }

// Entry begins the entry of a.
func (a Act) Entry(action Action, subject string) Entry {
	if a.By == "" {
		a.By = ByIssuer
	}
	return Entry{Action: action, Outcome: OK, Subject: subject, By: a.By, Address: a.Address, Request: a.Request, Reason: a.Reason}
}

// DefaultKeep is how long an entry is kept if Options.Keep is zero.
const DefaultKeep = 90 * 24 * time.Hour

// Options of New.
type Options struct {
	Store store.Store // required: where entries are kept

	// Beside is another store that changes are committed to. Entries of those are kept
	// in the same commit there, and Move takes them to Store. nil: there is none.
	Beside store.Store

	Keep time.Duration // how long an entry is kept; zero: 90 days; negative: not at all

	// Anchor hears each seal, about one a minute, to write it down outside of the store. nil: one
	// line in slog.Default().
	Anchor func(Seal)

	// Hook hears every entry, kept ones once they are durable. It must be quick, and
	// safe for concurrent use. nil: Log(slog.Default()).
	Hook func(Entry)

	Now func() time.Time // nil: time.Now
}

// Trail writes and reads entries. It is safe for concurrent use.
type Trail struct {
	opts    Options
	kept    chan struct{} // holds one token when entries were kept in Beside
	told    chan Entry    // refusals that Run keeps
	sampler sampler       // of told
	last    atomic.Int64  // of the newest id, in Unix nanoseconds: ids of one process never tie
}

// New checks o.
func New(o Options) (*Trail, error) {
	if o.Store == nil {
		return nil, errors.New("audit: Options.Store is required")
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Hook == nil {
		o.Hook = Log(slog.Default())
	}
	if o.Anchor == nil {
		o.Anchor = LogSeal(slog.Default())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Beside == o.Store {
		o.Beside = nil
	}
	t := &Trail{opts: o, kept: make(chan struct{}, 1), told: make(chan Entry, toldRoom)}
	t.sampler.turn(o.Now(), true)
	return t, nil
}

const kind store.Kind = "audit" // ID: newest first; owner: subject

// Commit does b on s, and keeps entries in the same commit: none is lost, and none
// tells of what did not happen. An entry without an action is left out.
func (t *Trail) Commit(ctx context.Context, s store.Store, b store.Batch, entries ...Entry) (counterfoil.Cursor, error) {
	put := make([]store.Record, 0, len(b.Put)+len(entries))
	put = append(put, b.Put...)
	link(entries, b.Revoke)
	for n := range entries {
		entries[n] = t.finish(entries[n])
		if t.opts.Keep < 0 || entries[n].Action == "" {
			continue
		}
		rec, err := t.record(&entries[n])
		if err != nil {
			return counterfoil.Cursor{}, err
		}
		put = append(put, rec)
	}
	kept := len(put) > len(b.Put)
	b.Put = put
	head, err := s.Commit(ctx, b)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrLost) {
		return head, err // nothing happened, and the caller will look again
	}
	for _, e := range entries {
		if err != nil {
			e.Outcome = Unknown
		}
		if e.Action != "" {
			t.opts.Hook(e)
		}
	}
	if kept && s == t.opts.Beside {
		select {
		case t.kept <- struct{}{}:
		default:
		}
	}
	return head, err
}

// Keep keeps an entry of what changes nothing, and must not happen without its entry: call it before.
func (t *Trail) Keep(ctx context.Context, e Entry) error {
	_, err := t.Commit(ctx, t.opts.Store, store.Batch{}, e)
	return store.Outage(err)
}

// Tell passes on an entry of what changed nothing. A refusal is kept by Run, unless there are too
// many.
func (t *Trail) Tell(e Entry) {
	e = t.finish(e)
	t.opts.Hook(e)
	if e.Outcome != Refused {
		return
	}
	t.sampler.tell(e, t.told)
}

func (t *Trail) record(e *Entry) (store.Record, error) {
	// Time counts down, so that the order of ids is newest first.
	e.ID = fmt.Sprintf("%016x%s", math.MaxInt64-t.tick(e.Time), strings.ToLower(rand.Text()[:16]))
	value, err := json.Marshal(kept{e, e.wrote})
	return store.Record{
		Key: store.Key{Kind: kind, ID: e.ID}, Owner: e.Subject, Expires: e.Time.Add(t.opts.Keep), Value: value,
	}, err
}

// timeOf is the time that is in the id of an entry; zero if there is none.
func timeOf(id string) time.Time {
	down, err := strconv.ParseInt(id[:min(16, len(id))], 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, math.MaxInt64-down).UTC()
}

func (t *Trail) tick(at time.Time) int64 {
	for {
		last := t.last.Load()
		next := max(at.UnixNano(), last+1)
		if t.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// finish stamps e, and makes its texts safe to print anywhere.
func (t *Trail) finish(e Entry) Entry {
	if e.Time.IsZero() {
		e.Time = t.opts.Now()
	}
	e.Time = e.Time.UTC()
	for _, text := range []*string{&e.By, &e.Client, &e.Session, &e.Target, &e.Request, &e.Reason, &e.Detail} {
		*text = clean(*text)
	}
	return e
}

const maxText = 256 // bytes of a text in an entry

// clean escapes what would move a cursor, break a line or turn the direction of a
// terminal, and cuts what is too long.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		text := string(r)
		if check.Harm(r) != "" {
			text = fmt.Sprintf(`\u%04x`, r)
		}
		if b.Len()+len(text) > maxText {
			return b.String() + "…"
		}
		b.WriteString(text)
	}
	return b.String()
}

// Log returns a hook that writes one line per entry.
func Log(l *slog.Logger) func(Entry) {
	return func(e Entry) {
		attrs := []slog.Attr{slog.String("action", string(e.Action)), slog.String("outcome", string(e.Outcome)), slog.String("by", e.By)}
		for _, a := range []slog.Attr{
			slog.String("id", e.ID), slog.String("subject", e.Subject), slog.String("client", e.Client),
			slog.String("session", e.Session), slog.String("target", e.Target), slog.String("request", e.Request),
			slog.String("reason", e.Reason), slog.String("detail", e.Detail),
		} {
			if a.Value.String() != "" {
				attrs = append(attrs, a)
			}
		}
		if e.Address.IsValid() {
			attrs = append(attrs, slog.String("address", e.Address.String()))
		}
		level := slog.LevelInfo
		if e.Outcome != OK || e.Action == Reuse || e.Action == NewEpoch {
			level = slog.LevelWarn
		}
		l.LogAttrs(context.Background(), level, "audit", attrs...)
	}
}

// LogSeal returns an Options.Anchor that writes one line per seal.
func LogSeal(l *slog.Logger) func(Seal) {
	return func(s Seal) {
		l.Info("audit seal", "n", s.N, "hash", s.Hash, "count", s.Count, "upto", stamp(s.Upto))
	}
}

// Actions returns all actions that a kept entry can have.
func Actions() []Action {
	return []Action{
		Login, Impersonate, Logout, Repeat, Reuse, AddGrant, AddHost, ReuseCode, Revoke, StepUp, EndOthers, StartOver, SetSubject, SetClient, DeleteClient, RotateKey,
		RevokeKey, NewEpoch, CreateUser, ChangeUser, DeleteUser, ChangePassword, Invite, Recover, SetAddress, UndoAddress, CreateAPIKey, DeleteAPIKey, SetCredential,
		DeleteCredential, Export, Damaged, MuteCheck, ChangeIncident, TestChannel, Redeliver, DropLetter, Refresh, Limit, Deny, CrossSite,
	}
}

// Revoking returns the actions that take something away by the revocation log: a session, what a client
// or a host holds of it, a token, roles, or a key. The others write there at most beside what they are
// for, such as a login that ends the session which the browser had before. A user is deleted by
// [SetSubject], which ends the sessions, and then [DeleteUser].
func Revoking() []Action {
	return []Action{Logout, Reuse, ReuseCode, Revoke, EndOthers, StartOver, SetSubject, DeleteClient, RevokeKey}
}

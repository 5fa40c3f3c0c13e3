package issuer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// family is the refresh tokens of one grant. They are derived from its id and its
// counter, so one record serves them all, and a token that was never issued is refused
// without a look-up.
type family struct {
	ID      string     `json:"id"`                // 16 random bytes, base64url: part of the token, so never shown
	Session string     `json:"session,omitempty"` // stored only if it does not follow from ID
	Subject string     `json:"subject"`
	Client  string     `json:"client"`
	Counter uint64     `json:"counter"`          // of the one token that is good
	Rotated time.Time  `json:"rotated"`          // when Counter became what it is
	Address netip.Addr `json:"address,omitzero"` // where it was rotated from; the zero address: nobody said
	Expires time.Time  `json:"expires"`
	NoGrace bool       `json:"no_grace,omitempty"` // the token before was replaced by a step-up: it is good for nothing

	// Of the last rotation: who made it, how long the copy lives that was handed out, how often
	// that was handed out again, and the debt of refreshRate. There are many families: times
	// are in seconds.
	party
	CopyTTL int `json:"copy,omitempty"` // 0 in records of earlier versions
	Repeats int `json:"repeats,omitempty"`
	Debt    int `json:"debt,omitempty"`

	rev uint64
}

// newFamily makes refresh tokens of row for client.
func newFamily(row *SessionRow, client string, now time.Time) *family {
	id := make([]byte, 16)
	rand.Read(id)
	return &family{
		ID: base64.RawURLEncoding.EncodeToString(id), Session: row.ID, Subject: row.Subject,
		Client: client, Counter: 1, Rotated: now.Truncate(time.Second), Expires: row.AbsoluteExpires,
	}
}

func familyKey(id string) store.Key { return store.Key{Kind: kindGrant, ID: id} }

// parseFamily returns the family of a record that may be absent: its grant has ended.
func parseFamily(rec store.Record) (*family, error) {
	if rec.Rev == 0 {
		return nil, counterfoil.ErrRevoked
	}
	f := &family{rev: rec.Rev}
	if err := json.Unmarshal(rec.Value, f); err != nil {
		return nil, fmt.Errorf("family of refresh tokens: %w", err)
	}
	if f.Session == "" {
		f.Session = sessionOf(f.ID)
	}
	return f, nil
}

// sessionOf is the id of the session whose own client has the family of that id; empty
// if no family can have it.
func sessionOf(familyID string) string {
	id, err := base64.RawURLEncoding.DecodeString(familyID)
	if err != nil || len(id) != 16 {
		return ""
	}
	return sessionID(id)
}

func (f *family) record() (store.Record, error) {
	written := *f
	if f.Session == sessionOf(f.ID) {
		written.Session = ""
	}
	written.Rotated, written.Expires = f.Rotated.UTC(), f.Expires.UTC().Truncate(time.Second)
	value, err := json.Marshal(&written)
	return store.Record{
		Key: familyKey(f.ID), Owner: f.Subject, Rev: f.rev,
		Expires: written.Expires, Value: value,
	}, err
}

// refreshToken is the token of f's counter.
func (i *Issuer) refreshToken(f *family) secret.String {
	id, err := base64.RawURLEncoding.DecodeString(f.ID)
	if err != nil || len(id) != 16 {
		panic("issuer: the id of a family is not what newFamily made")
	}
	return secret.New(token.Refresh{Grant: [16]byte(id), Counter: f.Counter}.Spell(i.refreshKey))
}

// presented is what a refresh token says that this issuer made.
type presented struct {
	family  string // its id
	session string // the id of the session, if the family is of its own client
	counter uint64
}

func (i *Issuer) parseRefresh(s string) (presented, error) {
	r, err := token.ParseRefresh(s, i.refreshKey)
	if err != nil {
		return presented{}, counterfoil.ErrInvalidToken
	}
	return presented{base64.RawURLEncoding.EncodeToString(r.Grant[:]), sessionID(r.Grant[:]), r.Counter}, nil
}

// Renewal is what a refresh asks for, besides the refresh token.
type Renewal struct {
	Client string   // empty: clients.Default
	Scopes []string // of this copy alone; empty: all of the grant's
	Act    audit.Act

	// By these the party that uses a token is known when it asks again. The issuer keeps a
	// hash of each.
	Nonce     string        // that the client made for this token: 16 to 128 characters that nobody can guess; empty: none
	Device    secret.String // the device credential; empty: none
	UserAgent string
}

// Refresh hands out the next copy of a session for the refresh token that is good now. The
// party that used the token before it gets the same answer again, a few times and for as long
// as Grace, so a lost response or a second tab does no harm: the same next token, and a copy
// that ends when the first one does. The token before it from anybody else, and any older
// one, means that two parties hold the tokens. That ends what they belong to with ErrReused
// (RFC 9700 4.14.2): the session if its own client holds them, otherwise the grant. What is
// asked for too often is TooOften, and ends nothing.
func (i *Issuer) Refresh(ctx context.Context, refresh string, r Renewal) (*Issued, error) {
	if r.Client == "" {
		r.Client = clients.Default
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	token, err := i.parseRefresh(refresh)
	if err != nil {
		return nil, err
	}
	for sure := false; ; sure = true {
		issued, err := i.tryRefresh(ctx, token, r, sure)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
		// Another caller rotated it, ended it, or changed what it rests on: look again,
		// at everything.
	}
}

// tryRefresh is one look: in the ordinary case one read and one commit. If something that
// it saw or guessed is different at the commit, the answer is store.ErrConflict, and nothing
// was done. A look that is sure guesses nothing.
func (i *Issuer) tryRefresh(ctx context.Context, token presented, r Renewal, sure bool) (*Issued, error) {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return nil, err
	}
	if sure { // nor an epoch
		if _, err := i.log.Head(ctx); err != nil {
			return nil, err
		}
	}
	f, h, err := i.granted(ctx, token, r.Client, now, sure)
	if err != nil {
		return nil, err
	}
	scopes, err := clients.Narrow(r.Scopes, h.grant.Scopes)
	used := token.counter < f.Counter
	switch {
	case h.grant.Client != r.Client:
		e := refreshEntry(r, h, audit.Refresh)
		e.Outcome, e.Detail = audit.Refused, "the token is of another client"
		i.audit.Tell(e)
		return nil, ErrOtherClient // REF-06: refused, and the family lives on
	case token.counter > f.Counter:
		// Only a store that lost acknowledged writes knows less than its own tokens.
		return nil, counterfoil.ErrInvalidToken
	case token.counter+1 < f.Counter, used && !i.inGrace(f):
		return nil, i.reused(ctx, h, r)
	case used && f.NoGrace:
		return nil, ErrReplaced
	case used && !i.again(f, r):
		return nil, i.reused(ctx, h, r)
	case err != nil:
		return nil, err
	}
	if used {
		err = f.repeat()
	} else {
		err = i.rotate(f, h, r, now)
	}
	if errors.As(err, new(TooOften)) {
		return nil, i.limited(h, r, err)
	}
	if err != nil {
		return nil, err
	}
	head, err := i.keep(ctx, f, h, r, now, used)
	if err != nil {
		return nil, err
	}
	issued := &Issued{SessionExpires: h.end(), Refresh: i.refreshToken(f)}
	h.grant.Scopes = scopes // of the copy: the grant keeps all it has (RFC 6749 section 6)
	h.copyEnds = f.copyEnd()
	return i.finish(ctx, issued, h, head, now)
}

// keep writes f: the one atomic step of a refresh (REF-04). It happens only if family, session,
// subject, client and cutoff are what was checked.
func (i *Issuer) keep(ctx context.Context, f *family, h *holding, r Renewal, now time.Time, repeated bool) (counterfoil.Cursor, error) {
	if h.grant.Client != h.row.Client { // the own client's use of an opaque session is its look-ups
		h.row.touch(now, min(h.row.idle(), i.opts.Idle)) // its client is not read
	}
	b := store.Batch{Require: h.require()}
	if err := put(&b, f); err != nil {
		return counterfoil.Cursor{}, err
	}
	if h.row.changed { // by its use, or the subject is another one than the row says: next time the guess is right
		if err := put(&b, h.row); err != nil {
			return counterfoil.Cursor{}, err
		}
	} else {
		b.Require = append(b.Require, store.Require{Key: sessionKey(h.row.ID), Rev: h.row.rev})
	}
	var notes []audit.Entry // a refresh is told, an answer that is given again is kept
	if repeated {
		notes = append(notes, refreshEntry(r, h, audit.Repeat))
	}
	head, err := i.log.Commit(ctx, b, notes...)
	if err != nil {
		return head, unavailable(err)
	}
	if head.Epoch != i.log.Applied().Epoch {
		// Another log has begun, and the settings of the client may have been remembered
		// under a revision of the log before. The token is rotated: a sure look finds
		// that, and answers.
		return head, store.ErrConflict
	}
	if !repeated {
		i.audit.Tell(refreshEntry(r, h, audit.Refresh))
	}
	return head, nil
}

func refreshEntry(r Renewal, h *holding, action audit.Action) audit.Entry {
	if r.Act.By == "" {
		r.Act.By = h.row.holder()
	}
	e := r.Act.Entry(action, h.row.Subject)
	e.Client, e.Session = h.grant.Client, h.row.ID
	return e
}

// reused ends what two parties hold the refresh tokens of, and leaves a notice for the
// subject. It returns ErrReused when that is done.
func (i *Issuer) reused(ctx context.Context, h *holding, r Renewal) error {
	const reason = "refresh token reuse"
	row, client := h.row, h.grant.Client
	notice, err := i.notice(h, r)
	if err != nil {
		return err
	}
	entry, b := source.Revocation{Scope: source.ScopeSession, ID: row.ID, Reason: reason}, store.Batch{Put: []store.Record{notice}}
	if client == row.Client {
		row.end(&b)
	} else {
		entry.Scope, entry.ID = source.ScopeGrant, token.GrantID(row.ID, client)
		row.drop(client, &b)
		if err := put(&b, row); err != nil {
			return err
		}
	}
	if _, err := i.commit(ctx, entry, b, refreshEntry(r, h, audit.Reuse)); err != nil {
		return err
	}
	return ErrReused
}

// granted reads what a refresh rests on, and refuses what has ended. The token and the
// client name every record except that of the subject, which the row names. So that one
// read is enough, granted guesses that the subject is as it was when the row was last
// compared with it; the commit requires that. If it must be sure, it reads the subject.
func (i *Issuer) granted(ctx context.Context, token presented, client string, now time.Time, sure bool) (*family, *holding, error) {
	if check.Text("client", client, 64) != nil {
		client = clients.Default // no client has such an id, so the grant is of another one
	}
	recs, err := i.store.Get(ctx, familyKey(token.family), sessionKey(token.session), clients.RevisionKey(client), cutoffKey)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	f, err := parseFamily(recs[0])
	if err != nil {
		return nil, nil, err
	}
	row, err := i.rowOf(ctx, f, token, recs[1])
	if err != nil {
		return nil, nil, err
	}
	h := &holding{row: row, ends: f.Expires}
	if h.grant, err = row.grantOf(f.Client); err != nil {
		return nil, nil, err
	}
	if h.grant.Family != f.ID {
		return nil, nil, counterfoil.ErrRevoked // the client was granted anew
	}
	if f.Client != client || sure || row.By != nil {
		if h, err = i.state(ctx, row, h.grant, now); err != nil {
			return nil, nil, err
		}
		h.ends = f.Expires
		return f, h, f.used(i.refreshIdle(h.client), now)
	}
	if h.client, err = i.clients.Under(ctx, client, recs[2]); err != nil && !errors.Is(err, clients.ErrUnknown) {
		return nil, nil, err
	}
	h.all, h.subject = recs[3].Rev, &Subject{id: row.Subject, rev: row.SubjectRev}
	if err := h.judge(now); err != nil {
		return nil, nil, err
	}
	return f, h, f.used(i.refreshIdle(h.client), now)
}

// rowOf returns the session of f. Its record was read already if f is of the session's own
// client; of another client's grant only f says which session it is. A step-up may move f
// to another id between the two reads: then the answer is store.ErrConflict.
func (i *Issuer) rowOf(ctx context.Context, f *family, token presented, own store.Record) (*SessionRow, error) {
	if f.Session == token.session {
		return parseRow(own)
	}
	row, err := i.row(ctx, f.Session)
	if !isInvalid(err) {
		return row, err
	}
	now, err := i.family(ctx, f.ID)
	if err == nil && now.Session != f.Session {
		return nil, store.ErrConflict
	}
	if err == nil {
		err = counterfoil.ErrRevoked
	}
	return nil, err
}

// family reads the refresh tokens of that id, and returns ErrRevoked if they have ended.
func (i *Issuer) family(ctx context.Context, id string) (*family, error) {
	recs, err := i.store.Get(ctx, familyKey(id))
	if err != nil {
		return nil, unavailable(err)
	}
	return parseFamily(recs[0])
}

// end is when the grant of f ends if it is not refreshed (REF-05): after idle, or when it ends anyway.
func (f *family) end(idle time.Duration) time.Time {
	if end := f.Rotated.Add(idle); end.Before(f.Expires) {
		return end
	}
	return f.Expires
}

// used refuses a grant that has ended, because it was not refreshed for so long, or at all.
func (f *family) used(idle time.Duration, now time.Time) error {
	if !now.Before(f.end(idle)) {
		return counterfoil.ErrExpired
	}
	return nil
}

// HeldByRefresh is [Issuer.Held] for a refresh token, an old one included.
func (i *Issuer) HeldByRefresh(ctx context.Context, refresh string) (*counterfoil.Session, error) {
	token, err := i.parseRefresh(refresh)
	if err != nil {
		return nil, err
	}
	f, err := i.family(ctx, token.family)
	if err != nil {
		return nil, err
	}
	return i.heldBy(ctx, f)
}

func (i *Issuer) heldBy(ctx context.Context, f *family) (*counterfoil.Session, error) {
	row, err := i.row(ctx, f.Session)
	if err != nil {
		return nil, err
	}
	s := row.held(i.opts.URL)
	s.Client = f.Client
	return s, nil
}

// EndByRefresh ends what a refresh token belongs to, an old one included: its holder may
// sign out with it. That is the session if the token is of its own client, otherwise the
// grant alone. A token that is not known, or of another client than the one named, has no
// effect; an empty client is not compared.
func (i *Issuer) EndByRefresh(ctx context.Context, refresh, client string, act audit.Act) error {
	return i.endByRefresh(ctx, refresh, client, act, func(presented, *family) bool { return true })
}

// endByRefresh is EndByRefresh for tokens that count, as counts says.
func (i *Issuer) endByRefresh(ctx context.Context, refresh, client string, act audit.Act, counts func(presented, *family) bool) error {
	token, err := i.parseRefresh(refresh)
	if err != nil {
		return nil
	}
	for last := ""; ; {
		f, err := i.family(ctx, token.family)
		if isInvalid(err) {
			return i.ConfirmReads(ctx)
		}
		if err != nil {
			return err
		}
		if client != "" && client != f.Client || f.Session == last {
			return nil
		}
		if !counts(token, f) {
			e := act.Entry(audit.Logout, f.Subject)
			e.Outcome, e.Client, e.Session, e.Reason = audit.Refused, f.Client, f.Session, "the refresh token was used before"
			if e.By == "" {
				e.By = audit.ByUnknown
			}
			i.audit.Tell(e)
			return nil
		}
		held, err := i.heldBy(ctx, f)
		if isInvalid(err) || errors.Is(err, errDamaged) {
			held, err = &counterfoil.Session{ID: f.Session, Subject: f.Subject, Client: f.Client}, nil
		}
		if err != nil {
			return err
		}
		note := act
		if note.By == "" {
			note.By = audit.BySubject(cmp.Or(held.Actor, held.Subject))
		}
		last = f.Session
		err = i.Logout(ctx, held, note)
		if err != nil || last == token.session {
			return err
		}
		// A step-up may have moved the grant to another id meanwhile: look again.
	}
}

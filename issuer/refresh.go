package issuer

import (
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
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// grant is the right of one client to refresh one session. Its tokens are
// derived from its id and its counter, so one row serves them all, and a token
// that was never issued is refused without a look-up.
type grant struct {
	ID      string     `json:"id"`                // 16 random bytes, base64url: part of the token, so never shown
	Session string     `json:"session,omitempty"` // stored only if it does not follow from ID
	Subject string     `json:"subject"`
	Client  string     `json:"client"`
	Counter uint64     `json:"counter"`          // of the one token that is good
	Rotated time.Time  `json:"rotated"`          // when Counter became what it is
	Address netip.Addr `json:"address,omitzero"` // where it was turned from
	Expires time.Time  `json:"expires"`

	rev uint64
}

// newGrant makes the grant that row begins with. The id of its session follows from its
// own, so that a refresh finds both at once.
func newGrant(row *SessionRow) *grant {
	id := make([]byte, 16)
	rand.Read(id)
	return &grant{
		ID: base64.RawURLEncoding.EncodeToString(id), Session: sessionID(id), Subject: row.Subject,
		Client: row.Client, Counter: 1, Rotated: row.Created, Expires: row.AbsoluteExpires,
	}
}

func grantKey(id string) store.Key { return store.Key{Kind: kindGrant, ID: id} }

// parseGrant returns the grant of a record that may be absent: its session has ended.
func parseGrant(rec store.Record) (*grant, error) {
	if rec.Rev == 0 {
		return nil, counterfoil.ErrRevoked
	}
	g := &grant{rev: rec.Rev}
	if err := json.Unmarshal(rec.Value, g); err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	if g.Session == "" {
		g.Session = sessionOf(g.ID)
	}
	return g, nil
}

// sessionOf is the id of the session that newGrant makes a grant of that id for; empty
// if newGrant made none.
func sessionOf(grantID string) string {
	id, err := base64.RawURLEncoding.DecodeString(grantID)
	if err != nil || len(id) != 16 {
		return ""
	}
	return sessionID(id)
}

func (g *grant) record() (store.Record, error) {
	written := *g
	if g.Session == sessionOf(g.ID) {
		written.Session = ""
	}
	written.Rotated, written.Expires = g.Rotated.UTC().Truncate(time.Second), g.Expires.UTC().Truncate(time.Second)
	value, err := json.Marshal(&written)
	return store.Record{
		Key: grantKey(g.ID), Owner: g.Subject, Rev: g.rev,
		Expires: written.Expires, Value: value,
	}, err
}

// refreshToken is the token of g's counter.
func (i *Issuer) refreshToken(g *grant) secret.String {
	id, err := base64.RawURLEncoding.DecodeString(g.ID)
	if err != nil || len(id) != 16 {
		panic("issuer: grant id is not what newGrant made")
	}
	return secret.New(token.Refresh{Grant: [16]byte(id), Counter: g.Counter}.Spell(i.refreshKey))
}

// presented is what a refresh token says that this issuer made.
type presented struct {
	grant   string // its id
	session string // the id of the session that the grant was made with
	counter uint64
}

func (i *Issuer) parseRefresh(s string) (presented, error) {
	r, err := token.ParseRefresh(s, i.refreshKey)
	if err != nil {
		return presented{}, counterfoil.ErrInvalidToken
	}
	return presented{base64.RawURLEncoding.EncodeToString(r.Grant[:]), sessionID(r.Grant[:]), r.Counter}, nil
}

// Renewal is what a refresh asks for, beside the refresh token.
type Renewal struct {
	Client string   // empty: DefaultClient
	Scopes []string // of this copy alone; empty: all of the session's
	Act    audit.Act
}

// Refresh hands out the next copy of a session for the refresh token that is
// good now. The token before it gets the same answer for as long as Grace, so a
// lost response or a second tab does no harm; any older one means that two
// parties hold the tokens, and ends the session with ErrReused (RFC 9700 4.14.2).
func (i *Issuer) Refresh(ctx context.Context, refresh string, r Renewal) (*Issued, error) {
	if r.Client == "" {
		r.Client = DefaultClient
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
		// Somebody else turned it, ended it, or changed what it rests on: look again,
		// at everything.
	}
}

// tryRefresh is one look, and in the ordinary case one read and one commit. If what it
// saw or guessed is not so when it is done, the answer is store.ErrConflict, and nothing
// was done. A look that is sure guesses nothing.
func (i *Issuer) tryRefresh(ctx context.Context, token presented, r Renewal, sure bool) (*Issued, error) {
	now := i.opts.Now()
	var head counterfoil.Cursor
	if sure {
		var err error
		if head, err = i.head(ctx); err != nil { // before the checks, see finish
			return nil, err
		}
	}
	g, row, on, err := i.granted(ctx, token, r.Client, now, sure)
	if err != nil {
		return nil, err
	}
	scopes, err := narrow(r.Scopes, row.Scopes)
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	switch {
	case g.Client != r.Client:
		e := refreshEntry(r, row, audit.Refresh)
		e.Outcome, e.Detail = audit.Refused, "the token is of another client"
		i.audit.Tell(e)
		return nil, ErrOtherClient // REF-06: refused, and the family lives on
	case token.counter > g.Counter:
		// Only a store that lost acknowledged writes knows less than its own tokens.
		return nil, counterfoil.ErrInvalidToken
	case token.counter+1 < g.Counter, token.counter < g.Counter && now.Sub(g.Rotated) > i.opts.Grace:
		return nil, i.reused(ctx, row, r)
	case err != nil:
		return nil, err
	case token.counter < g.Counter && !sure:
		return nil, store.ErrConflict // nothing will be written that could vouch for a guess
	case token.counter == g.Counter:
		if head, err = i.turn(ctx, g, row, on, r, now); err != nil {
			return nil, err
		}
	}
	issued.Refresh = i.refreshToken(g)
	row.Scopes = scopes // of the copy: the session keeps all it has (RFC 6749 section 6)
	return i.finish(ctx, issued, row, on.client, head, now)
}

// turn makes the next token the good one: the one atomic step of a refresh (REF-04).
// It happens only if grant, session, subject, client and cutoff are what was checked.
func (i *Issuer) turn(ctx context.Context, g *grant, row *SessionRow, on standing, r Renewal, now time.Time) (counterfoil.Cursor, error) {
	if err := i.checkSize(row, on.client, now); err != nil {
		return counterfoil.Cursor{}, err
	}
	g.Counter, g.Rotated = g.Counter+1, now
	if r.Act.Address.IsValid() {
		g.Address = r.Act.Address
	}
	rec, err := g.record()
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	b := store.Batch{Require: on.require(), Put: []store.Record{rec}}
	if row.changed { // the subject is another one than the row says: next time the guess is right
		rec, err := row.record()
		if err != nil {
			return counterfoil.Cursor{}, err
		}
		b.Put = append(b.Put, rec)
	} else {
		b.Require = append(b.Require, store.Require{Key: sessionKey(row.ID), Rev: row.rev})
	}
	head, err := i.commitNoted(ctx, b)
	if err != nil {
		return head, unavailable(err)
	}
	if head.Epoch != i.seen.upto().Epoch {
		// Another log has begun, and with it the revisions of marks may have come again
		// (see clientCache). The token is turned: a sure look finds it so, and answers.
		return head, store.ErrConflict
	}
	i.audit.Tell(refreshEntry(r, row, audit.Refresh))
	return head, nil
}

func refreshEntry(r Renewal, row *SessionRow, action audit.Action) audit.Entry {
	if r.Act.By == "" {
		r.Act.By = audit.BySubject(row.Subject)
	}
	e := r.Act.Entry(action, row.Subject)
	e.Client, e.Session = row.Client, row.ID
	return e
}

// reused ends a session two parties hold the refresh tokens of, and leaves a notice
// for its subject. It returns ErrReused when that is done.
func (i *Issuer) reused(ctx context.Context, row *SessionRow, r Renewal) error {
	entry := source.Revocation{Scope: source.ScopeSession, ID: row.ID, Reason: "refresh token reuse"}
	notice, err := i.notice(row, r)
	if err != nil {
		return err
	}
	b := deleteRow(row)
	b.Put = []store.Record{notice}
	if _, err := i.commit(ctx, entry, b, refreshEntry(r, row, audit.Reuse)); err != nil {
		return err
	}
	return ErrReused
}

// granted reads what a refresh rests on, and refuses what has ended. All is known before
// anything is read, but for the subject, who is in the row: unless it must be sure, it
// takes him to be as he was when the row was last compared with him. Whoever writes
// requires that.
func (i *Issuer) granted(ctx context.Context, token presented, client string, now time.Time, sure bool) (g *grant, row *SessionRow, on standing, err error) {
	if checkText("client", client, 64) != nil {
		client = DefaultClient // no client has such an id: it is not the grant's, whatever is read for it
	}
	recs, err := i.store.Get(ctx, grantKey(token.grant), sessionKey(token.session), markKey(client), cutoffKey)
	if err != nil {
		return nil, nil, on, unavailable(err)
	}
	if g, err = parseGrant(recs[0]); err != nil {
		return nil, nil, on, err
	}
	if row, err = parseRow(recs[1]); err != nil {
		return nil, nil, on, err
	}
	if row.Client != client || sure {
		on, err = i.state(ctx, row, now)
		return g, row, on, err
	}
	if on.client, err = i.clientUnder(ctx, client, recs[2]); err != nil && !errors.Is(err, ErrUnknownClient) {
		return nil, nil, on, err
	}
	on.all, on.subject = recs[3].Rev, &Subject{id: row.Subject, rev: row.SubjectRev}
	return g, row, on, on.judge(row, now)
}

// EndByRefresh ends the session of a refresh token, an old one included: whoever
// holds it may give it up. A token that is not known, or of another client than
// the one named, has no effect (RFC 7009 2.2); an empty client is not compared.
func (i *Issuer) EndByRefresh(ctx context.Context, refresh, client string, act audit.Act) error {
	token, err := i.parseRefresh(refresh)
	if err != nil {
		return nil
	}
	recs, err := i.store.Get(ctx, grantKey(token.grant))
	if err != nil {
		return unavailable(err)
	}
	g, err := parseGrant(recs[0])
	if isInvalid(err) {
		return i.vouch(ctx)
	}
	if err != nil {
		return err
	}
	if client != "" && client != g.Client {
		return nil
	}
	if act.By == "" {
		act.By = audit.BySubject(g.Subject)
	}
	return i.Logout(ctx, g.Session, act)
}

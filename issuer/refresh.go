package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/store"
)

// grant is the right of one client to refresh one session. Its tokens are
// derived from its id and its counter, so one row serves them all, and a token
// that was never issued is refused without a look-up.
type grant struct {
	ID      string    `json:"id"` // 16 random bytes, base64url: part of the token, so never shown
	Session string    `json:"session"`
	Subject string    `json:"subject"`
	Client  string    `json:"client"`
	Counter uint64    `json:"counter"` // of the one token that is good
	Rotated time.Time `json:"rotated"` // when Counter became what it is
	Expires time.Time `json:"expires"`

	rev uint64
}

const refreshPrefix = "cfr_" // lets secret scanners recognise a leaked one

func newGrant(row *SessionRow) *grant {
	id := make([]byte, 16)
	rand.Read(id)
	return &grant{
		ID: base64.RawURLEncoding.EncodeToString(id), Session: row.ID, Subject: row.Subject,
		Client: row.Client, Counter: 1, Rotated: row.Created, Expires: row.AbsoluteExpires,
	}
}

func (g *grant) record() (store.Record, error) {
	written := *g
	written.Rotated, written.Expires = g.Rotated.UTC().Truncate(time.Second), g.Expires.UTC().Truncate(time.Second)
	value, err := json.Marshal(&written)
	return store.Record{
		Key: store.Key{Kind: kindGrant, ID: g.ID}, Owner: g.Subject, Rev: g.rev,
		Expires: written.Expires, Value: value,
	}, err
}

// refreshToken writes the token of g's counter: id (16 bytes), counter (8),
// HMAC-SHA256 of both (32), in base64url behind the prefix.
func (i *Issuer) refreshToken(g *grant) secret.String {
	id, err := base64.RawURLEncoding.DecodeString(g.ID)
	if err != nil || len(id) != 16 {
		panic("issuer: grant id is not what newGrant made")
	}
	body := binary.BigEndian.AppendUint64(id, g.Counter)
	return secret.New(refreshPrefix + base64.RawURLEncoding.EncodeToString(append(body, i.mac(body)...)))
}

func (i *Issuer) mac(body []byte) []byte {
	m := hmac.New(sha256.New, i.refreshKey)
	m.Write(body)
	return m.Sum(nil)
}

// parseRefresh returns grant id and counter of a token that this issuer made.
func (i *Issuer) parseRefresh(s string) (id string, counter uint64, err error) {
	text, ok := strings.CutPrefix(s, refreshPrefix)
	// The length is exact because the decoder skips CR and LF, and 56 bytes leave
	// unused bits in the last character that Strict checks.
	if !ok || len(text) != 75 {
		return "", 0, counterfoil.ErrInvalidToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 56 || !hmac.Equal(raw[24:], i.mac(raw[:24])) {
		return "", 0, counterfoil.ErrInvalidToken
	}
	return base64.RawURLEncoding.EncodeToString(raw[:16]), binary.BigEndian.Uint64(raw[16:24]), nil
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
	id, counter, err := i.parseRefresh(refresh)
	if err != nil {
		return nil, err
	}
	for {
		issued, err := i.tryRefresh(ctx, id, counter, r)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
		// Somebody else turned it, or ended it: look again.
	}
}

// tryRefresh is one look at the grant. If what it saw is changed before it is done, the
// answer is store.ErrConflict, and nothing was done.
func (i *Issuer) tryRefresh(ctx context.Context, id string, counter uint64, r Renewal) (*Issued, error) {
	now := i.opts.Now()
	head, err := i.head(ctx) // before the checks, see finish
	if err != nil {
		return nil, err
	}
	g, row, on, err := i.granted(ctx, id, now)
	if err != nil {
		return nil, err
	}
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	switch {
	case g.Client != r.Client:
		e := refreshEntry(r, row, audit.Refresh)
		e.Outcome, e.Detail = audit.Refused, "the token is of another client"
		i.audit.Tell(e)
		return nil, ErrOtherClient // REF-06: refused, and the family lives on
	case counter == g.Counter:
		// This one turns the counter.
	case counter+1 == g.Counter && now.Sub(g.Rotated) <= i.opts.Grace:
		issued.Refresh = i.refreshToken(g)
		if row.Scopes, err = narrow(r.Scopes, row.Scopes); err != nil {
			return nil, err
		}
		return i.finish(issued, row, on.client, head, now)
	case counter < g.Counter:
		return nil, i.reused(ctx, row, r)
	default:
		// Only a store that lost acknowledged writes knows less than its own tokens.
		return nil, counterfoil.ErrInvalidToken
	}
	scopes, err := narrow(r.Scopes, row.Scopes)
	if err != nil {
		return nil, err
	}
	if err := i.checkSize(row, on.client, now); err != nil {
		return nil, err
	}
	g.Counter, g.Rotated = g.Counter+1, now
	row.use(now, i.opts.Idle)
	if r.Act.Address.IsValid() {
		row.LastAddress = r.Act.Address
	}
	head, err = i.rotate(ctx, g, row, on)
	if err != nil {
		return nil, unavailable(err)
	}
	i.audit.Tell(refreshEntry(r, row, audit.Refresh))
	issued.Refresh = i.refreshToken(g)
	row.Scopes = scopes // of the copy: the session keeps all it has (RFC 6749 section 6)
	return i.finish(issued, row, on.client, head, now)
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
	entry := counterfoil.Revocation{Scope: counterfoil.ScopeSession, ID: row.ID, Reason: "refresh token reuse"}
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

// granted reads what a refresh rests on, and refuses what has ended.
func (i *Issuer) granted(ctx context.Context, id string, now time.Time) (*grant, *SessionRow, standing, error) {
	rec, err := i.store.Get(ctx, store.Key{Kind: kindGrant, ID: id})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, standing{}, counterfoil.ErrRevoked
	}
	if err != nil {
		return nil, nil, standing{}, unavailable(err)
	}
	g := &grant{rev: rec.Rev}
	if err := json.Unmarshal(rec.Value, g); err != nil {
		return nil, nil, standing{}, fmt.Errorf("grant: %w", err)
	}
	row, err := i.row(ctx, g.Session)
	if err != nil {
		return nil, nil, standing{}, err
	}
	on, err := i.state(ctx, row, now)
	if err != nil {
		return nil, nil, standing{}, err
	}
	return g, row, on, nil
}

// rotate is the one atomic step of a refresh (REF-04): the counter turns only if
// grant, session, subject, client and cutoff are what was checked.
func (i *Issuer) rotate(ctx context.Context, g *grant, row *SessionRow, on standing) (counterfoil.Cursor, error) {
	grantRec, err := g.record()
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	rowRec, err := row.record()
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	return i.store.Commit(ctx, store.Batch{Require: on.require(), Put: []store.Record{grantRec, rowRec}})
}

// EndByRefresh ends the session of a refresh token, an old one included: whoever
// holds it may give it up. A token that is not known, or of another client than
// the one named, has no effect (RFC 7009 2.2); an empty client is not compared.
func (i *Issuer) EndByRefresh(ctx context.Context, refresh, client string, act audit.Act) error {
	id, _, err := i.parseRefresh(refresh)
	if err != nil {
		return nil
	}
	rec, err := i.store.Get(ctx, store.Key{Kind: kindGrant, ID: id})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	var g grant
	if err := json.Unmarshal(rec.Value, &g); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if client != "" && client != g.Client {
		return nil
	}
	if act.By == "" {
		act.By = audit.BySubject(g.Subject)
	}
	return i.Logout(ctx, g.Session, act)
}

package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Grant is what one client holds of a session: the right to copies of it. The login
// makes the first grant, of the session's own client, which ends with the session.
// [Issuer.AddGrant] and [Issuer.Exchange] make those of other clients, and each of them ends alone.
type Grant struct {
	Client     string              `json:"client"`
	Carrier    counterfoil.Carrier `json:"carrier"`
	Scopes     []string            `json:"scopes,omitempty"`
	Attributes map[string]string   `json:"attributes,omitempty"`
	Granted    time.Time           `json:"granted"`

	// These are set by [Issuer.Sessions] and [Issuer.Session], and are exact to the minute.
	LastUsed    time.Time `json:"-"`
	IdleExpires time.Time `json:"-"` // when it ends if it is not used; at the latest when it ends anyway

	Family    string `json:"family,omitempty"` // id of its refresh tokens, and a part of them: never shown; empty: it has none
	ClientGen uint64 `json:"client_gen,omitempty"`

	refreshIdle time.Duration // in force for the refresh tokens that renew it; set by [basis.alive]
}

// maxGrants bounds how many further clients one session has.
const maxGrants = 32

// own is the grant of the client that the session was made for. It stands in the
// members of the row itself: most sessions have no other.
func (r *SessionRow) own() Grant {
	return Grant{
		Client: r.Client, Carrier: r.Carrier, Scopes: r.Scopes, Attributes: r.Attributes,
		Granted: r.Created, Family: r.Grant, ClientGen: r.ClientGen,
	}
}

// grants returns all grants of r, the own one first.
func (r *SessionRow) grants() []Grant { return append([]Grant{r.own()}, r.Further...) }

// grantOf returns the grant of client, and ErrRevoked if it has none.
func (r *SessionRow) grantOf(client string) (Grant, error) {
	if client == r.Client {
		return r.own(), nil
	}
	if n := r.further(client); n >= 0 {
		return r.Further[n], nil
	}
	return Grant{}, counterfoil.ErrRevoked
}

func (r *SessionRow) further(client string) int {
	return slices.IndexFunc(r.Further, func(g Grant) bool { return g.Client == client })
}

// drop takes the further grant of client out of r, and adds the end of its refresh tokens
// to b. It reports whether there was one. The caller commits r, and the log entry.
func (r *SessionRow) drop(client string, b *store.Batch) bool {
	n := r.further(client)
	if n < 0 {
		return false
	}
	if family := r.Further[n].Family; family != "" {
		b.Delete = append(b.Delete, familyKey(family))
	}
	r.Further = slices.Delete(slices.Clone(r.Further), n, n+1)
	return true
}

// holding is a grant, the session that it belongs to, and what both rest on.
type holding struct {
	row   *SessionRow
	grant Grant
	host  *Host // that the copy is for; nil: it is that of the login, or of another client
	dependencies
	copyEnds time.Time // of the next copy; zero: [Issuer.copyEnd] says
	ends     time.Time // of the grant, if that is before the session's; zero: with the session
}

// end is when h ends, used or not.
func (h *holding) end() time.Time {
	if end := h.row.AbsoluteExpires; h.ends.IsZero() || end.Before(h.ends) {
		return end
	}
	return h.ends
}

// AddGrant gives r.Client a grant on the living session sid, which was made for another
// client: a copy and a refresh token of its own. If the client has a grant already, the
// new one replaces it, and what the client held before ends in the same commit.
//
// The carrier is one with tokens in a header: a browser has one session cookie, and that
// is the own client's. r.Attributes are those of this grant alone; the session's are for
// its own client. AddGrant fails with ErrInvalidToken if the session has ended, and
// otherwise as Login does.
func (i *Issuer) AddGrant(ctx context.Context, sid string, r Request) (*Issued, error) {
	if r.Client == "" {
		r.Client = clients.Default
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if len(r.Replaces) > 0 {
		return nil, fmt.Errorf("%w: a grant replaces no session", ErrBadRequest)
	}
	for {
		issued, err := i.tryGrant(ctx, sid, r)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
	}
}

// living returns what the session's own client holds, if that has not ended in any way.
func (i *Issuer) living(ctx context.Context, row *SessionRow, now time.Time) (*holding, error) {
	own, err := i.state(ctx, row, row.own(), now)
	if err != nil || row.Grant == "" {
		return own, err
	}
	f, err := i.family(ctx, row.Grant)
	if err != nil {
		return nil, err
	}
	return own, f.used(i.refreshIdle(own.client), now)
}

// tryGrant adds the grant if nothing that it rests on changes meanwhile; otherwise the
// answer is store.ErrConflict, and nothing was done.
func (i *Issuer) tryGrant(ctx context.Context, sid string, r Request) (*Issued, error) {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return nil, err
	}
	row, err := i.row(ctx, sid)
	if err != nil {
		return nil, err
	}
	if r.Client == row.Client {
		return nil, fmt.Errorf("%w: the session was made for client %q, which needs no other grant", ErrBadRequest, r.Client)
	}
	own, err := i.living(ctx, row, now)
	if err != nil {
		return nil, err
	}
	return i.grant(ctx, own, r, now, true)
}

// tokenCarrier is the carrier of a grant that asks for want; the zero carrier asks for none.
func tokenCarrier(c *clients.Client, want counterfoil.Carrier) (counterfoil.Carrier, error) {
	fits := func(c counterfoil.Carrier) bool {
		return c.Format != counterfoil.Opaque && c.Transport == counterfoil.Header
	}
	switch n := slices.IndexFunc(c.Carriers, fits); {
	case want != counterfoil.Carrier{} && fits(want):
		return want, nil
	case want != counterfoil.Carrier{}:
	case len(c.Carriers) == 0:
		return counterfoil.CarrierBearer, nil
	case n >= 0:
		return c.Carriers[n], nil
	}
	return want, clients.ErrCarrier
}

// put adds the records to b.
func put(b *store.Batch, all ...interface{ record() (store.Record, error) }) error {
	for _, r := range all {
		rec, err := r.record()
		if err != nil {
			return err
		}
		b.Put = append(b.Put, rec)
	}
	return nil
}

func grantEntry(r Request, h *holding) audit.Entry {
	if r.Act.By == "" {
		r.Act.By = h.row.holder()
	}
	e := r.Act.Entry(audit.AddGrant, h.row.Subject)
	e.Client, e.Session, e.Detail = h.grant.Client, h.row.ID, "carrier="+h.grant.Carrier.String()
	return e
}

// EndGrant ends what client holds of the session sid, and nothing that other clients
// hold. The session's own client holds the session itself: with its grant the session
// ends, and every grant on it. On an error the outcome is unknown, and doing it again is
// safe, see [Issuer.Revoke].
func (i *Issuer) EndGrant(ctx context.Context, sid, client string, act audit.Act) (Receipt, error) {
	if client == "" {
		return Receipt{}, fmt.Errorf("%w: a grant is of a client", ErrBadRequest)
	}
	return i.Revoke(ctx, source.ScopeGrant, token.GrantID(sid, client), act)
}

// EndOwn is for subject, who may end what is its own: the session sid or, with a client, what
// that client holds of it. What is not subject's is store.ErrNotFound: whether it exists is not
// the caller's business. A session that ends meanwhile has ended.
func (i *Issuer) EndOwn(ctx context.Context, subject, sid, client string, act audit.Act) error {
	_, err := i.ownRecord(ctx, subject, sid)
	if err != nil {
		return err
	}
	if client != "" {
		_, err = i.EndGrant(ctx, sid, client, act)
		return err
	}
	if _, err = i.Revoke(ctx, source.ScopeSession, sid, act); errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// EndOwnHost is for subject, who may end what one host holds of its session sid: see [Issuer.EndOwn].
func (i *Issuer) EndOwnHost(ctx context.Context, subject, sid, host string, act audit.Act) error {
	rec, err := i.ownRecord(ctx, subject, sid)
	if err != nil {
		return err
	}
	row, err := parseRow(rec)
	if errors.Is(err, errDamaged) || err == nil && row.at(host) == nil {
		return store.ErrNotFound
	}
	if err != nil {
		return err
	}
	_, err = i.Revoke(ctx, source.ScopeToken, host, act)
	return err
}

// ownRecord returns the record of the session sid if it is subject's, and otherwise store.ErrNotFound. Whose
// it is can be read of a damaged one as well.
func (i *Issuer) ownRecord(ctx context.Context, subject, sid string) (store.Record, error) {
	rec, err := i.sessionRecord(ctx, sid)
	if isInvalid(err) || err == nil && (rec.Rev == 0 || rec.Owner != subject) {
		return store.Record{}, store.ErrNotFound
	}
	return rec, err
}

// end ends what client holds of the session sid; the whole session if that is its own
// client, or empty.
func (i *Issuer) end(ctx context.Context, sid, client, reason string, note audit.Entry) (Receipt, error) {
	for {
		receipt, err := i.tryEnd(ctx, sid, client, reason, note)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
		// The session was used meanwhile, has got another grant, or goes on under another id.
	}
}

func (i *Issuer) tryEnd(ctx context.Context, sid, client, reason string, note audit.Entry) (Receipt, error) {
	session := source.Revocation{Scope: source.ScopeSession, ID: sid, Reason: reason}
	grant := source.Revocation{Scope: source.ScopeGrant, ID: token.GrantID(sid, client), Reason: reason}
	rec, err := i.sessionRecord(ctx, sid)
	var row *SessionRow
	if err == nil {
		row, err = parseRow(rec)
	}
	var b store.Batch
	switch {
	case isInvalid(err):
		return i.ended(ctx, sid, session, grant)
	case errors.Is(err, errDamaged):
		note.Subject, note.Session = rec.Owner, sid
		endDamaged(&b, rec)
		return i.commit(ctx, session, b, note)
	case err != nil:
		return Receipt{}, err
	}
	note.Subject, note.Client, note.Session = row.Subject, row.Client, sid
	if client == "" || client == row.Client {
		row.end(&b)
		return i.commit(ctx, session, b, note)
	}
	if !row.drop(client, &b) {
		return i.ended(ctx, sid, grant)
	}
	if err := put(&b, row); err != nil {
		return Receipt{}, err
	}
	note.Client = client
	return i.commit(ctx, grant, b, note)
}

package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Host is what a browser holds of a session at one origin of the session's own client, besides
// the credential of the login: a cookie of its own, because a browser sends none to another host.
// [Issuer.Redeem] makes it. Its copies are for that origin alone, and open no account.
type Host struct {
	ID      string    `json:"id"` // public, and the TokenID of its copies: an entry of scope token ends it alone
	Origin  string    `json:"origin"`
	Granted time.Time `json:"granted"`

	LastUsed time.Time `json:"last_used,omitzero"` // written as that of the session; zero: not since Granted
}

// touch notes the use of h, at most once in touchEvery. It reports whether that changed h.
func (h *Host) touch(now time.Time) bool {
	if now.Sub(h.Granted) < touchEvery || now.Sub(h.LastUsed) < touchEvery {
		return false
	}
	h.LastUsed = now.UTC().Truncate(time.Second)
	return true
}

// maxHosts bounds how many origins one session is used at. Beyond that the oldest ends.
const maxHosts = 32

// kindHost has which session a host's cookie is of. Whether it counts, the row of that session
// says. ID: Host.ID; owner: subject.
const kindHost store.Kind = "host"

const hostPrefix = "hst_"

// hostID is the public id that belongs to the secret of a host, as sessionID is.
func hostID(secret []byte) string {
	sum := sha256.Sum256(append([]byte("counterfoil host v1\x00"), secret...))
	return hostPrefix + base32Lower.EncodeToString(sum[:20])
}

func hostKey(id string) store.Key { return store.Key{Kind: kindHost, ID: id} }

// hostRecord is the value of a record of a host.
type hostRecord struct {
	Session string `json:"session"`
}

// sessionAt is the id of the session that a record of a host names.
func sessionAt(rec store.Record) (string, error) {
	if rec.Rev == 0 {
		return "", counterfoil.ErrRevoked
	}
	var v hostRecord
	if err := json.Unmarshal(rec.Value, &v); err != nil {
		return "", fmt.Errorf("host %s is %w: %w", rec.ID, errDamaged, err)
	}
	return v.Session, nil
}

// at returns the host of that id, and nil if r has none.
func (r *SessionRow) at(id string) *Host {
	if n := slices.IndexFunc(r.Hosts, func(h Host) bool { return h.ID == id }); n >= 0 {
		return &r.Hosts[n]
	}
	return nil
}

// settle gives r a cookie at an origin, which takes the place of the one that it has there, and
// of the oldest if there are too many. It adds to b what is stored, and the end of those. The
// caller commits r.
func (r *SessionRow) settle(origin string, now time.Time, b *store.Batch) (*Host, secret.String, error) {
	opaque := token.NewOpaque()
	raw, err := token.ParseOpaque(opaque)
	if err != nil {
		return nil, secret.String{}, err
	}
	if n := slices.IndexFunc(r.Hosts, func(h Host) bool { return h.Origin == origin }); n >= 0 {
		r.unsettle(r.Hosts[n].ID, "signed in anew", b)
	}
	for len(r.Hosts) >= maxHosts {
		r.unsettle(r.Hosts[0].ID, "more hosts than the limit", b)
	}
	value, err := json.Marshal(hostRecord{r.ID})
	if err != nil {
		return nil, secret.String{}, err
	}
	h := Host{ID: hostID(raw[:]), Origin: origin, Granted: now.UTC().Truncate(time.Second)}
	r.Hosts = append(slices.Clone(r.Hosts), h)
	b.Put = append(b.Put, store.Record{Key: hostKey(h.ID), Owner: r.Subject, Expires: r.AbsoluteExpires.UTC().Truncate(time.Second), Value: value})
	return &h, secret.New(opaque), nil
}

// unsettle takes the host of that id out of r, and adds its end to b.
func (r *SessionRow) unsettle(id, reason string, b *store.Batch) {
	b.Delete = append(b.Delete, hostKey(id))
	b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeToken, id, reason))
	r.Hosts = slices.DeleteFunc(slices.Clone(r.Hosts), func(h Host) bool { return h.ID == id })
}

// forgetHosts takes all hosts out of r, and adds the end of their records to b. The caller adds
// the log entry, which covers all that the session has.
func (r *SessionRow) forgetHosts(b *store.Batch) {
	for _, h := range r.Hosts {
		b.Delete = append(b.Delete, hostKey(h.ID))
	}
	r.Hosts = nil
}

// keepHosts adds to b the records of the hosts of r as they are, for a batch that deletes all of
// the subject.
func (i *Issuer) keepHosts(ctx context.Context, r *SessionRow, b *store.Batch) error {
	keys := make([]store.Key, 0, len(r.Hosts))
	for _, h := range r.Hosts {
		keys = append(keys, hostKey(h.ID))
	}
	if len(keys) == 0 {
		return nil
	}
	recs, err := i.store.Get(ctx, keys...)
	if err != nil {
		return unavailable(err)
	}
	for _, rec := range recs {
		if rec.Rev != 0 {
			b.Put = append(b.Put, rec)
		}
	}
	return nil
}

// opaqueRow finds the session that a secret is of, and the host if it is that of one. It fails
// with ErrRevoked if there is neither.
func (i *Issuer) opaqueRow(ctx context.Context, secret []byte) (*SessionRow, *Host, error) {
	id := hostID(secret)
	recs, err := i.store.Get(ctx, sessionKey(sessionID(secret)), hostKey(id))
	if err != nil {
		return nil, nil, unavailable(err)
	}
	if recs[1].Rev == 0 {
		row, err := parseRow(recs[0])
		return row, nil, err
	}
	sid, err := sessionAt(recs[1])
	if err != nil {
		return nil, nil, err
	}
	row, err := i.row(ctx, sid)
	if err != nil {
		return nil, nil, err
	}
	host := row.at(id)
	if host == nil {
		return nil, nil, counterfoil.ErrRevoked
	}
	return row, host, nil
}

// hosted is what a host holds of row, judged like a grant. A session with refresh tokens may
// have ended because they were not used.
func (i *Issuer) hosted(ctx context.Context, row *SessionRow, host *Host, now time.Time) (*holding, error) {
	h, err := i.living(ctx, row, now)
	if err != nil {
		return nil, err
	}
	h.host, h.grant.Carrier = host, counterfoil.CarrierCookie
	return h, h.judge(now)
}

// isHost reports whether the id of a token is that of a host.
func isHost(id string) bool { return strings.HasPrefix(id, hostPrefix) }

// endHost ends what one host holds, and nothing else of its session.
func (i *Issuer) endHost(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	for {
		receipt, err := i.tryEndHost(ctx, entry, note)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
	}
}

func (i *Issuer) tryEndHost(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	recs, err := i.store.Get(ctx, hostKey(entry.ID))
	if err != nil {
		return Receipt{}, unavailable(err)
	}
	b := store.Batch{Delete: []store.Key{hostKey(entry.ID)}}
	sid, err := sessionAt(recs[0])
	var row *SessionRow
	if err == nil {
		row, err = i.row(ctx, sid)
	}
	switch {
	case isInvalid(err) || errors.Is(err, errDamaged): // nobody is let in by it; the entry says so to those who were
		return i.commit(ctx, entry, b, note)
	case err != nil:
		return Receipt{}, err
	}
	note.Subject, note.Client, note.Session = row.Subject, row.Client, row.ID
	row.Hosts = slices.DeleteFunc(slices.Clone(row.Hosts), func(h Host) bool { return h.ID == entry.ID })
	if err := put(&b, row); err != nil {
		return Receipt{}, err
	}
	return i.commit(ctx, entry, b, note)
}

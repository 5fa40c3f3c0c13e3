package issuer

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/store"
)

const kindNotice store.Kind = "notice" // ID: notice id; owner: subject

// noticeKey is the key of a new notice. Its id begins with the time, counted backwards, so that a list
// in order of id has the newest first, and those of earlier versions last: their ids are random. The
// notice of the limit has the one key of limitKey.
func noticeKey(at time.Time) store.Key {
	return store.Key{Kind: kindNotice, ID: randomID("ntc_0" + store.Backwards(at))}
}

// maxNotices is how many a subject is shown. Who dismisses one sees the next.
const maxNotices = 20

// noticeTTL is how long a subject has to see a notice.
const noticeTTL = 30 * 24 * time.Hour

// Notice tells a subject what happened to its account while it was not looking: a
// refresh token came a second time, so another party had it too, and the session was ended, or
// what one client held of it; or an administrator impersonates it; or it had more sessions than the limit, and the oldest ended.
type Notice struct {
	ID      string     `json:"-"`
	Time    time.Time  `json:"time"`
	Session string     `json:"session"`
	Client  string     `json:"client"`
	Grant   bool       `json:"grant,omitempty"`    // only what Client held of the session was ended
	Device  string     `json:"device,omitempty"`   // of the login that was ended
	Address netip.Addr `json:"address,omitzero"`   // where the old token came from, or the login that was one too many
	Login   netip.Addr `json:"signed_in,omitzero"` // where the login was made

	// OverLimit is how many sessions were ended to make room for a login; Session is the
	// youngest of them. Zero: the notice is of a refresh token.
	OverLimit int `json:"over_limit,omitempty"`

	// By is who impersonates the subject, by subject and by name, and why. Empty: the notice is of
	// something else.
	By     string `json:"by,omitempty"`
	ByName string `json:"by_name,omitempty"`
	Reason string `json:"reason,omitempty"`

	// Damaged is set by Notices if the stored notice cannot be read. It has an ID, and
	// nothing else.
	Damaged bool `json:"-"`
}

func (n *Notice) record(key store.Key, subject string) (store.Record, error) {
	value, err := json.Marshal(n)
	return store.Record{Key: key, Owner: subject, Expires: n.Time.Add(noticeTTL), Value: value}, err
}

func (i *Issuer) notice(h *holding, r Renewal) (store.Record, error) {
	now, row := i.opts.Now(), h.row
	n := Notice{
		Time: now, Session: row.ID, Client: h.grant.Client, Grant: h.grant.Client != row.Client, Device: row.Device, Address: r.Act.Address, Login: row.FirstAddress,
	}
	return n.record(noticeKey(n.Time), row.Subject)
}

// Notices returns what subject has not dismissed, the newest first, at most 20. A damaged one is the last.
func (i *Issuer) Notices(ctx context.Context, subject string) ([]Notice, error) {
	if err := checkSubject(subject); err != nil {
		return nil, err
	}
	limit, err := i.store.Get(ctx, limitKey(subject))
	if err != nil {
		return nil, unavailable(err)
	}
	var all []Notice
	add := func(rec store.Record) {
		n := Notice{ID: rec.ID}
		if err := json.Unmarshal(rec.Value, &n); err != nil || check.Time("time", n.Time) != nil {
			n = Notice{ID: rec.ID, Damaged: true}
		}
		if rec.Rev != 0 && i.opts.Now().Before(rec.Expires) {
			all = append(all, n)
		}
	}
	for rec, err := range i.store.List(ctx, kindNotice, subject, "") {
		if err != nil {
			return nil, unavailable(err)
		}
		if rec.ID == limit[0].ID {
			continue
		}
		if add(rec); len(all) == maxNotices {
			break
		}
	}
	add(limit[0])
	slices.SortStableFunc(all, func(a, b Notice) int { return b.Time.Compare(a.Time) })
	return all[:min(len(all), maxNotices)], nil
}

// Dismiss takes a notice of subject away, or returns store.ErrNotFound.
func (i *Issuer) Dismiss(ctx context.Context, subject, id string) error {
	if id == "" || check.Text("notice", id, 200) != nil {
		return store.ErrNotFound
	}
	key := store.Key{Kind: kindNotice, ID: id}
	rec, err := store.One(ctx, i.store, key)
	if err != nil {
		return unavailable(err)
	}
	if rec.Owner != subject {
		return store.ErrNotFound
	}
	_, err = i.store.Commit(ctx, store.Batch{Delete: []store.Key{key}})
	return unavailable(err)
}

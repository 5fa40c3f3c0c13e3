package issuer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// makeRoom adds to b the end of the oldest sessions of the subject of row, so that it has
// no more than Options.MaxSessions with row among them, and the notice that tells it. What
// row replaces ends anyway, and does not count.
//
// Logins at the same moment do not see each other, so there may be as many more for a
// moment: the next login ends them. It reads at most twice the limit, so a subject with more
// sessions, from before there was a limit, comes down to it over several logins, and loses
// the oldest of those that were read.
func (i *Issuer) makeRoom(ctx context.Context, b *store.Batch, row *SessionRow, replaced []string, on dependencies) error {
	basis := i.basisOf(row.Subject)
	basis.of[row.Client] = on
	var living []*SessionRow
	looks := 0
	for rec, err := range i.store.List(ctx, kindSession, row.Subject, "") {
		if err != nil {
			return unavailable(err)
		}
		if looks++; looks > 2*i.opts.MaxSessions {
			break
		}
		if slices.Contains(replaced, rec.ID) {
			continue
		}
		held, err := basis.alive(ctx, rec)
		if err == nil && !held.Damaged {
			living = append(living, held)
		} else if err != nil && !isInvalid(err) {
			return err
		}
	}
	over := len(living) + 1 - i.opts.MaxSessions
	if over <= 0 {
		return nil
	}
	slices.SortFunc(living, func(a, b *SessionRow) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	for _, old := range living[:over] {
		old.end(b)
		b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeSession, old.ID, "more sessions than the limit"))
	}
	return i.tellLimit(ctx, b, row, living[over-1], over)
}

// limitKey is the key of the one notice of the limit that a subject has.
func limitKey(subject string) store.Key {
	sum := sha256.Sum256([]byte("counterfoil limit notice v1\x00" + subject))
	return store.Key{Kind: kindNotice, ID: "ntc_" + base32Lower.EncodeToString(sum[:16])}
}

// tellLimit adds to b the notice that sessions were ended for row, the last of them old. A
// subject has one notice of this kind, which tells of the last time: otherwise each login of a
// program that never signs out would leave one.
func (i *Issuer) tellLimit(ctx context.Context, b *store.Batch, row, old *SessionRow, ended int) error {
	key := limitKey(row.Subject)
	recs, err := i.store.Get(ctx, key)
	if err != nil {
		return unavailable(err)
	}
	notice := Notice{
		Time: row.Created.UTC().Truncate(time.Second), OverLimit: ended, Session: old.ID, Client: old.Client, Device: old.Device,
		Address: row.FirstAddress, Login: old.FirstAddress,
	}
	rec, err := notice.record(key, row.Subject)
	rec.Rev = recs[0].Rev
	b.Put = append(b.Put, rec)
	return err
}

package issuer

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/store"
)

// Bounds of a page of sessions. Rows of sessions that have ended, and were not swept yet,
// are looked at and not shown: a page may be short, and not be the last one.
const (
	MaxPage  = 200  // sessions on it
	maxLooks = 1000 // rows that are looked at for it
)

// Sessions returns a page of the living sessions of subject, by id: up to limit of those
// whose ids are greater than after. A limit of zero, and one above MaxPage, is MaxPage. If
// next is not empty, the list goes on after that id. The work for a page does not depend
// on how many sessions the subject has, besides what the store needs to find the first.
func (i *Issuer) Sessions(ctx context.Context, subject, after string, limit int) (page []SessionRow, next string, err error) {
	if err := checkSubject(subject); err != nil {
		return nil, "", err
	}
	return i.page(ctx, subject, after, limit)
}

// page is Sessions; the owner * is everybody.
func (i *Issuer) page(ctx context.Context, owner, after string, limit int) (page []SessionRow, next string, err error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	bases := map[string]*basis{} // by subject
	looks, last := 0, ""
	for rec, err := range i.store.List(ctx, kindSession, owner, after) {
		if err != nil {
			return nil, "", unavailable(err)
		}
		if len(page) == limit || looks == maxLooks {
			next = last
			break
		}
		looks, last = looks+1, rec.ID
		if bases[rec.Owner] == nil {
			bases[rec.Owner] = i.basisOf(rec.Owner)
		}
		row, err := bases[rec.Owner].alive(ctx, rec)
		if err == nil {
			page = append(page, *row)
		} else if !isInvalid(err) {
			return nil, "", err
		}
	}
	page, err = i.shown(ctx, page)
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// shown returns those sessions of page whose refresh tokens say that they live, as they are shown.
func (i *Issuer) shown(ctx context.Context, page []SessionRow) ([]SessionRow, error) {
	var grants []Grant
	for n := range page {
		grants = append(grants, page[n].Grants...)
	}
	families, err := i.families(ctx, grants)
	if err != nil {
		return nil, err
	}
	now, lives := i.opts.Now(), page[:0]
	for n := range page {
		if show(&page[n], families, now) {
			lives = append(lives, page[n])
		}
	}
	return lives, nil
}

// Session returns a living session, or store.ErrNotFound.
func (i *Issuer) Session(ctx context.Context, sid string) (*SessionRow, error) {
	rec, err := i.sessionRecord(ctx, sid)
	if err != nil && !isInvalid(err) {
		return nil, err
	}
	basis := i.basisOf(rec.Owner)
	row, err := basis.alive(ctx, rec)
	if isInvalid(err) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	families, err := i.families(ctx, row.Grants)
	if err != nil {
		return nil, err
	}
	if !show(row, families, basis.now) {
		return nil, store.ErrNotFound
	}
	return row, nil
}

// families reads the refresh tokens of grants, by id, without those that are gone or
// cannot be read.
func (i *Issuer) families(ctx context.Context, grants []Grant) (map[string]*family, error) {
	var keys []store.Key
	for _, g := range grants {
		if g.Family != "" {
			keys = append(keys, familyKey(g.Family))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	recs, err := i.store.Get(ctx, keys...)
	if err != nil {
		return nil, unavailable(err)
	}
	families := map[string]*family{}
	for _, rec := range recs {
		if f, err := parseFamily(rec); err == nil {
			families[f.ID] = f
		}
	}
	return families, nil
}

// basis is what the sessions of one subject rest on, read once for a whole list.
type basis struct {
	issuer  *Issuer
	subject string
	now     time.Time
	of      map[string]dependencies // by client
}

func (i *Issuer) basisOf(subject string) *basis {
	return &basis{i, subject, i.opts.Now(), map[string]dependencies{}}
}

func (b *basis) dependencies(ctx context.Context, client string) (on dependencies, err error) {
	if on, ok := b.of[client]; ok {
		return on, nil
	}
	if on, err = b.issuer.dependencies(ctx, b.subject, client); err != nil && !errors.Is(err, clients.ErrUnknown) {
		return on, err
	}
	b.of[client] = on
	return on, nil
}

// alive returns the session of a record, with those of its Grants that live. It fails as
// [Issuer.state] does if none of them lives. A record that cannot be read, or whose client
// cannot, is a session that is Damaged: nobody can say that it has ended.
func (b *basis) alive(ctx context.Context, rec store.Record) (*SessionRow, error) {
	row, err := parseRow(rec)
	if errors.Is(err, errDamaged) || err == nil && !row.showable() {
		return &SessionRow{ID: rec.ID, Subject: rec.Owner, Damaged: true}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := b.issuer.stand(ctx, row, b.now); err != nil {
		return nil, err
	}
	var dead error
	var ownIdle time.Duration
	for n, g := range row.grants() {
		if n > 0 && g.Family == "" && dead != nil {
			continue // the login's own cookie renews it (see [Issuer.Exchange]), and that has ended
		}
		h := &holding{row: row, grant: g}
		if !row.ended(b.now) {
			h.dependencies, err = b.dependencies(ctx, g.Client)
			if errors.Is(err, clients.ErrDamaged) { // whether it lives, its client would say
				return &SessionRow{ID: rec.ID, Subject: rec.Owner, Damaged: true}, nil
			}
			if err != nil {
				return nil, err
			}
		}
		if err := h.judge(b.now); err == nil {
			h.grant.refreshIdle = b.issuer.refreshIdle(h.client)
			if n == 0 {
				ownIdle = h.grant.refreshIdle
			} else if g.Family == "" {
				h.grant.refreshIdle = ownIdle
			}
			row.Grants = append(row.Grants, h.grant)
		} else if n == 0 {
			dead = err
		}
	}
	if len(row.Grants) == 0 {
		return nil, dead
	}
	return row, nil
}

// showable reports whether r can be written as JSON, whatever the time zone.
func (r *SessionRow) showable() bool {
	err := errors.Join(check.Time("time", r.Created), check.Time("time", r.AuthTime), check.Time("time", r.LastSeen),
		check.Time("time", r.IdleExpires), check.Time("time", r.AbsoluteExpires))
	for _, g := range r.Further {
		err = errors.Join(err, check.Time("time", g.Granted))
	}
	for _, h := range r.Hosts {
		err = errors.Join(err, check.Time("time", h.Granted), check.Time("time", h.LastUsed))
	}
	return err == nil
}

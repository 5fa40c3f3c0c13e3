package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/store"
)

// dependencies are the records that a session rests on, besides its own row. The issuer
// reads them before it believes the session, and requires them in each commit that it
// makes because of them.
type dependencies struct {
	subject *Subject
	client  *clients.Client
	all     uint64 // how often everybody was revoked
}

func (on dependencies) require() []store.Require {
	return []store.Require{on.subject.require(), on.client.Require(), {Key: cutoffKey, Rev: on.all}}
}

// cutoffKey is the record whose revision counts the revocations of everybody.
var cutoffKey = store.Key{Kind: kindCutoff, ID: "all"}

func (i *Issuer) cutoff(ctx context.Context) (uint64, error) {
	rec, err := store.One(ctx, i.store, cutoffKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, unavailable(err)
	}
	return rec.Rev, nil
}

// dependencies reads what a session of subject at client rests on. With
// clients.ErrUnknown, everything except the client is there.
func (i *Issuer) dependencies(ctx context.Context, subject, client string) (on dependencies, err error) {
	recs, err := i.store.Get(ctx, subjectKey(subject), clients.RevisionKey(client), cutoffKey)
	if err != nil {
		return on, unavailable(err)
	}
	on.all = recs[2].Rev
	if on.subject, err = parseSubject(recs[0]); err != nil {
		return on, err
	}
	on.client, err = i.clients.Under(ctx, client, recs[1])
	return on, err
}

// admitted reads what a login of r will rest on, and makes r what it may be.
func (i *Issuer) admitted(ctx context.Context, subject string, r *Request) (on dependencies, err error) {
	if on, err = i.dependencies(ctx, subject, r.Client); err != nil {
		return on, err
	}
	return on, admit(on.client, r)
}

// state reads what a grant of row rests on, and judges it.
func (i *Issuer) state(ctx context.Context, row *SessionRow, g Grant, now time.Time) (*holding, error) {
	h := &holding{row: row, grant: g}
	if row.ended(now) {
		return h, counterfoil.ErrExpired
	}
	var err error
	if h.dependencies, err = i.dependencies(ctx, row.Subject, g.Client); err != nil && !errors.Is(err, clients.ErrUnknown) {
		return h, err
	}
	if err := i.stand(ctx, row, now); err != nil {
		return h, err
	}
	return h, h.judge(now)
}

// judge refuses a grant that has ended in any way that leaves the row in place, and
// brings roles and scopes up to date.
func (h *holding) judge(now time.Time) error {
	if h.row.ended(now) {
		return counterfoil.ErrExpired
	}
	if h.row.By != nil && !h.row.stands {
		return fmt.Errorf("%w: who impersonated may not any more", counterfoil.ErrRevoked)
	}
	if h.client == nil || h.client.Disabled || h.client.Generation != h.grant.ClientGen || h.all != h.row.AllGen || h.subject.Disabled {
		return counterfoil.ErrRevoked
	}
	if _, err := h.client.Carrier(h.grant.Carrier); err != nil {
		return fmt.Errorf("%w: the carrier is no longer one of the client's", counterfoil.ErrInvalidToken)
	}
	if h.host != nil && !slices.Contains(h.client.Origins, h.host.Origin) {
		return fmt.Errorf("%w: the origin is no longer one of the client's", counterfoil.ErrRevoked)
	}
	h.subject.copyTo(h.row)
	h.grant.Scopes = h.client.Keep(h.grant.Scopes)
	return nil
}

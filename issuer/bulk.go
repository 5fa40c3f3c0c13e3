package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// A revocation by filter is made in two steps. PlanRevocation counts what it would end, and its
// token says what the caller has seen. RevokeFound takes the token, and refuses it if there is
// much more by now. Then it is a [Job], which never ends more than that allows. See docs/decisions/0074-revocation-by-filter.md.

const (
	planFor     = 10 * time.Minute // a token of a plan is good for so long
	planSamples = 20
)

// ErrNoPlan means that a revocation by filter has no token of a plan for that filter, of that
// caller, that is still good.
var ErrNoPlan = errors.New("no dry run of this filter a moment ago")

// Grown is the error of a revocation by filter that would end more sessions than it may: a tenth more
// than its plan said, or than AtMost, which its caller has named.
type Grown struct {
	Planned, Now int
	AtMost       int // zero: its caller has named none, or one that the plan was below
}

func (g Grown) Error() string {
	if g.AtMost > 0 {
		return fmt.Sprintf("at most %d may be revoked, and the filter finds %d or more", g.AtMost, g.Now)
	}
	return fmt.Sprintf("the dry run found %d sessions, and now there are %d or more", g.Planned, g.Now)
}

// Plan is what a revocation by filter would end.
type Plan struct {
	Sessions int          // that live
	More     bool         // there are more than were counted
	Samples  []SessionRow // the first of them
	Token    string       // for RevokeFound
	Expires  time.Time    // of Token
}

// PlanRevocation counts the sessions that f is for, exactly up to [MaxCount]. by is who will revoke
// them, as audit.Act.By; who must have the right Write, or it is [rights.Forbidden]. A filter that is for all is refused: that is the scope "all".
func (i *Issuer) PlanRevocation(ctx context.Context, who rights.Actor, f Filter, by string) (Plan, error) {
	if err := who.Need(rights.Write); err != nil {
		return Plan{}, err
	}
	if f == (Filter{}) {
		return Plan{}, fmt.Errorf("%w: an empty filter is for all sessions: revoke the scope \"all\" instead", ErrBadRequest)
	}
	p := Plan{Expires: i.opts.Now().Add(planFor).Truncate(time.Second)}
	var err error
	p.Sessions, p.More, err = i.countLiving(ctx, f, i.maxPlan, func(row SessionRow) bool {
		if len(p.Samples) < planSamples {
			p.Samples = append(p.Samples, row)
		}
		return true
	})
	if err != nil {
		return Plan{}, err
	}
	p.Token, err = i.planToken(f, by, p.Expires, p.Sessions, p.More)
	return p, err
}

// countLiving counts the living sessions that f and also are for, up to limit.
func (i *Issuer) countLiving(ctx context.Context, f Filter, limit int, also func(SessionRow) bool) (n int, more bool, err error) {
	for row, err := range i.All(ctx, f) {
		switch {
		case err != nil:
			return 0, false, err
		case !also(row):
		case n == limit:
			return n, true, nil
		default:
			n++
		}
	}
	return n, false, nil
}

const planSize = 8 + 4 + 1 // expiry, count, more

// planToken is a plan with a MAC over it, the filter and the caller. It is no credential: it lets
// nobody do what the caller may not.
func (i *Issuer) planToken(f Filter, by string, expires time.Time, n int, more bool) (string, error) {
	plan := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	plan = binary.BigEndian.AppendUint32(plan, uint32(n))
	plan = append(plan, map[bool]byte{true: 1}[more])
	filter, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, i.keys.Derive("revocation plan"))
	for _, part := range [][]byte{plan, filter, []byte(by)} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write(part)
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(plan)), nil
}

// readPlan reads a token that is one for f and by.
func (i *Issuer) readPlan(f Filter, by, token string) (expires time.Time, n int, more bool, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != planSize+sha256.Size {
		return expires, 0, false, ErrNoPlan
	}
	expires, n, more = time.Unix(int64(binary.BigEndian.Uint64(raw)), 0), int(binary.BigEndian.Uint32(raw[8:])), raw[12] == 1
	want, err := i.planToken(f, by, expires, n, more)
	if err == nil && !hmac.Equal([]byte(want), []byte(token)) {
		err = ErrNoPlan
	}
	return expires, n, more, err
}

// RevokeFound ends the sessions that f is for and that live now, and none that begins later. They
// are at most a tenth more than the plan has counted, and at most atMost if that is not zero. A plan
// that has not counted all needs atMost, which is then the only bound. It returns when the job is
// durable; the job goes on by itself, also if this process ends. With the same token it returns the
// same job again. who must have the right Write.
func (i *Issuer) RevokeFound(ctx context.Context, who rights.Actor, f Filter, token string, atMost int, act audit.Act) (Job, error) {
	if err := errors.Join(who.Need(rights.Write), f.Check(), checkReason(act.Reason)); err != nil {
		return Job{}, err
	}
	expires, planned, more, err := i.readPlan(f, act.By, token)
	if err != nil {
		return Job{}, err
	}
	id := jobID(token)
	if j, err := i.Job(ctx, id); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = i.ConfirmReads(ctx)
		}
		return j, err
	}
	if !i.opts.Now().Before(expires) {
		return Job{}, ErrNoPlan
	}
	now, limit := i.opts.Now().UTC(), atMost
	grown := Grown{Planned: planned}
	switch {
	case atMost < 0, more && atMost <= planned:
		return Job{}, fmt.Errorf("%w: the dry run found %s%d sessions: at_most says how many may be revoked, and is larger than that", ErrBadRequest, map[bool]string{true: "more than "}[more], planned)
	case !more:
		if limit = 11 * planned / 10; 0 < atMost && atMost < limit {
			limit, grown.AtMost = atMost, atMost
		}
		found, beyond, err := i.countLiving(ctx, f, limit, func(row SessionRow) bool { return !row.Created.After(now) })
		if err != nil {
			return Job{}, err
		}
		if grown.Now = found + 1; beyond {
			return Job{}, grown
		}
	}
	return i.beginJob(ctx, Job{ID: id, Filter: f, Planned: planned, More: more, Limit: limit, Created: now}, act)
}

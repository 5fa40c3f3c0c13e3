package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/limit"
)

const (
	// maxRepeats bounds how often one use of a refresh token is answered again.
	maxRepeats = 5

	// graceSlack widens the grace. The nodes of a deployment may each be 2 s away from the
	// store's clock, and the one that is asked again is not the one that answered.
	graceSlack = 4 * time.Second
)

// refreshRate is how often one grant may be refreshed. The shortest life of a copy asks for one
// refresh in ten seconds. The bucket is in the family, so the rate is that of all nodes together.
var refreshRate = limit.Rate{Burst: 30, Interval: 2 * time.Second}

// TooOften means that a grant was refreshed too often, or that one answer was asked for too
// often. Nothing has ended, and the token is what it was before.
type TooOften struct{ RetryAfter time.Duration }

func (t TooOften) Error() string { return "refreshed too often: wait " + t.RetryAfter.String() }

// party is what a family keeps of who used its last token, to know them when they ask again
// because the answer was lost. A value is a keyed hash, and another one for each token.
type party struct {
	Nonce  string `json:"nonce,omitempty"`
	Device string `json:"device,omitempty"`
	Agent  string `json:"agent,omitempty"` // the User-Agent, if there is neither of them; empty in records of earlier versions
}

// partyOf says who uses the token before f's.
func (i *Issuer) partyOf(f *family, r Renewal) party {
	p := party{Nonce: i.mark(f, "nonce", r.Nonce), Device: i.mark(f, "device", r.Device.Reveal())}
	if p == (party{}) {
		p.Agent = i.agent(f, r)
	}
	return p
}

func (i *Issuer) agent(f *family, r Renewal) string { return i.mark(f, "agent", "="+r.UserAgent) } // never empty

// mark hashes what a party showed when it used the token before f's.
func (i *Issuer) mark(f *family, what, value string) string {
	if value == "" {
		return ""
	}
	m := hmac.New(sha256.New, i.partyKey)
	m.Write(binary.BigEndian.AppendUint64([]byte(f.ID), f.Counter))
	m.Write([]byte(what + " " + value))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:12])
}

// again reports whether r comes from the party that made f what it is. The nonce or the device
// decides if that party showed one of them, wherever it is by now; otherwise the network and
// the User-Agent, which a stranger elsewhere does not have.
func (i *Issuer) again(f *family, r Renewal) bool {
	if f.Nonce != "" || f.Device != "" {
		is := i.partyOf(f, r)
		return same(f.Nonce, is.Nonce) || same(f.Device, is.Device)
	}
	here := limit.Subscriber(f.Address) == limit.Subscriber(r.Act.Address)
	return here && (f.Agent == "" || same(f.Agent, i.agent(f, r)))
}

func same(a, b string) bool { return a != "" && hmac.Equal([]byte(a), []byte(b)) }

// inGrace reports whether the token before f's is answered again. A rotation in the future was
// made by a node whose clock is ahead: it was just now.
func (i *Issuer) inGrace(f *family) bool {
	return i.opts.Time.Passed(f.Rotated) <= i.opts.Grace+graceSlack
}

// repeat notes in f that its last answer is given again.
func (f *family) repeat() error {
	if f.Repeats >= maxRepeats {
		return TooOften{time.Second}
	}
	f.Repeats++
	return nil
}

// rotate makes the next token of f the good one, for the party of r.
func (i *Issuer) rotate(f *family, h *holding, r Renewal, now time.Time) error {
	if err := i.checkSize(h, now); err != nil {
		return err
	}
	spent, wait := refreshRate.Take(limit.Bucket{Debt: time.Duration(f.Debt) * time.Second, At: f.Rotated}, now)
	if wait > 0 {
		return TooOften{wait}
	}
	f.Counter, f.NoGrace, f.Repeats = f.Counter+1, false, 0
	f.Rotated, f.Address, f.Debt = now, r.Act.Address, int((spent.Debt+time.Second-1)/time.Second)
	f.CopyTTL = int(i.copyEnd(h, now).Sub(now.Truncate(time.Second)) / time.Second)
	f.party = i.partyOf(f, r)
	return nil
}

// copyEnd is when the copy ends that was handed out with f's token; the zero time in records of
// earlier versions.
func (f *family) copyEnd() time.Time {
	if f.CopyTTL == 0 {
		return time.Time{}
	}
	return f.Rotated.Truncate(time.Second).Add(time.Duration(f.CopyTTL) * time.Second)
}

// limited tells the trail of a refusal that changes nothing.
func (i *Issuer) limited(h *holding, r Renewal, why error) error {
	e := refreshEntry(r, h, audit.Limit)
	e.Outcome, e.Detail = audit.Refused, "refresh"
	i.audit.Tell(e)
	return why
}

// check refuses a nonce that cannot be one: a guessable nonce would make a stranger the same
// party.
func (r Renewal) check() error {
	if r.Nonce != "" && len(r.Nonce) < 16 {
		return fmt.Errorf("%w: a refresh nonce has at least 16 characters", ErrBadRequest)
	}
	return check.Text("refresh nonce", r.Nonce, 128)
}

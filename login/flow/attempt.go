package flow

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// kind of the records. ID: what names the attempt, which is no secret.
//
// How many there are at worst: each begins with an attempt that the throttle let pass,
// so 50 in a second, for answerWithin and until they are swept: some 20 000, of at most
// 8 KiB. One for which a mail was sent lives longer, and there are fewer of them.
const kind store.Kind = "attempt"

// Bounds of an attempt.
const (
	answerWithin = 5 * time.Minute  // unless the challenge says another time
	mostWithin   = 15 * time.Minute // that it can say
	maxSteps     = 6                // challenges: a method that asks again and again is not asked for ever
	maxState     = 2 << 10
	maxPublic    = 4 << 10
	maxKeep      = 2 << 10
)

// attempt is what is kept between a challenge and its answer (LOGIN-20). The client has
// the secret; here is its hash.
type attempt struct {
	Secret  []byte          `json:"secret"`
	Apart   bool            `json:"apart,omitempty"`
	StepUp  bool            `json:"step_up,omitempty"`
	Method  string          `json:"method"`
	Subject string          `json:"subject,omitempty"` // empty: nobody who may sign in
	Counter string          `json:"counter,omitempty"` // of the throttle
	Known   bool            `json:"known,omitempty"`   // Counter is of a known device
	Named   string          `json:"named,omitempty"`   // id of the user whose name was given
	State   []byte          `json:"state,omitempty"`
	Proof   *login.Proof    `json:"proof,omitempty"` // of the methods in Proven
	Proven  []string        `json:"proven,omitempty"`
	Steps   int             `json:"steps"`
	Client  string          `json:"client,omitempty"`
	Session string          `json:"session,omitempty"`
	Keep    json.RawMessage `json:"keep,omitempty"`
	Expires time.Time       `json:"expires"`

	id  string
	rev uint64
}

func (at *attempt) key() store.Key { return store.Key{Kind: kind, ID: at.id} }

// add joins p with what other methods have proven before: the revision that was read
// first, the time of the first.
func (at *attempt) add(method string, p *login.Proof, now time.Time) error {
	if p.Subject == "" || at.Proof != nil && at.Proof.Subject != p.Subject {
		return login.ErrRefused // a proof of nobody, or of somebody else
	}
	joined := *p
	if at.Proof != nil {
		joined = *at.Proof
		joined.Methods = slices.Clone(joined.Methods)
		for _, amr := range p.Methods {
			if !slices.Contains(joined.Methods, amr) {
				joined.Methods = append(joined.Methods, amr)
			}
		}
		if p.ACR != "" {
			joined.ACR = p.ACR
		}
	}
	if joined.At.IsZero() {
		joined.At = now
	}
	at.Proof, at.Proven = &joined, append(slices.Clone(at.Proven), method)
	return nil
}

const (
	attemptPrefix = "cfa_" // lets secret scanners recognise a leaked one
	idLength      = 22     // 16 bytes in base64url
	secretLength  = 43     // 32 bytes
)

// challenge keeps at until the answer to c comes.
func (f *Flow) challenge(ctx context.Context, at *attempt, method, subject string, c *login.Challenge) (Result, error) {
	public, err := json.Marshal(c.Public)
	if err != nil || len(public) > maxPublic || len(public) == 0 || public[0] != '{' || len(c.State) > maxState {
		return Result{}, errors.Join(fmt.Errorf("method %s: a challenge is one JSON object of at most %d bytes, and at most %d bytes of state", method, maxPublic, maxState), err)
	}
	if at.Steps++; at.Steps > maxSteps {
		return Result{}, login.ErrRefused
	}
	raw := make([]byte, 48)
	rand.Read(raw)
	id, secret := base64.RawURLEncoding.EncodeToString(raw[:16]), base64.RawURLEncoding.EncodeToString(raw[16:])
	hash := sha256.Sum256([]byte(secret))
	at.id, at.rev, at.Secret = id, 0, hash[:]
	at.Method, at.Subject, at.State, at.Expires = method, subject, c.State, f.opts.Now().Add(min(cmp.Or(max(c.Within, 0), answerWithin), mostWithin)).UTC()
	if err := f.restore(ctx, at); err != nil {
		return Result{}, err
	}
	r := Result{Challenge: public, Method: method, Attempt: attemptPrefix + id, Expires: at.Expires}
	if at.Apart {
		r.Secret = login.NewSecret(secret)
	} else {
		r.Attempt += secret
	}
	return r, nil
}

// open returns the attempt that a answers, or login.ErrOver.
func (f *Flow) open(ctx context.Context, a Answer) (*attempt, error) {
	text, ok := strings.CutPrefix(a.Attempt, attemptPrefix)
	secret, apart := a.Secret.Reveal(), len(text) == idLength
	if len(text) == idLength+secretLength {
		text, secret = text[:idLength], text[idLength:]
	}
	if !ok || len(text) != idLength || !check.Printable(text) {
		return nil, login.ErrOver
	}
	at := &attempt{id: text}
	records, err := f.opts.Store.Get(ctx, at.key())
	if err != nil {
		return nil, store.Outage(err)
	}
	if records[0].Rev == 0 {
		return nil, login.ErrOver
	}
	if err := json.Unmarshal(records[0].Value, at); err != nil {
		return nil, fmt.Errorf("attempt %s: %w", at.id, err)
	}
	at.rev = records[0].Rev
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], at.Secret) != 1 || at.Apart != apart || !f.opts.Now().Before(at.Expires) {
		return nil, login.ErrOver
	}
	if a.Kept != nil {
		if err := a.Kept(at.Keep); err != nil {
			return nil, err
		}
	}
	if err := at.answeredBy(ctx, a); err != nil {
		return nil, err
	}
	return at, nil
}

// answeredBy refuses an answer of another client than the one that began, or of another
// session than the one that is stepped up: for them there is no such attempt.
func (at *attempt) answeredBy(ctx context.Context, a Answer) error {
	if !at.StepUp {
		if at.Client != a.Client {
			return login.ErrOver
		}
		return nil
	}
	if a.Session == nil {
		return login.ErrOver
	}
	id, err := a.Session(ctx)
	if err == nil && id != at.Session {
		err = login.ErrOver
	}
	return err
}

// take uses at up: of two answers at once, one gets it.
func (f *Flow) take(ctx context.Context, at *attempt) error {
	_, err := f.opts.Store.Commit(ctx, store.Batch{
		Require: []store.Require{{Key: at.key(), Rev: at.rev}}, Delete: []store.Key{at.key()},
	})
	if errors.Is(err, store.ErrConflict) {
		return login.ErrOver
	}
	return store.Outage(err)
}

// restore keeps at, which is not in the store.
func (f *Flow) restore(ctx context.Context, at *attempt) error {
	value, err := json.Marshal(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // the client may have gone
	defer cancel()
	_, err = f.opts.Store.Commit(ctx, store.Batch{Put: []store.Record{{Key: at.key(), Expires: at.Expires.Add(time.Second), Value: value}}})
	return store.Outage(err)
}

// Package totp is a second step for Counterfoil: after the password the user enters the code
// that an app shows for thirty seconds (RFC 6238). It is a separate module, like a way of
// signing in that a program adds itself. It imports package login, and no internal package.
//
// Put a [Method] into server.Config.Methods. Then call [Method.Enrol] for a user. From then on
// every login of that user asks for a code, on the pages too.
package totp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
)

// Method is the second step. The zero Method is ready.
type Method struct {
	Now func() time.Time // nil: time.Now
}

var _ login.Second = Method{}

// kept is the data of a credential.
type kept struct {
	Secret []byte `json:"secret"`
	Last   uint64 `json:"last"` // step of the last code that was used: a code is accepted once (RFC 6238 section 5.2)
}

const (
	step   = 30 * time.Second // RFC 6238 section 5.2
	slack  = 1                // steps that a phone's clock may be off
	digits = 1_000_000
)

var errWrongCode = errors.New("the code is wrong")

// Name returns the name of the method, which is also the kind of its credentials.
func (Method) Name() string { return "totp" }

// After asks for a code if the user has an app.
func (m Method) After(ctx context.Context, a login.Attempt) (*login.Challenge, error) {
	account, err := a.Account(ctx)
	if err != nil || len(account.Credentials) == 0 {
		return nil, err
	}
	return challenge(), nil
}

// Begin is for a step-up: the user is already signed in. A code without a password does not
// sign anybody in.
func (m Method) Begin(_ context.Context, a login.Attempt) (login.Step, error) {
	if !a.StepUp {
		return login.Step{}, login.ErrRefused
	}
	return login.Step{Challenge: challenge()}, nil
}

func challenge() *login.Challenge {
	return &login.Challenge{Public: map[string]string{"prompt": "The code that your app shows"}}
}

// Finish checks a code.
func (m Method) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Answer string `json:"answer"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	for _, c := range account.Credentials {
		var k kept
		if err := json.Unmarshal(c.Data, &k); err != nil {
			return login.Step{}, fmt.Errorf("totp: %w", err)
		}
		used, ok := k.match(in.Answer, m.now())
		if !ok {
			continue
		}
		k.Last = used // stored by compare-and-swap: of two answers with the same code, one is refused
		if c.Data, err = json.Marshal(k); err != nil {
			return login.Step{}, err
		}
		return login.Step{Proof: account.Prove("otp", "mfa"), Used: &c}, nil
	}
	return login.Step{}, login.ErrRefused
}

func (m Method) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
}

// match returns the step of code, if that code was not used before.
func (k kept) match(code string, now time.Time) (used uint64, ok bool) {
	at := uint64(now.Unix()) / uint64(step/time.Second)
	for n := at - slack; n <= at+slack; n++ {
		if subtle.ConstantTimeCompare([]byte(code), []byte(codeAt(k.Secret, n))) == 1 && n > k.Last {
			return n, true
		}
	}
	return 0, false
}

// codeAt returns the code of a step (RFC 4226 section 5.3).
func codeAt(secret []byte, n uint64) string {
	m := hmac.New(sha1.New, secret)
	_ = binary.Write(m, binary.BigEndian, n)
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff)%digits)
}

// Code returns the code that an app shows for a secret at the given time.
func Code(secret []byte, now time.Time) string {
	return codeAt(secret, uint64(now.Unix())/uint64(step/time.Second))
}

// NewSecret makes a secret of 160 bits.
func NewSecret() []byte {
	secret := make([]byte, 20)
	rand.Read(secret)
	return secret
}

// URI returns the text of the QR code that a user's app reads.
func URI(secret []byte, issuer, name string) string {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	return "otpauth://totp/" + url.PathEscape(issuer+":"+name) + "?" + url.Values{"secret": {text}, "issuer": {issuer}}.Encode()
}

// Enrol gives the user of a session the secret, in place of an earlier one. code must be a current code of
// the secret. The caller must check that the user has authenticated recently.
func (m Method) Enrol(ctx context.Context, users *accounts.Accounts, session *counterfoil.Session, act audit.Act, secret []byte, code string) error {
	used, ok := kept{Secret: secret}.match(code, m.now())
	if !ok {
		return errWrongCode
	}
	data, err := json.Marshal(kept{secret, used})
	if err != nil {
		return err
	}
	return users.SetOwnCredential(ctx, session, act, login.Credential{Kind: m.Name(), Data: data})
}

// Package totp is a second step for Counterfoil: after the password, the code that an
// app shows for thirty seconds (RFC 6238). It is a module of its own, as a program's own
// way of signing in is: it imports package login, and nothing internal.
//
// Put a [Method] into server.Config.Methods. [Enrol] gives it to a user, who is asked for
// codes from then on: at every login, on the pages too.
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
	Last   uint64 `json:"last"` // step of the code that was used last: none is good twice (RFC 6238 section 5.2)
}

const (
	step   = 30 * time.Second // RFC 6238 section 5.2
	slack  = 1                // steps that a phone's clock may be off
	digits = 1_000_000
)

var errWrongCode = errors.New("the code is wrong")

// Name is what clients ask for, and the kind of the credential.
func (Method) Name() string { return "totp" }

// After asks who has an app for its code.
func (m Method) After(ctx context.Context, a login.Attempt) (*login.Challenge, error) {
	account, err := a.Account(ctx)
	if err != nil || len(account.Credentials) == 0 {
		return nil, err
	}
	return challenge(), nil
}

// Begin is for somebody who is signed in and proves it anew. Alone, a code opens nothing.
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
		k.Last = used // kept by compare-and-swap: of two answers with one code, one is refused
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

// match returns the step that code is of, if it was not used before.
func (k kept) match(code string, now time.Time) (used uint64, ok bool) {
	at := uint64(now.Unix()) / uint64(step/time.Second)
	for n := at - slack; n <= at+slack; n++ {
		if subtle.ConstantTimeCompare([]byte(code), []byte(codeAt(k.Secret, n))) == 1 && n > k.Last {
			return n, true
		}
	}
	return 0, false
}

// codeAt is the code of a step (RFC 4226 section 5.3).
func codeAt(secret []byte, n uint64) string {
	m := hmac.New(sha1.New, secret)
	_ = binary.Write(m, binary.BigEndian, n)
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff)%digits)
}

// Code is what an app shows at now for a secret.
func Code(secret []byte, now time.Time) string {
	return codeAt(secret, uint64(now.Unix())/uint64(step/time.Second))
}

// NewSecret makes a secret of 160 bits.
func NewSecret() []byte {
	secret := make([]byte, 20)
	rand.Read(secret)
	return secret
}

// URI is what a user's app reads, as a QR code.
func URI(secret []byte, issuer, name string) string {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	return "otpauth://totp/" + url.PathEscape(issuer+":"+name) + "?" + url.Values{"secret": {text}, "issuer": {issuer}}.Encode()
}

// Enrol gives a user the secret whose code is shown, in place of an earlier one. Who calls
// it has checked that the user is signed in, and was so a moment ago.
func (m Method) Enrol(ctx context.Context, users *accounts.Accounts, user string, act audit.Act, secret []byte, code string) error {
	used, ok := kept{Secret: secret}.match(code, m.now())
	if !ok {
		return errWrongCode
	}
	data, err := json.Marshal(kept{secret, used})
	if err != nil {
		return err
	}
	return users.SetCredential(ctx, user, act, login.Credential{Kind: m.Name(), Data: data})
}

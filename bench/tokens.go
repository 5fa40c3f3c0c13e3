package bench

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
)

// Typical returns the claims of an access token of the n-th login, issued at now.
func Typical(now time.Time, n int) *token.Claims {
	return &token.Claims{
		Issuer: Issuer, Subject: "usr_3k2j5h4g6f7d8s9a0q1w2e3r4t", Audience: []string{Audience},
		Client: "default", ID: fmt.Sprintf("tok_%026d", n), SID: fmt.Sprintf("ses_%026d", n),
		RV: counterfoil.Cursor{Epoch: Epoch}.String(), Expires: now.Add(50 * time.Minute).Unix(), IssuedAt: now.Unix(),
		AuthTime: now.Unix(), Methods: []string{"pwd"}, Roles: []string{"staff"},
	}
}

// Contender makes tokens with one key.
type Contender struct {
	Alg     token.Alg
	Private any
	Signer  *token.Signer
}

// NewContender makes a key for alg, whose id is [KeyID].
func NewContender(alg token.Alg) (*Contender, error) {
	private, err := token.GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	return newContender(alg, private)
}

func newContender(alg token.Alg, private any) (*Contender, error) {
	signer, err := token.NewSigner(KeyID, alg, private)
	if err != nil {
		return nil, err
	}
	return &Contender{alg, private, signer}, nil
}

// Token returns an access token of the n-th login.
func (c *Contender) Token(now time.Time, n int) (string, error) {
	payload, err := Typical(now, n).Marshal()
	if err != nil {
		return "", err
	}
	return c.Signer.Sign("at+jwt", payload)
}

// SignAny signs any header and payload. Signer.Sign would refuse some of them.
func (c *Contender) SignAny(header, payload string) (string, error) {
	return c.SignParts(base64.RawURLEncoding.EncodeToString([]byte(header)), base64.RawURLEncoding.EncodeToString([]byte(payload)))
}

// SignParts signs two encoded parts, unchanged.
func (c *Contender) SignParts(header, payload string) (string, error) {
	input := header + "." + payload
	sig, err := rawSign(c.Alg, c.Private, []byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(sig), err
}

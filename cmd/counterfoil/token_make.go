package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/counterfoil/counterfoil/inspect"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

type tokenSign struct {
	File string `arg:"" optional:"" default:"-" help:"File that holds the claims, as JSON; - is standard input."`
	tokenKeys
	Alg    string        `placeholder:"ALG" help:"Signature algorithm, such as ES256. Empty: that of the key."`
	Type   string        `name:"typ" default:"JWT" placeholder:"TYP" help:"typ of the header; an empty text is none."`
	ID     string        `name:"kid" placeholder:"KID" help:"kid of the header, and which key of a set signs. Empty: that of the key."`
	Header string        `placeholder:"FILE" help:"File with more members of the header, as a JSON object."`
	Life   time.Duration `placeholder:"TIME" help:"Set iat to now and exp to so much later, in claims that have neither."`
}

// Run prints a signed token.
func (c *tokenSign) Run(ctx context.Context) error {
	key, err := c.chosen(ctx, c.File, c.ID)
	if err != nil {
		return err
	}
	claims, err := readInput(ctx, c.File, "claims")
	if err != nil {
		return err
	}
	if claims = bytes.TrimSpace(claims); len(claims) == 0 {
		return misuse("no claims were given\nhint: pipe them into this command, or name a file that holds them")
	}
	if claims, err = c.dated(claims, time.Now()); err != nil {
		return err
	}
	o := inspect.SignOptions{Key: key, Alg: c.Alg, Type: c.Type, ID: c.ID}
	if c.Header != "" {
		if o.Header, err = textfile.Read(c.Header); err != nil {
			return err
		}
	}
	text, err := inspect.Sign(claims, o)
	if err != nil {
		return err
	}
	fmt.Println(text)
	return nil
}

// dated sets iat and exp, as --life says. It leaves the rest of the claims as it is written.
func (c *tokenSign) dated(claims []byte, now time.Time) ([]byte, error) {
	if c.Life == 0 {
		return claims, nil
	}
	if c.Life < time.Second || c.Life > 24*time.Hour {
		return nil, misuse("--life is %s: want 1s to 24h", config.Duration(c.Life))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(claims, &members); err != nil {
		return nil, errors.New("the claims are not a JSON object")
	}
	if members["iat"] != nil || members["exp"] != nil {
		return nil, misuse("the claims have iat or exp, and --life would set another\nhint: leave one of both away")
	}
	times := fmt.Sprintf(`"iat":%d,"exp":%d`, now.Unix(), now.Add(c.Life).Unix())
	if len(members) > 0 {
		times += ","
	}
	return append([]byte("{"+times), bytes.TrimPrefix(claims, []byte("{"))...), nil
}

type tokenEncrypt struct {
	File string `arg:"" optional:"" default:"-" help:"File that holds what is encrypted, best a signed token; - is standard input."`
	tokenKeys
	Alg         string `placeholder:"ALG" help:"Algorithm for the content key, such as ECDH-ES+A256KW. Empty: that of the key."`
	Enc         string `placeholder:"ENC" help:"Algorithm for the contents. Empty: A256GCM."`
	Type        string `name:"typ" placeholder:"TYP" help:"typ of the header. Empty: none."`
	ContentType string `name:"cty" placeholder:"CTY" help:"cty of the header. Empty: JWT if it is a token, else none."`
	ID          string `name:"kid" placeholder:"KID" help:"kid of the header, and which key of a set encrypts. Empty: that of the key."`
	Rounds      int    `placeholder:"N" help:"Rounds of PBES2, 1000 to 1000000. Empty: 600000."`
}

// Run prints an encrypted token.
func (c *tokenEncrypt) Run(ctx context.Context) error {
	key, err := c.chosen(ctx, c.File, c.ID)
	if err != nil {
		return err
	}
	data, err := readInput(ctx, c.File, "text")
	if err != nil {
		return err
	}
	text, err := inspect.Encrypt(bytes.TrimSpace(data), inspect.EncryptOptions{Key: key, Alg: c.Alg, Enc: c.Enc,
		Type: c.Type, ContentType: c.ContentType, ID: c.ID, Rounds: c.Rounds})
	if err != nil {
		return err
	}
	fmt.Println(text)
	return nil
}

type tokenDecrypt struct {
	tokenInput
	tokenKeys
	JSON bool `help:"Print JSON."`
}

// Run prints what is in an encrypted token.
func (c *tokenDecrypt) Run(ctx context.Context) error {
	text, err := c.read(ctx)
	if err != nil {
		return err
	}
	keys, err := c.given(ctx, c.File)
	if err != nil {
		return err
	}
	d, err := inspect.Decrypt(text, keys)
	if err != nil {
		if d == nil {
			return err
		}
		var reasons strings.Builder
		for _, s := range d.Skipped {
			fmt.Fprintf(&reasons, "\n%s: %s", s.Key, s.Reason)
		}
		return fmt.Errorf("%w%s", err, strings.Map(visible, reasons.String()))
	}
	if c.JSON {
		return writeJSON(os.Stdout, d)
	}
	fmt.Fprintln(os.Stderr, "UNVERIFIED: encryption does not tell who wrote this; counterfoil token verify verifies a signed token")
	for _, warning := range d.Warnings {
		fmt.Fprintln(os.Stderr, "warning: "+warning)
	}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		_, err = fmt.Println(strings.Map(visible, string(d.Text)))
	} else {
		_, err = os.Stdout.Write(d.Text)
	}
	return err
}

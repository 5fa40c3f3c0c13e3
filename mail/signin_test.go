package mail_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/mail"
)

func (s *hostSession) AuthMechanisms() []string {
	switch {
	case s.password == "":
		return nil
	case s.ways == nil:
		return []string{sasl.Plain}
	}
	return s.ways
}

var errBadCredentials = &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "bad credentials for bob@example.org"}

func (s *hostSession) Auth(way string) (sasl.Server, error) {
	done := func(user string, right bool) error {
		if !right {
			return errBadCredentials
		}
		s.one.user, s.one.way = user, way
		return nil
	}
	if s.auth != nil {
		return s.auth, nil
	}
	plain := func(user, pass string) error { return done(user, pass == s.password) }
	switch way {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, pass string) error { return plain(user, pass) }), nil
	case "LOGIN":
		return &byTurns{turns: []turn{func([]byte) ([]byte, error) { return []byte("Username:"), nil }, func(user []byte) ([]byte, error) {
			s.one.user = string(user)
			return []byte("Password:"), nil
		}, func(pass []byte) ([]byte, error) { return nil, plain(s.one.user, string(pass)) }}}, nil
	case "CRAM-MD5": // RFC 2195
		const challenge = "<1896.697170952@mail.test>"
		return &byTurns{turns: []turn{func([]byte) ([]byte, error) { return []byte(challenge), nil }, func(answer []byte) ([]byte, error) {
			user, digest, _ := strings.Cut(string(answer), " ")
			mac := hmac.New(md5.New, []byte(s.password))
			mac.Write([]byte(challenge))
			return nil, done(user, digest == hex.EncodeToString(mac.Sum(nil)))
		}}}, nil
	case "SCRAM-SHA-256":
		c := &scram{password: s.password, done: done}
		return &byTurns{turns: []turn{func([]byte) ([]byte, error) { return []byte{}, nil }, c.first, c.final, func([]byte) ([]byte, error) { return nil, nil }}}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// turn answers what the client says with a challenge.
type turn func(said []byte) (challenge []byte, err error)

// byTurns is a way to sign in. The first turn is left out if the client begins.
type byTurns struct {
	turns []turn
	n     int
}

func (b *byTurns) Next(said []byte) (challenge []byte, done bool, err error) {
	if b.n == 0 && said != nil {
		b.n++
	}
	challenge, err = b.turns[b.n](said)
	b.n++
	return challenge, err == nil && b.n == len(b.turns), err
}

// scram is the server of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677).
type scram struct {
	password    string
	done        func(user string, right bool) error
	user        string
	nonce, auth string // auth: the two messages before
}

var scramSalt = []byte("salt of the test")

const scramRounds = 4096

func (c *scram) first(said []byte) ([]byte, error) {
	bare, is := strings.CutPrefix(string(said), "n,,")
	user, nonce, both := strings.Cut(bare, ",r=")
	if !is || !both {
		return nil, fmt.Errorf("the first message is %q", said)
	}
	c.user, c.nonce = strings.TrimPrefix(user, "n="), nonce+"of-the-server"
	answer := fmt.Sprintf("r=%s,s=%s,i=%d", c.nonce, base64.StdEncoding.EncodeToString(scramSalt), scramRounds)
	c.auth = bare + "," + answer
	return []byte(answer), nil
}

func (c *scram) final(said []byte) ([]byte, error) {
	without, proof, _ := strings.Cut(string(said), ",p=")
	if without != "c=biws,r="+c.nonce {
		return nil, fmt.Errorf("the last message is %q", said)
	}
	salted, err := pbkdf2.Key(sha256.New, c.password, scramSalt, scramRounds, sha256.Size)
	if err != nil {
		return nil, err
	}
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	c.auth += "," + without
	client := mac(salted, "Client Key")
	stored := sha256.Sum256(client)
	for i, b := range mac(stored[:], c.auth) {
		client[i] ^= b
	}
	if err := c.done(c.user, proof == base64.StdEncoding.EncodeToString(client)); err != nil {
		return nil, err
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), c.auth))), nil
}

// Of the ways to sign in that the server offers, the best is used; by each the right password is taken, and the wrong one is
// an error that shows nothing of it.
func TestWaysToSignIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		offered, used string
	}{
		{"PLAIN", "PLAIN"}, {"LOGIN", "LOGIN"}, {"CRAM-MD5", "CRAM-MD5"}, {"SCRAM-SHA-256", "SCRAM-SHA-256"},
		{"CRAM-MD5 LOGIN PLAIN SCRAM-SHA-256", "SCRAM-SHA-256"}, {"CRAM-MD5 LOGIN PLAIN", "PLAIN"}, {"CRAM-MD5 LOGIN", "LOGIN"}, {"XOAUTH2", ""},
	} {
		for _, how := range []string{"starttls", "tls"} {
			t.Run(how+" "+c.offered, func(t *testing.T) {
				t.Parallel()
				h := newHost(t, how)
				h.password, h.ways = "pass word", strings.Fields(c.offered)
				o := h.options()
				o.URL = map[string]string{"starttls": "smtp", "tls": "smtps"}[how] + "://auth%40example.com@" + h.address
				o.Password = secret.New("pass word")
				steps, at, f := walk(t, sender(t, o))
				got := h.taken()
				switch {
				case c.used == "":
					if f == nil || at != mail.StepSignIn || !strings.Contains(f.Reason, "no way to sign in") {
						t.Errorf("at %s: %+v", at, f)
					}
					return
				case f != nil || len(got) != 1 || got[0].user != "auth@example.com" || got[0].way != c.used || !got[0].tls:
					t.Errorf("%v, %+v: %+v", steps, f, got)
				}
				o.Password = secret.New("wrong")
				_, at, f = walk(t, sender(t, o))
				if f == nil || at != mail.StepSignIn || !strings.Contains(f.Reason, "535") || !f.Unreachable || strings.Contains(f.Error(), "wrong") || len(h.taken()) != 1 {
					t.Errorf("the wrong password: at %s: %+v", at, f)
				}
			})
		}
	}
}

// A server that does not know the password cannot pretend that it does (SCRAM).
func TestServerMustKnowThePassword(t *testing.T) {
	t.Parallel()
	c := &scram{password: "another", done: func(string, bool) error { return nil }}
	h := newHost(t, "starttls")
	h.password, h.ways = "another", []string{"SCRAM-SHA-256"}
	h.auth = &byTurns{turns: []turn{func([]byte) ([]byte, error) { return nil, errors.New("the client begins") }, c.first, c.final, func([]byte) ([]byte, error) { return nil, nil }}}
	o := h.options()
	o.URL, o.Password = "smtp://auth@"+h.address, secret.New("pass word")
	if _, at, f := walk(t, sender(t, o)); f == nil || at != mail.StepSignIn || len(h.taken()) != 0 {
		t.Errorf("at %s: %+v", at, f)
	}
}

package server

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/store"
)

// post makes mails of the messages of package accounts: each kind of them is a template of package mail.
type post struct {
	url  string // of the issuer
	mail *mail.Sender
}

// laneOfStrangers has the mails that go to addresses which nobody has proven: who signs up many of them, or addresses whose
// server is slow, holds up no mail with which a user gets in.
const laneOfStrangers = "unproven"

func (p post) Record(m accounts.Message) (store.Record, error) {
	out := mail.Message{
		Template: string(m.Kind), To: m.To, Language: m.Language, Subject: m.Subject,
		Code: m.Code.Reveal(), Link: accounts.LinkOf(p.url, m).Reveal(), Expires: m.Expires,
	}
	if m.Kind == accounts.MailVerify || m.Kind == accounts.MailTaken {
		out.Lane = laneOfStrangers
	}
	for _, arg := range m.Args {
		switch arg := arg.(type) {
		case time.Time:
			out.Args = append(out.Args, mail.Time(arg))
		case string:
			out.Args = append(out.Args, mail.Text(arg))
		default:
			return store.Record{}, fmt.Errorf("message %s: no words for %T", m.Kind, arg)
		}
	}
	return p.mail.Record(out)
}

func (p post) Wake() { p.mail.Wake() }

// Package mail sends mail to people: codes, links, and what happened to their account.
//
// Begin with [New]. [Sender.Record] makes a record of package outbox from a [Message], for the
// commit that causes the mail; the outbox then sends it, at least once. The ID of an item is in
// the Message-ID, so a mail that came twice is recognised. [Sender.Test] sends one mail now, and
// says step by step how far that went.
//
// Texts are in the folder texts, one file for each language. The connection to the SMTP server is
// encrypted (STARTTLS, or TLS from the first byte) unless Options.InsecurePlaintext says otherwise.
// Nothing that a caller gives becomes a header of its own: an address or a subject with a line
// break is refused.
//
// It receives no mail, and does not know whether a mail that a server took has arrived.
package mail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/counterfoil/counterfoil/internal/catalog"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/mailaddress"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
)

// Kind is the kind of the items of a Sender in the outbox.
const Kind = "mail"

// Brand is whose mails they are.
type Brand struct {
	Name     string           // of the product
	Accent   htmltemplate.CSS // colour of the button, as #rrggbb
	OnAccent htmltemplate.CSS // colour of the text on it
}

// Options of New.
type Options struct {
	// URL of the server that takes the mails: smtp://user@host:587 with STARTTLS, smtps://user@host:465
	// with TLS from the first byte, or log to write them to Logger and send none; see [CheckURL].
	URL      string
	Password secret.String // of the user in URL

	From    string // sender: an address, or a name and <address>; without a name that of Brand
	ReplyTo string // where answers go; empty: to nobody
	Host    string // where the product is, in the footer; empty: the domain of From

	// RootCAs is a file of certificates (PEM) that the server's may be signed by. Empty: those of
	// the system.
	RootCAs string

	// InsecurePlaintext sends mails, with the codes and links in them, and the password without
	// encryption if the server offers none. Everybody on the way can read them.
	InsecurePlaintext bool

	Brand  Brand
	Outbox *outbox.Outbox   // required for Record
	Logger *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
}

// Sender makes mails and sends them. It is safe for concurrent use.
type Sender struct {
	opts    Options
	from    mail.Address
	reply   *mail.Address // nil: none
	tongues []*tongue
	layouts layouts
	to      *smarthost // nil: the log
}

// New checks o. It connects to nothing.
func New(o Options) (*Sender, error) {
	s := &Sender{opts: o}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.Default()
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	s.opts.Brand.Name = cmp.Or(o.Brand.Name, "Counterfoil")
	s.opts.Brand.Accent, s.opts.Brand.OnAccent = cmp.Or(o.Brand.Accent, "#0b5c4a"), cmp.Or(o.Brand.OnAccent, "#ffffff")
	from, err := parseSender(o.From)
	if err != nil {
		return nil, fmt.Errorf("mail: Options.From %w", err)
	}
	s.from = *from
	s.from.Name = cmp.Or(s.from.Name, s.opts.Brand.Name)
	if o.ReplyTo != "" {
		if s.reply, err = parseSender(o.ReplyTo); err != nil {
			return nil, fmt.Errorf("mail: Options.ReplyTo %w", err)
		}
	}
	s.opts.Host = cmp.Or(o.Host, domainOf(s.from.Address))
	for _, code := range languages {
		l, err := readTongue(code)
		if err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		s.tongues = append(s.tongues, l)
	}
	if s.layouts, err = readLayouts(); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	if s.to, err = newSmarthost(&s.opts, s.from.Address); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return s, nil
}

// Message is a mail before it is words.
type Message struct {
	Template string    `json:"template"`           // which texts
	To       string    `json:"to"`                 // one address: ASCII before the @, and any domain
	Language string    `json:"language,omitempty"` // code of a language of the pages; another: English
	Subject  string    `json:"subject,omitempty"`  // whose account it is about; it is not in the mail
	Code     string    `json:"code,omitempty"`     // to be typed somewhere
	Link     string    `json:"link,omitempty"`     // where the button leads: an absolute URL
	Args     []Arg     `json:"args,omitempty"`     // for the places {0}, {1} of the texts
	Lines    []string  `json:"lines,omitempty"`    // paragraphs after those of the texts
	Expires  time.Time `json:"expires,omitzero"`   // of code and link; the mail is of no use after that

	// Lane of the outbox; may be empty. Mails of one lane do not wait for those of another.
	Lane string `json:"-"`
}

const (
	maxLine  = 2_000 // bytes of one text from a caller
	maxLines = 200
)

// check refuses what could not stand in a mail, or would be something else there.
func (m *Message) check() error {
	if _, err := mailaddress.ASCII(m.To); err != nil {
		return fmt.Errorf("Message.To %w", err)
	}
	texts := append([]string{m.Code, m.Link}, m.Lines...)
	for _, a := range m.Args {
		texts = append(texts, a.Text)
	}
	if len(texts) > maxLines {
		return fmt.Errorf("the message has %d texts, and at most %d are sent", len(texts), maxLines)
	}
	for _, text := range texts {
		if len(text) > maxLine || strings.ContainsFunc(text, func(r rune) bool { return check.Harm(r) != "" }) {
			return errors.New("a text of the message cannot be shown, or is too long")
		}
	}
	return nil
}

// Record makes the record of a mail for a commit; see [outbox.Outbox.Record]. It writes the mail once
// to find out whether it can be written.
func (s *Sender) Record(m Message) (store.Record, error) {
	if _, err := s.letter(&m); err != nil {
		return store.Record{}, fmt.Errorf("mail: %w", err)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return store.Record{}, err
	}
	return s.opts.Outbox.Record(outbox.Draft{Kind: Kind, Lane: m.Lane, About: m.Template, Subject: m.Subject, Payload: payload, Expires: m.Expires})
}

// Wake says that a record may have been committed.
func (s *Sender) Wake() { s.opts.Outbox.Wake() }

// letter puts m into words.
func (s *Sender) letter(m *Message) (*letter, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	t := s.tongues[0]
	for _, other := range s.tongues {
		if other.code == m.Language {
			t = other
		}
	}
	named := map[string]string{"brand": s.opts.Brand.Name, "host": s.opts.Host}
	if !m.Expires.IsZero() {
		named["when"] = catalog.Moment(t.texts, m.Expires)
	}
	l := &letter{Language: t.code, Code: m.Code, Link: m.Link, Brand: s.opts.Brand}
	var wrong error
	say := func(key string) string {
		text, err := t.say(key, named, m.Args)
		wrong = errors.Join(wrong, err)
		return text
	}
	optional := func(key string) string {
		if _, ok := t.texts[key]; !ok {
			return ""
		}
		return say(key)
	}
	l.Subject = say(m.Template + ".subject")
	for n := 1; ; n++ {
		key := m.Template + ".text"
		if n > 1 {
			key = fmt.Sprintf("%s.%d", key, n)
		}
		text := optional(key)
		if text == "" {
			break
		}
		l.Paragraphs = append(l.Paragraphs, text)
	}
	l.Paragraphs = append(l.Paragraphs, m.Lines...)
	if m.Code != "" {
		l.CodeLabel = say("mail.code")
	}
	if m.Link != "" {
		l.Button, l.LinkLabel = say(m.Template+".button"), say("mail.link")
	}
	if !m.Expires.IsZero() {
		l.Expires = say("mail.expires")
	}
	l.After = optional(m.Template + ".after")
	if l.Footer = say("mail.footer"); s.reply != nil {
		l.Footer = say("mail.footer-reply")
	}
	return l, wrong
}

// Deliver sends an item of the outbox: outbox.Outbox.Handle takes it.
func (s *Sender) Deliver(ctx context.Context, it outbox.Item) error {
	var m Message
	if err := json.Unmarshal(it.Payload, &m); err != nil {
		return &outbox.Failure{Reason: "the message cannot be read", Permanent: true, Err: err}
	}
	l, err := s.letter(&m)
	if err != nil { // of another version, which has other texts
		return &outbox.Failure{Reason: "the message cannot be written", Err: err}
	}
	return s.send(ctx, l, m.To, it.ID, it.Created, &track{at: StepName})
}

// Test sends a mail to an address now, and tells what has succeeded. An error is about the step at.
func (s *Sender) Test(ctx context.Context, to string, tell func(step Step, says string)) (at Step, err error) {
	now := s.opts.Now()
	l, err := s.letter(&Message{Template: "test", To: to, Args: []Arg{Time(now)}})
	if err != nil {
		return "", err
	}
	t := &track{tell: tell, at: StepName}
	err = s.send(ctx, l, to, "test-"+strings.ToLower(rand.Text()), now, t)
	return t.at, err
}

// Reach connects to the server that takes the mails, and signs in. An error, which is an
// *outbox.Failure, is about the step at.
func (s *Sender) Reach(ctx context.Context) (at Step, err error) {
	if s.to == nil {
		return "", nil
	}
	t := &track{host: s.to.host, at: StepName}
	c, err := s.to.connect(ctx, t)
	if err != nil {
		return t.at, err
	}
	c.quit()
	return t.at, nil
}

// Close ends connections that are kept. Mails that are under way are sent.
func (s *Sender) Close() {
	if s.to != nil {
		s.to.close()
	}
}

// send sends l, as the mail with that id, from that time.
func (s *Sender) send(ctx context.Context, l *letter, to, id string, at time.Time, t *track) error {
	text, html, err := s.layouts.write(l)
	if err != nil {
		return &outbox.Failure{Reason: "the message cannot be written", Err: err}
	}
	if s.to == nil {
		s.opts.Logger.Info("mail, which is not sent: the setting mail is log", "to", to, "subject", l.Subject, "text", text)
		t.reached(StepMail, "the mail is in the log")
		return nil
	}
	wire, err := mailaddress.ASCII(to)
	if err != nil {
		return &outbox.Failure{Reason: "the address is none", Permanent: true, Err: err}
	}
	mail, err := s.compose(wire, l, text, html, id, at)
	if err != nil {
		return &outbox.Failure{Reason: "the message cannot be written", Permanent: true, Err: err}
	}
	t.host, t.to = s.to.host, wire
	return s.to.send(ctx, mail, s.from.Address, wire, t)
}

// compose writes the mail as it goes over the wire. A mail that is sent again is the same.
func (s *Sender) compose(to string, l *letter, text, html, id string, at time.Time) ([]byte, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.FromFormat(s.from.Name, s.from.Address); err != nil {
		return nil, err
	}
	if err := m.To(to); err != nil {
		return nil, err
	}
	if s.reply != nil {
		if err := m.ReplyToFormat(s.reply.Name, s.reply.Address); err != nil {
			return nil, err
		}
	}
	m.Subject(l.Subject)
	m.SetDateWithValue(at)
	m.SetMessageIDWithValue(id + "@" + domainOf(s.from.Address))
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no program answers it
	m.SetGenHeader("X-Auto-Response-Suppress", "All")  // the same for Exchange
	m.SetGenHeader("Content-Language", l.Language)
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	var b bytes.Buffer
	_, err := m.WriteTo(&b)
	return b.Bytes(), err
}

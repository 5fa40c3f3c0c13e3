package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"syscall"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/outbox"
)

// Step is one of the steps in which a mail is sent.
type Step string

// The steps, in their order. One that is not needed is left out.
const (
	StepName      Step = "name" // of the server, in DNS
	StepConnect   Step = "connect"
	StepTLS       Step = "tls"
	StepSignIn    Step = "sign-in"
	StepSender    Step = "sender"
	StepRecipient Step = "recipient"
	StepMail      Step = "mail"
)

var steps = []Step{StepName, StepConnect, StepTLS, StepSignIn, StepSender, StepRecipient, StepMail}

// track follows one mail from step to step.
type track struct {
	host string
	to   string
	at   Step                         // which is under way
	body bool                         // the server may have the mail
	tell func(step Step, says string) // hears what has succeeded; nil: nobody does
}

func (t *track) reached(step Step, says string) {
	for n, s := range steps[:len(steps)-1] {
		if s == step {
			t.at = steps[n+1]
		}
	}
	if t.tell != nil {
		t.tell(step, says)
	}
}

// failure says what err means for the mail and for the outbox. What fails before the server knows the
// recipient is about the server. After that it is about this mail, also if the server ends the
// connection: otherwise one address could hold up the mails for all others.
func (t *track) failure(ctx context.Context, err error) error {
	reason := t.reason(ctx, err)
	f := &outbox.Failure{Reason: string(t.at) + ": " + reason, Err: err}
	answer, answered := errors.AsType[*textproto.Error](err)
	if answered {
		f.Err = errors.New(reason) // the log must not have what the server repeats either (OPS-01)
	}
	switch {
	case t.at == StepSender && answered && aboutSender(answer.Code), answered && (t.at == StepRecipient || t.at == StepMail):
		f.Permanent = answer.Code >= 500
	case t.at != StepRecipient && t.at != StepMail:
		f.Unreachable = true
	}
	return f
}

// aboutSender reports whether an answer is about the address of the sender: 421 ends the service, and 530
// to 538 are about who we are.
func aboutSender(code int) bool { return code != 421 && (code < 530 || code > 538) }

// reason is err in words for operators: without addresses of people, and without what was sent.
func (t *track) reason(ctx context.Context, err error) string {
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Sprintf("the server says %d %s", answer.Code, redact(answer.Msg, t.to))
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		if unknown.IsNotFound {
			return "there is no host " + t.host
		}
		return "the name " + t.host + " was not resolved"
	}
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate of " + t.host + " is not good: " + redact(wrong.Err.Error(), t.to)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server speaks no TLS there: smtps:// is for a port with TLS from the first byte, smtp:// for one with STARTTLS"
	}
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return "the server did not answer in time"
	case errors.Is(err, errNoWay):
		return errNoWay.Error()
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return "the server offers no STARTTLS, and mails are not sent without encryption"
	case strings.Contains(err.Error(), "does not support SMTP AUTH"):
		return errNoWay.Error()
	case t.body:
		return "the connection ended before the server had taken the mail"
	}
	return "the connection ended"
}

var (
	addresses = regexp.MustCompile(`[^\s<>"'(),:;]+@[^\s<>"'(),:;]+`)
	queries   = regexp.MustCompile(`[?#][^\s]*`)
	secrets   = regexp.MustCompile(`[A-Za-z0-9_-]{24,}|[0-9]{6,}`)
)

const maxAnswer = 150

// redact is what a server says, on one line, without addresses and without what may be a code or a part
// of a link: a server may repeat anything of the mail.
func redact(text, to string) string {
	text = check.OneLine(text)
	local, _, _ := strings.Cut(to, "@")
	text = addresses.ReplaceAllString(text, "[address]")
	if len(local) > 1 {
		text = regexp.MustCompile(`(?i)\b`+regexp.QuoteMeta(local)+`\b`).ReplaceAllString(text, "[address]")
	}
	text = queries.ReplaceAllString(text, "?…")
	text = secrets.ReplaceAllString(text, "…")
	return check.Clip(strings.Join(strings.Fields(text), " "), maxAnswer)
}

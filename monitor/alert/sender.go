// Package alert tells people of events of a monitor: by webhook, by a message to a chat, or by mail.
// [Sender] sends one event to one channel, once. [New] makes a queue in memory, which tries again: it
// is for a program without a store. With a store, package monitor/kept does that.
//
// The package decides nothing about what is an event. It sends no credential except for those of the
// channel, and it reads nothing of an answer but its status.
package alert

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/monitor"
)

// Sender sends an event to a channel. Post is required.
type Sender struct {
	// Post sends a request to a target that an operator named: [outward.Client.Send].
	Post func(*http.Request) (outward.Answer, error)

	// Mail sends a mail to one address. id is the same for the same mail. nil: channels of the kind
	// mail do not work.
	Mail func(ctx context.Context, id, to, language, subject string, lines []string) error

	Source string           // names this monitor in what it sends; may be empty
	Page   func() string    // URL of the status page, or empty; nil: there is none
	Now    func() time.Time // for the timestamp of a webhook; nil: time.Now
}

func (s *Sender) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Sender) page() string {
	if s.Page == nil {
		return ""
	}
	return s.Page()
}

// Failure is the error of [Sender.Send]. It names no URL.
type Failure = retry.Failure

// Send tells c of e. An error is a [*Failure].
func (s *Sender) Send(ctx context.Context, c monitor.Channel, e monitor.Event) error {
	if c.Kind == monitor.Mail {
		return s.mail(ctx, c, e)
	}
	r, err := s.request(ctx, c, e)
	if err != nil {
		return &Failure{Reason: err.Error(), Permanent: true}
	}
	answer, err := s.Post(r)
	switch {
	case err != nil:
		return &Failure{Reason: err.Error(), Unreachable: true}
	case answer.OK():
		return nil
	case answer.Status == http.StatusGone: // Standard Webhooks: the receiver wants nothing any more
		return &Failure{Reason: "it answered 410: it wants no more", Permanent: true}
	}
	return &Failure{
		Reason: answered(answer).Error(), After: answer.RetryAfter,
		Unreachable: answer.Status == http.StatusTooManyRequests || answer.Status >= 500,
	}
}

// Test tells c that this is a test. An error is a [*Failure].
func (s *Sender) Test(ctx context.Context, c monitor.Channel) error {
	return s.Send(ctx, c, monitor.Event{ID: "test-" + rand.Text(), Kind: testKind, At: s.now()})
}

func (s *Sender) mail(ctx context.Context, c monitor.Channel, e monitor.Event) error {
	if s.Mail == nil {
		return &Failure{Reason: "this program sends no mail", Permanent: true}
	}
	subject, text := s.MailText(e)
	var all []string
	for _, to := range c.To {
		if err := s.Mail(ctx, e.ID, to, c.Language, subject, text); err != nil {
			all = append(all, err.Error())
		}
	}
	if all == nil {
		return nil
	}
	return &Failure{Reason: strings.Join(all, "; ")}
}

// MailText is e as a mail: the subject and the paragraphs.
func (s *Sender) MailText(e monitor.Event) (subject string, paragraphs []string) {
	paragraphs = append(lines(e), from(s.Source)...)
	if page := s.page(); page != "" {
		paragraphs = append(paragraphs, "Status page: "+page)
	}
	return headline(e), paragraphs
}

func answered(a outward.Answer) error { return fmt.Errorf("it answered %d", a.Status) }

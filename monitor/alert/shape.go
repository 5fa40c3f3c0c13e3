package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

const userAgent = "Counterfoil-Monitor"

var errNoURL = errors.New("its URL cannot be read")

// body is the JSON of a webhook: the frame of Standard Webhooks around what happened.
type body struct {
	Type      string    `json:"type"` // "monitor." and the kind of the event
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	monitor.Event
	Source string `json:"source,omitempty"` // who sends
	Text   string `json:"text"`             // for people
	Page   string `json:"page,omitempty"`   // status page
}

// request makes the request that tells c of e.
func (s *Sender) request(ctx context.Context, c monitor.Channel, e monitor.Event) (*http.Request, error) {
	to, header, content := c.URL.Reveal(), http.Header{}, any(nil)
	switch c.Kind {
	case monitor.Webhook:
		e.Channels = nil
		content = body{"monitor." + string(e.Kind), e.At.UTC(), data{e, s.Source, headline(e) + ". " + strings.Join(lines(e), " "), s.page()}}
	case monitor.Slack:
		content = map[string]any{"text": slackText(e, s.Source, s.page())}
	case monitor.Ntfy:
		u, err := url.Parse(to)
		if err != nil {
			return nil, errNoURL
		}
		topic := path.Base(u.Path)
		u.Path = strings.TrimSuffix(u.Path, topic)
		to = u.String()
		if token := c.Token.Reveal(); token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		content = ntfy{topic, headline(e), strings.Join(append(lines(e), from(s.Source)...), "\n"), priority(e), []string{tag(e)}, s.page()}
	default:
		return nil, errors.New("channels of the kind " + string(c.Kind) + " get no request")
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(text))
	if err != nil {
		return nil, errNoURL
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	if c.Kind != monitor.Webhook {
		return r, nil
	}
	keys := make([][]byte, 0, len(c.Secrets))
	for _, secret := range c.Secrets {
		key, err := monitor.WebhookKey(secret.Reveal())
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	at := s.now()
	r.Header.Set("Webhook-Id", e.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("Webhook-Signature", sign(keys, e.ID, at, text))
	return r, nil
}

func from(source string) []string {
	if source == "" {
		return nil
	}
	return []string{"From: " + source}
}

// slackText is e in the mark-up of Slack, in which three characters are escaped. A failure may have
// what a target answered, so nothing in it may become a link or call a group.
func slackText(e monitor.Event, source, page string) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
	text := "*" + escape(strings.ReplaceAll(headline(e), "*", "")) + "*\n" + escape(strings.Join(append(lines(e), from(source)...), "\n"))
	if page != "" {
		text += "\n<" + escape(page) + "|Status page>"
	}
	return text
}

// ntfy is a message as ntfy takes it in JSON.
type ntfy struct {
	Topic    string   `json:"topic"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"` // 1 to 5
	Tags     []string `json:"tags"`
	Click    string   `json:"click,omitempty"`
}

func priority(e monitor.Event) int {
	switch {
	case e.Critical && e.Kind != monitor.WentUp:
		return 5
	case e.Kind == monitor.WentDown, e.Kind == monitor.Flaps, e.Kind == monitor.Reminder, e.Kind == monitor.Expiring:
		return 4
	}
	return 3
}

// tag is a short code that ntfy shows as a picture.
func tag(e monitor.Event) string {
	switch e.Kind {
	case monitor.WentDown, monitor.Reminder:
		return "rotating_light"
	case monitor.WentUp:
		return "white_check_mark"
	case monitor.Flaps, monitor.Expiring:
		return "warning"
	case monitor.MaintenanceBegan, monitor.MaintenanceEnded:
		return "construction"
	}
	return "information_source"
}

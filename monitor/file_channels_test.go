package monitor_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/monitor"
)

const (
	firstSecret  = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	secondSecret = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
)

func TestParseChannels(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "hook.secret", firstSecret+"\n")
	write(t, dir, "next.secret", secondSecret+"\n")
	write(t, dir, "slack.url", "https://hooks.slack.example/services/canary\n")
	write(t, dir, "ntfy.token", "tk_canary\n")
	write(t, dir, "beat.url", "https://beat.example/canary\n")
	f, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte(`
checks:
  - {name: shop, http: 'https://shop.example.com/', channels: [ops, chat]}
channels:
  - {name: ops, webhook: 'https://hooks.example.com/in', secret_file: [hook.secret, next.secret]}
  - {name: chat, slack_file: slack.url, only: [down, up]}
  - {name: phone, ntfy: 'https://ntfy.example/topic', token_file: ntfy.token}
  - {name: people, mail: [ops@example.com, dev@example.com], language: de}
status: {title: Example}
heartbeat_url_file: beat.url
`))
	if err != nil {
		t.Fatal(err)
	}
	ops, chat, phone, people := f.Channels[0], f.Channels[1], f.Channels[2], f.Channels[3]
	if ops.Kind != monitor.Webhook || ops.URL.Reveal() != "https://hooks.example.com/in" || len(ops.Secrets) != 2 || ops.Secrets[1].Reveal() != secondSecret {
		t.Errorf("%+v", ops)
	}
	if chat.Kind != monitor.Slack || !strings.HasSuffix(chat.URL.Reveal(), "/canary") || !slices.Equal(chat.Only, []monitor.EventKind{monitor.WentDown, monitor.WentUp}) {
		t.Errorf("%+v", chat)
	}
	if phone.Kind != monitor.Ntfy || phone.Token.Reveal() != "tk_canary" || people.Kind != monitor.Mail || len(people.To) != 2 || people.Language != "de" {
		t.Errorf("%+v %+v", phone, people)
	}
	if f.Status == nil || f.Status.Title != "Example" || f.Heartbeat.Reveal() != "https://beat.example/canary" {
		t.Errorf("%+v", f)
	}
	for _, test := range []struct {
		channel monitor.Channel
		event   monitor.Event
		wants   bool
	}{
		{ops, monitor.Event{Kind: monitor.Reminder}, true},
		{ops, monitor.Event{Kind: monitor.WentDown, Channels: []string{"chat"}}, false},
		{chat, monitor.Event{Kind: monitor.Reminder}, false},
		{chat, monitor.Event{Kind: monitor.WentUp, Channels: []string{"ops", "chat"}}, true},
	} {
		if got := test.channel.Wants(test.event); got != test.wants {
			t.Errorf("%s wants %+v: %v", test.channel.Name, test.event, got)
		}
	}
}

func TestWebhookKey(t *testing.T) {
	if key, err := monitor.WebhookKey(firstSecret + "\n"); err != nil || len(key) != 32 {
		t.Errorf("%d bytes, %v", len(key), err)
	}
	for _, text := range []string{"", "whsec_", "whsec_AAAA", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "whsec_%%%"} {
		if _, err := monitor.WebhookKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) && text != "whsec_" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What a channel cannot be is refused, and no secret is in the problem.
func TestParseBadChannels(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "hook.secret", firstSecret+"\n")
	write(t, dir, "bad.secret", "whsec_canary\n")
	write(t, dir, "bad.url", "ftp://hooks.example/canary\n")
	write(t, dir, "user.url", "https://u:canary@hooks.example/\n")
	write(t, dir, "good.url", "https://hooks.example/canary\n")
	for text, want := range map[string]string{
		`{webhook: 'https://a.example/', secret_file: hook.secret}`: "no name",
		`{name: a}`: "no target",
		`{name: a, webhook: 'https://a.example/'}`:                                                       "no secret_file",
		`{name: a, webhook: 'https://a.example/', secret_file: bad.secret}`:                              "no secret of a webhook",
		`{name: a, webhook: 'https://a.example/', secret_file: [hook.secret, hook.secret, hook.secret]}`: "more than two",
		`{name: a, webhook: 'http://2130706433/', secret_file: hook.secret}`:                             "cannot be used",
		`{name: a, webhook_file: bad.url, secret_file: hook.secret}`:                                     "cannot be used",
		`{name: a, slack_file: user.url}`:                                                                "cannot be used",
		`{name: a, slack_file: good.url, secret_file: hook.secret}`:                                      "is for a webhook",
		`{name: a, slack_file: good.url, mail: [a@example.com]}`:                                         "one target",
		`{name: a, slack_file: good.url, language: de}`:                                                  "is for mail",
		`{name: a, slack_file: good.url, token_file: hook.secret}`:                                       "is for ntfy",
		`{name: a, slack_file: good.url, only: [donw]}`:                                                  "no kind of event",
		`{name: a, ntfy: 'https://ntfy.example/'}`:                                                       "URL of a topic",
		`{name: a, ntfy: 'https://ntfy.example/a/b'}`:                                                    "URL of a topic",
		`{name: a, mail: ['A <a@example.com>']}`:                                                         "no mail address",
		`{name: a, mail: ['a@[192.0.2.1]']}`:                                                             "no mail address",
		`{name: a, mail: [a@ab--c.example]}`:                                                             "no mail address",
		`{name: a, slack: 'https://hooks.example/'}`:                                                     "no member",
		`{name: other, slack_file: good.url}`:                                                            `names the channel "a"`,
		"{name: a, slack_file: good.url}\n  - {name: a, slack_file: good.url}":                           "two channels",
		"{name: a, slack_file: good.url}\nheartbeat_url_file: bad.url":                                   "cannot be used",
		"{name: a, slack_file: good.url}\nstatus: {titel: x}":                                            "did you mean title?",
	} {
		_, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte("checks: [{name: shop, tcp: 'shop.example.com:1', channels: [a]}]\nchannels:\n  - "+text+"\n"))
		bad, is := errors.AsType[config.Invalid](err)
		if !is || !strings.Contains(bad.Error(), want) || strings.Contains(bad.Error(), "canary") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

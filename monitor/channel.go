package monitor

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// ChannelKind is the form in which a channel gets events.
type ChannelKind string

// The kinds of channels.
const (
	Webhook ChannelKind = "webhook" // JSON, signed as Standard Webhooks says
	Slack   ChannelKind = "slack"   // an incoming webhook of Slack, Mattermost or another chat
	Ntfy    ChannelKind = "ntfy"    // a topic of ntfy
	Mail    ChannelKind = "mail"
)

// Channel is where people are told of events.
type Channel struct {
	Name     string // unique in a file, as the name of a check
	Kind     ChannelKind
	URL      secret.String   // webhook, slack, ntfy; that of slack is a secret
	Secrets  []secret.String // webhook: one, or two while one replaces the other
	Token    secret.String   // ntfy: an access token; may be empty
	To       []string        // mail: addresses
	Language string          // mail: of the frame around the text; empty: English
	Only     []EventKind     // nil: all kinds of events
}

// WebhookKey returns the key in a secret of a webhook, as Standard Webhooks writes it. The error does not
// have the secret.
func WebhookKey(secret string) ([]byte, error) {
	encoded, found := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("a secret of a webhook is whsec_ and 24 to 64 bytes in base64")
	}
	return key, nil
}

// Wants reports whether the channel gets e.
func (c Channel) Wants(e Event) bool {
	return (e.Channels == nil || slices.Contains(e.Channels, c.Name)) && (c.Only == nil || slices.Contains(c.Only, e.Kind))
}

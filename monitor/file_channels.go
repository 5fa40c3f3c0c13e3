package monitor

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/mailaddress"
	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/secret"
)

// StatusPage is what the file says of the public status page.
type StatusPage struct {
	Title string // of the page; empty: the name of the brand
}

// MaxChannels is how many channels a file has: the API answers them whole.
const MaxChannels = 100

// eventKinds are what only may name.
var eventKinds = []EventKind{WentDown, WentUp, Flaps, Reminder, Expiring, MaintenanceBegan, MaintenanceEnded}

// channel reads an item of channels.
func (r *reader) channel(n *yaml.Node, f *File) {
	c := Channel{}
	to := func(kind ChannelKind, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) {
			if c.Kind != "" {
				r.refuse(n, "a channel has one target: webhook, slack_file, ntfy or mail", "")
			}
			c.Kind = kind
			read(n)
		}
	}
	plain := func(n *yaml.Node) { c.URL = r.channelURL(n, r.text(n)) }
	hidden := func(n *yaml.Node) { c.URL = r.channelURL(n, r.secret(n).Reveal()) }
	r.mapping(n, "a channel", map[string]func(*yaml.Node){
		"name":         func(n *yaml.Node) { c.Name = r.name(n) },
		"webhook":      to(Webhook, plain),
		"webhook_file": to(Webhook, hidden),
		"secret_file":  func(n *yaml.Node) { c.Secrets = r.secrets(n) },
		"slack_file":   to(Slack, hidden),
		"ntfy":         to(Ntfy, plain),
		"ntfy_file":    to(Ntfy, hidden),
		"token_file":   func(n *yaml.Node) { c.Token = r.secret(n) },
		"mail":         to(Mail, func(n *yaml.Node) { c.To = r.addresses(n) }),
		"language":     func(n *yaml.Node) { c.Language = r.text(n) },
		"only":         func(n *yaml.Node) { c.Only = r.events(n) },
	})
	named := "channel " + c.Name
	switch topic := strings.Trim(pathOf(c.URL), "/"); {
	case c.Name == "":
		r.refuse(n, "the channel has no name", "")
	case c.Kind == "":
		r.refuse(n, named+" has no target", "webhook, slack_file, ntfy or mail")
	case c.Kind == Webhook && len(c.Secrets) == 0:
		r.refuse(n, named+" has no secret_file", "the receiver must be able to tell who sends: docs/monitor.md")
	case c.Kind != Webhook && c.Secrets != nil:
		r.refuse(n, named+": secret_file is for a webhook", "")
	case c.Kind != Ntfy && c.Token.Reveal() != "":
		r.refuse(n, named+": token_file is for ntfy", "")
	case c.Kind != Mail && c.Language != "":
		r.refuse(n, named+": language is for mail", "")
	case c.Kind == Ntfy && c.URL.Reveal() != "" && (topic == "" || strings.Contains(topic, "/")):
		r.refuse(n, named+": want the URL of a topic", "https://ntfy.example.com/topic")
	}
	if _, twice := f.Channel(c.Name); twice && c.Name != "" {
		r.refuse(n, "there are two channels with the name "+c.Name, "")
	}
	if f.Channels = append(f.Channels, c); len(f.Channels) == MaxChannels+1 {
		r.refuse(n, fmt.Sprintf("a file has at most %d channels", MaxChannels), "")
	}
}

func pathOf(target secret.String) string {
	u, err := url.Parse(target.Reveal())
	if err != nil {
		return ""
	}
	return u.Path
}

// channelURL is the URL of a channel. No problem shows it: it may be a secret.
func (r *reader) channelURL(n *yaml.Node, text string) secret.String {
	if text == "" {
		return secret.String{} // refused already
	}
	if err := outward.CheckURL(text); err != nil {
		r.refuse(n, "the URL of the target cannot be used: "+err.Error(), "")
		return secret.String{}
	}
	return secret.New(text)
}

// secrets are one or two, each in a file of its own. Both sign: a receiver that knows one of them
// accepts.
func (r *reader) secrets(n *yaml.Node) (all []secret.String) {
	files := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		files = n.Content
	}
	for _, file := range files {
		s := r.secret(file)
		if s.Reveal() == "" {
			continue // refused already
		}
		if _, err := WebhookKey(s.Reveal()); err != nil {
			r.refuse(file, "names a file that has no secret of a webhook", `whsec_ and 24 to 64 random bytes in base64: echo "whsec_$(head -c 32 /dev/urandom | base64 -w 0)"`)
			continue
		}
		all = append(all, s)
	}
	if len(all) > 2 {
		r.refuse(n, "names more than two secrets", "a second one is for the time in which the receiver changes to it")
	}
	return all
}

func (r *reader) addresses(n *yaml.Node) (all []string) {
	for _, text := range r.texts(n) {
		if _, err := mailaddress.ASCII(text); err != nil {
			r.refuse(n, fmt.Sprintf("%q is no mail address", text), "")
			return nil
		}
		all = append(all, text)
	}
	return all
}

func (r *reader) events(n *yaml.Node) (all []EventKind) {
	for _, text := range r.texts(n) {
		if !slices.Contains(eventKinds, EventKind(text)) {
			var names []string
			for _, kind := range eventKinds {
				names = append(names, string(kind))
			}
			r.refuse(n, fmt.Sprintf("%q is no kind of event", text), "they are "+strings.Join(names, ", "))
			return nil
		}
		all = append(all, EventKind(text))
	}
	return all
}

// statusPage reads what the file says of the status page. That it says anything opens the page.
func (r *reader) statusPage(n *yaml.Node, f *File) {
	f.Status = &StatusPage{}
	r.mapping(n, "status", map[string]func(*yaml.Node){
		"title": func(n *yaml.Node) { f.Status.Title = r.text(n) },
	})
}

// channelReferences refuses names of channels that there are not.
func (r *reader) channelReferences(n *yaml.Node, f *File) {
	var names []string
	for _, c := range f.Channels {
		names = append(names, c.Name)
	}
	for _, c := range f.Checks {
		for _, name := range c.Channels {
			if !slices.Contains(names, name) {
				r.refuse(n, fmt.Sprintf("check %s names the channel %q, which there is not", c.Name, name), closest(name, names))
			}
		}
	}
}

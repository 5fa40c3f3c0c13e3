package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
	"github.com/counterfoil/counterfoil/monitor/journey"
	"github.com/counterfoil/counterfoil/monitor/kept"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// alertKind is the kind of the items of the outbox that tell people of an event.
const alertKind = "alert"

// watching is the monitor inside a server: one node at a time runs its checks, and all show what it
// found.
type watching struct {
	*monitor.Monitor
	keeper *kept.Keeper
	client *outward.Client
	sender *alert.Sender
	queue  *alert.Queue // for the time in which the store is away
	outbox *outbox.Outbox
	mail   *mail.Sender // nil: no mail is sent
	trail  *audit.Trail
	log    *slog.Logger
}

// alertItem is what the outbox keeps of an alert.
type alertItem struct {
	Channel string        `json:"channel"`
	Event   monitor.Event `json:"event"`
}

// openMonitor makes the monitor of Config.Monitor.
func (e *Embedded) openMonitor() error {
	c := &e.config
	if c.Monitor == nil {
		return nil
	}
	m := &watching{outbox: e.outbox, mail: e.mail, trail: e.trail, log: c.Logger}
	if err := m.suits(c.Monitor); err != nil {
		return err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	if m.client, err = outward.New(outward.Options{}); err != nil {
		return err
	}
	m.sender = &alert.Sender{
		Post: m.client.Send, Source: u.Host, Now: e.time.Now,
		Page: func() string {
			if m.File().Status == nil {
				return ""
			}
			return c.URL + statusPath
		},
	}
	if e.mail != nil {
		m.sender.Mail = m.mailNow
	}
	m.queue = alert.New(m.sender, c.Monitor.Channels, c.Logger)
	node, _ := os.Hostname() // for people
	m.keeper, err = kept.New(kept.Options{
		Store: c.Store, Audit: e.trail, Node: node, Now: e.time.Now, Logger: c.Logger,
		Alerts: m.alerts, Wake: e.outbox.Wake, Direct: m.queue.Send, Withdraw: m.queue.Withdraw,
	})
	if err != nil {
		return err
	}
	m.Monitor, err = monitor.New(c.Monitor, monitor.Options{
		Keeper: m.keeper, Logger: c.Logger, Ran: c.Ran, Now: c.Now, Dial: m.client.DialContext, Allow: m.client.SetAllow,
		Probes: map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error){monitor.Journey: journey.Probe(m.client.DialContext)},
	})
	if err != nil {
		return err
	}
	e.outbox.HandleLanes(alertKind, m.reaches, m.deliver)
	e.watching = m
	return nil
}

// ErrNoMonitor means that the server has none: it was opened without Config.Monitor.
var ErrNoMonitor = errors.New("this server has no monitor")

// SetMonitor replaces the checks, the channels and the status page. States go on. After an error
// nothing has changed.
func (e *Embedded) SetMonitor(file *monitor.File) error {
	m := e.watching
	if m == nil {
		return ErrNoMonitor
	}
	if err := m.suits(file); err != nil {
		return err
	}
	if err := m.Set(file); err != nil {
		return err
	}
	m.queue.Set(file.Channels)
	m.outbox.Wake() // it may reach channels now that it did not know
	return nil
}

// Monitor watches endpoints. It is nil without Config.Monitor.
func (e *Embedded) Monitor() *monitor.Monitor {
	if e.watching == nil {
		return nil
	}
	return e.watching.Monitor
}

// MonitorLost is how many hours of single results, and days of five-minute parts, this node has dropped while
// the store was away.
func (e *Embedded) MonitorLost() uint64 {
	if e.watching == nil {
		return 0
	}
	return e.watching.keeper.Lost()
}

// Watched returns the checks with what the store has of them, which is the same at each node. Monitor
// alone knows the states where the checks run.
func (e *Embedded) Watched(ctx context.Context) ([]monitor.Shown, error) {
	if e.watching == nil {
		return nil, ErrNoMonitor
	}
	shown := e.watching.Shown()
	for page := range slices.Chunk(shown, maxPage) {
		if _, err := e.watching.fill(ctx, page); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// fill gives checks the states and the mutes that the store has, and returns the board that has these.
func (m *watching) fill(ctx context.Context, shown []monitor.Shown) (kept.Board, error) {
	names := make([]string, len(shown))
	for n, c := range shown {
		names[n] = c.Check.Name
	}
	board, err := m.keeper.Board(ctx, names)
	for n := range shown {
		line := board.Checks[names[n]]
		shown[n].State, shown[n].Mute = line.State, line.Mute
	}
	return board, err
}

// suits refuses a file that this server cannot do.
func (m *watching) suits(file *monitor.File) error {
	if len(file.Channels) > monitor.MaxChannels {
		return fmt.Errorf("the file has %d channels, and at most %d are possible", len(file.Channels), monitor.MaxChannels)
	}
	for _, c := range file.Channels {
		if c.Kind == monitor.Mail && m.mail == nil {
			return fmt.Errorf("channel %s is a mail, and this server sends none: set mail and mail_from", c.Name)
		}
	}
	return nil
}

// run takes part in leading until ctx ends.
func (m *watching) run(ctx context.Context) {
	m.keeper.Lead(ctx, func(ctx context.Context) error {
		beating, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.sender.Beat(beating, m.Monitor, m.log)
		}()
		defer func() { stop(); <-done }()
		return m.Run(ctx)
	})
	m.queue.Close()
}

// alerts are the records that tell people of e. One that cannot be made must not keep the others, and
// the state of the check, from being kept: it is in the log.
func (m *watching) alerts(e monitor.Event) (all []store.Record, err error) {
	for _, c := range m.File().Channels {
		if !c.Wants(e) {
			continue
		}
		made, err := m.alert(c, e)
		if err != nil {
			m.log.Error("an alert cannot be written", "channel", c.Name, "event", e.ID, "error", err.Error())
		}
		all = append(all, made...)
	}
	return all, nil
}

func (m *watching) alert(c monitor.Channel, e monitor.Event) (all []store.Record, err error) {
	if c.Kind != monitor.Mail {
		payload, err := json.Marshal(alertItem{c.Name, e})
		if err != nil {
			return nil, err
		}
		rec, err := m.outbox.Record(outbox.Draft{Kind: alertKind, Lane: c.Name, About: string(e.Kind) + " " + e.Check + e.Maintenance, Payload: payload})
		if err != nil {
			return nil, err
		}
		return []store.Record{rec}, nil
	}
	if m.mail == nil {
		return nil, errors.New("this server sends no mail")
	}
	subject, lines := m.sender.MailText(e)
	for _, to := range c.To {
		rec, err := m.mail.Record(notice(to, c.Language, subject, lines))
		if err != nil {
			return all, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// notice is an alert as a mail.
func notice(to, language, subject string, lines []string) mail.Message {
	return mail.Message{Template: "notice", To: to, Language: language, Args: []mail.Arg{mail.Text(subject)}, Lines: lines, Lane: "alert"}
}

// mailNow sends an alert by mail past the outbox, which is in the store that is away.
func (m *watching) mailNow(ctx context.Context, id, to, language, subject string, lines []string) error {
	payload, err := json.Marshal(notice(to, language, subject, lines))
	if err != nil {
		return err
	}
	err = m.mail.Deliver(ctx, outbox.Item{ID: id, Created: m.sender.Now(), Payload: payload})
	if f, is := errors.AsType[*outbox.Failure](err); is {
		return errors.New(f.Reason) // without what the server said, which may name the person
	}
	return err
}

// reaches reports whether the outbox of this node delivers to a channel. An alert for another one, of a node
// with another file, waits for that node.
func (m *watching) reaches(name string) bool {
	c, found := m.File().Channel(name)
	return found && c.Kind != monitor.Mail
}

// deliver sends an alert that the outbox has kept.
func (m *watching) deliver(ctx context.Context, it outbox.Item) error {
	var a alertItem
	if err := json.Unmarshal(it.Payload, &a); err != nil {
		return &outbox.Failure{Reason: "the alert cannot be read", Permanent: true, Err: err}
	}
	c, found := m.File().Channel(a.Channel)
	if !found || c.Kind == monitor.Mail {
		return &outbox.Failure{Reason: "the file of the monitor has no such channel any more", Unreachable: true}
	}
	return m.sender.Send(ctx, c, a.Event)
}

// errNoChannel means that the file of the monitor has no channel of that name.
var errNoChannel = &source.Problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found", Detail: "there is no such channel"}

// test sends a test to a channel, past the outbox, and returns why it did not arrive; empty: it did. who must have
// the right Write. The audit trail has it before it is sent.
func (m *watching) test(ctx context.Context, who rights.Actor, name string, act audit.Act) (failed string, err error) {
	if err := who.Need(rights.Write); err != nil {
		return "", err
	}
	c, found := m.File().Channel(name)
	if !found {
		return "", errNoChannel
	}
	note := act.Entry(audit.TestChannel, "")
	note.Target = name
	if err := m.trail.Keep(ctx, note); err != nil {
		return "", err
	}
	if c.Kind != monitor.Mail {
		if err := m.sender.Test(ctx, c); err != nil {
			return err.Error(), nil
		}
		return "", nil
	}
	for _, to := range c.To {
		_, err := m.mail.Test(ctx, to, func(mail.Step, string) {})
		if f, is := errors.AsType[*outbox.Failure](err); is {
			return f.Reason, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", nil
}

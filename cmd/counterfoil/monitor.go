package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
	_ "time/tzdata" // an image without files knows the zones of maintenances too

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
	"github.com/counterfoil/counterfoil/monitor/journey"
)

// monitorPlace names the checks of a program that runs some.
type monitorPlace struct {
	Monitor       string `name:"monitor" type:"path" placeholder:"FILE" help:"File of checks (YAML, docs/monitor.md): this program watches endpoints. SIGHUP reads it again. Empty: it watches none."`
	MonitorSocket string `name:"monitor-socket" type:"path" placeholder:"PATH" help:"Unix socket at which monitor list and monitor mute ask this program. Empty: counterfoil-monitor.sock in the folder of the file."`
}

// socket is the path of the socket.
func (c *monitorPlace) socket() string {
	return cmp.Or(c.MonitorSocket, filepath.Join(filepath.Dir(c.Monitor), "counterfoil-monitor.sock"))
}

// file reads the file; nil: this program watches nothing.
func (c *monitorPlace) file() (*monitor.File, error) {
	if c.Monitor == "" {
		return nil, nil
	}
	return monitor.Read(c.Monitor)
}

// monitorSettings is every setting of a monitor that is a program of its own.
type monitorSettings struct {
	monitorPlace `defaults:"monitor=monitor.yaml"`
	ops.Settings `defaults:"listen=127.0.0.1:8086 ops_listen=127.0.0.1:9466"` // a server and a gateway on the same machine have the others
}

func (c *monitorSettings) loader() *config.Settings {
	return config.New(c, config.Options{
		Prefix: envPrefix, Hint: "counterfoil monitor --help lists all settings", Kinds: ops.Kinds(),
		Others: append(variables(new(settings), settingKinds()), variables(new(gatewaySettings), gatewayKinds())...),
	})
}

func (c *monitorSettings) check(where config.Origins) *config.Verdict {
	v := c.loader().Check(where)
	if len(v.Problems) > 0 {
		return v
	}
	if c.Monitor == "" {
		v.Refuse("monitor", "is empty", "name the file of the checks")
	}
	c.Settings.Check(v)
	return v
}

type monitorCommand struct {
	Run   monitorRun   `cmd:"" default:"withargs" help:"Run the checks of a file; the default."`
	Check monitorCheck `cmd:"" help:"Print what is wrong with a file of checks."`
	List  monitorList  `cmd:"" help:"List the checks of a program that runs, and what each is."`
	Mute  monitorMute  `cmd:"" help:"Tell nobody of a check for a while."`

	Results monitorResults `cmd:"" help:"Print the history of a check of the server's monitor."`
	Alert   struct {
		Test alertTest `cmd:"" help:"Send a test to a channel, and print whether it arrived."`
	} `cmd:"" help:"Channels: where people are told."`
	Incident struct {
		List     incidentList     `cmd:"" help:"List incidents, newest first."`
		Announce incidentAnnounce `cmd:"" help:"Announce an incident that no check has found."`
		Note     incidentNote     `cmd:"" help:"Add a note to an incident."`
		End      incidentEnd      `cmd:"" help:"Say that an incident is over."`
	} `cmd:"" help:"Incidents of the server's monitor, as its status page shows them."`
}

type monitorRun struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	Once       bool   `help:"Run each check once, print the results, and fail if one of them did."`
	JSON       bool   `help:"With --once: print JSON."`
	monitorSettings
}

// Run watches until a signal arrives.
func (c *monitorRun) Run(ctx context.Context, flags given) error {
	v, err := loadChecked(&c.monitorSettings, c.ConfigFile, flags)
	if err != nil {
		return err
	}
	if c.JSON && !c.Once {
		return usageError("--json is for --once")
	}
	file, err := monitor.Read(c.Monitor)
	if err != nil {
		return err
	}
	if c.Once {
		return runChecksOnce(ctx, file, c.JSON)
	}
	log, lines := startLog(c.Level(), v.Warnings)
	defer lines.Close()
	metrics := programMetrics(lines.Dropped)
	w, err := newWatching(c.monitorPlace, file, metrics, log)
	if err != nil {
		return err
	}
	defer surviveSignals(w.again)()
	web, err := ops.Listen(ops.Options{
		Settings: &c.Settings, Metrics: metrics, Logger: log, NotifySocket: os.Getenv("NOTIFY_SOCKET"),
		Quiet: []string{pushPattern, "GET " + pushPath},
	})
	if err != nil {
		return err
	}
	defer web.Close()
	web.Handle(w.handler(), nil)
	w.serve(ctx, web)
	return web.Run(ctx, func() error {
		log.Info("listening", "address", web.Addr().String(), "checks", len(file.Checks))
		return nil
	})
}

// watching is a monitor that runs in this process, and tells people itself.
type watching struct {
	monitorSocket
	sender *alert.Sender
	queue  *alert.Queue
}

// newWatching returns a monitor that keeps its state in memory.
func newWatching(place monitorPlace, file *monitor.File, metrics *ops.Metrics, log *slog.Logger) (*watching, error) {
	w := &watching{monitorSocket: monitorSocket{place: place, log: log}}
	if err := w.suits(file); err != nil {
		return nil, err
	}
	client, err := outward.New(outward.Options{})
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	w.sender = &alert.Sender{Post: client.Send, Source: host}
	w.queue = alert.New(w.sender, file.Channels, log)
	figures := newMonitorMetrics(metrics.Registry)
	w.Monitor, err = newMonitor(file, client, monitor.Options{Keeper: &monitor.Memory{Send: w.queue.Send}, Ran: figures.ran, Logger: log})
	if err != nil {
		return nil, err
	}
	return w, figures.show(w.Monitor)
}

// suits refuses what needs a server.
func (w *watching) suits(file *monitor.File) error {
	for _, c := range file.Channels {
		if c.Kind == monitor.Mail {
			return config.Invalid{{Where: w.place.Monitor, Problem: "channel " + c.Name + " is mail, which only counterfoil serve can send", Hint: "let counterfoil serve run the checks, or name another kind of channel"}}
		}
	}
	return nil
}

// again reads the file again. If it is wrong, the checks stay as they were.
func (w *watching) again() {
	file, err := monitor.Read(w.place.Monitor)
	if err == nil {
		err = w.suits(file)
	}
	if err == nil {
		err = w.Set(file)
	}
	if err != nil {
		w.log.Error("the checks stay as they were", "file", w.place.Monitor, "error", err.Error())
		return
	}
	w.queue.Set(file.Channels)
	w.log.Info("checks", "file", w.place.Monitor, "checks", len(file.Checks))
}

// run runs the checks and what tells people, until ctx ends. What could not be sent by then is lost.
func (w *watching) run(ctx context.Context) error {
	var beating sync.WaitGroup
	beating.Go(func() { w.sender.Beat(ctx, w.Monitor, w.log) })
	err := w.Run(ctx)
	beating.Wait()
	w.queue.Close()
	return err
}

// serve runs the monitor with web, and answers commands at the socket. Without a socket it runs all
// the same.
func (w *watching) serve(ctx context.Context, web *ops.Server) {
	web.Go(w.run)
	w.answer(ctx, web)
}

type monitorCheck struct {
	File string `arg:"" optional:"" default:"monitor.yaml" type:"path" help:"File of the checks."`
}

// Run reads the file as a program would at its start.
func (c *monitorCheck) Run() error {
	file, err := monitor.Read(c.File)
	if err != nil {
		return err
	}
	if _, err := onceMonitor(file); err != nil {
		return config.Invalid{{Where: c.File, Problem: err.Error()}}
	}
	fmt.Println("ok: " + counted(len(file.Checks), "check"))
	return nil
}

// onceMonitor is a monitor that keeps nothing.
func onceMonitor(file *monitor.File) (*monitor.Monitor, error) {
	client, err := outward.New(outward.Options{})
	if err != nil {
		return nil, err
	}
	return newMonitor(file, client, monitor.Options{Keeper: new(monitor.Memory)})
}

// newMonitor returns a monitor that connects by client.
func newMonitor(file *monitor.File, client *outward.Client, o monitor.Options) (*monitor.Monitor, error) {
	o.Dial, o.Allow = client.DialContext, client.SetAllow
	o.Probes = map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error){monitor.Journey: journey.Probe(client.DialContext)}
	return monitor.New(file, o)
}

// onceResult is a result as people's programs read it.
type onceResult struct {
	Check   string         `json:"check"`
	OK      bool           `json:"ok"`
	Seconds float64        `json:"seconds"`
	Reason  monitor.Reason `json:"reason,omitempty"`
	Failure string         `json:"failure,omitempty"`
	Expires time.Time      `json:"certificate_ends,omitzero"`

	Refusals []onceRefusal `json:"refusals,omitempty"` // of a journey
}

// onceRefusal is when a target refused a session that had ended.
type onceRefusal struct {
	Carrier string  `json:"carrier"`
	Target  string  `json:"target"`
	Seconds float64 `json:"seconds"` // since the end; not refused: how long it was accepted, at least
	Refused bool    `json:"refused"`
}

func onceResultOf(r monitor.Result) onceResult {
	o := onceResult{Check: r.Check, OK: r.OK, Seconds: r.Took.Seconds(), Reason: r.Reason, Failure: r.Failure, Expires: r.Expires}
	for _, refusal := range r.Refusals {
		o.Refusals = append(o.Refusals, onceRefusal{refusal.Carrier, refusal.Target, refusal.After.Seconds(), refusal.Refused})
	}
	return o
}

// runChecksOnce runs each check once and prints the results.
func runChecksOnce(ctx context.Context, file *monitor.File, asJSON bool) error {
	m, err := onceMonitor(file)
	if err != nil {
		return err
	}
	results, failed := []onceResult{}, 0
	var rows [][]string
	for _, r := range m.Once(ctx) {
		results = append(results, onceResultOf(r))
		word := "ok"
		if !r.OK {
			word = "fail"
			failed++
		}
		rows = append(rows, []string{word, r.Check, r.Took.Round(time.Millisecond).String(), r.Failure})
	}
	if asJSON {
		err = writeJSON(os.Stdout, map[string]any{"results": results})
	} else {
		err = table([]column{{name: ""}, {name: "CHECK"}, {name: "TOOK"}, {name: "FAILURE", cut: true}}, rows)
	}
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, counted(len(results), "check"))
	}
	return nil
}

// monitorAt says which program is asked.
type monitorAt struct {
	ConfigFile    string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML) of the program that runs the checks; COUNTERFOIL_CONFIG names one too."`
	Monitor       string `type:"path" placeholder:"FILE" help:"File of the checks that it runs. Default: monitor.yaml."`
	MonitorSocket string `type:"path" placeholder:"PATH" help:"Its socket. Empty: counterfoil-monitor.sock in the folder of the file."`
	JSON          bool   `help:"Print JSON."`
}

// ask sends a request to the program that runs the checks.
func (c *monitorAt) ask(ctx context.Context, method, path string, body, into any) error {
	var of monitorSettings
	of.Monitor, of.MonitorSocket = c.Monitor, c.MonitorSocket
	if _, err := of.loader().Load(config.Sources{Environ: os.Environ(), File: c.ConfigFile, Flags: given{"monitor": c.Monitor != "", "monitor-socket": c.MonitorSocket != ""}}); err != nil {
		return err
	}
	at := of.socket()
	err := askMonitor(ctx, at, method, path, body, into)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUnreachable) {
		return fmt.Errorf("%s %w: no program runs these checks\nhint: name the file of the checks of the program with --monitor, or its socket with --monitor-socket", at, errUnreachable)
	}
	return err
}

type monitorList struct{ monitorAt }

// Run prints the checks.
func (c *monitorList) Run(ctx context.Context) error {
	var all []shownCheck
	if err := c.ask(ctx, http.MethodGet, "/checks", nil, &all); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(os.Stdout, map[string]any{"checks": all})
	}
	var rows [][]string
	for _, s := range all {
		rows = append(rows, []string{s.Name, string(s.Kind), cmp.Or(s.Status, "unknown"), ago(s.Since), ago(s.LastRun), s.note()})
	}
	return table([]column{{name: "CHECK"}, {name: "KIND"}, {name: "STATUS"}, {name: "SINCE"}, {name: "LAST RUN"}, {name: "NOTE", cut: true}}, rows)
}

// ago is how long ago at is, for people.
func ago(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return about(time.Since(at)) + " ago"
}

type monitorMute struct {
	Check string        `arg:"" help:"Name of the check."`
	For   time.Duration `required:"" placeholder:"TIME" help:"For how long, such as 2h; at most 30 days. 0s: no longer."`
	Why   string        `required:"" help:"Reason, which lists show."`
	monitorAt
}

// Run mutes a check.
func (c *monitorMute) Run(ctx context.Context) error {
	if c.For < 0 || c.For > monitor.LongestMute {
		return usageError("--for is " + config.Duration(c.For) + ": want 0s to 720h")
	}
	var m monitor.Mute
	if err := c.ask(ctx, http.MethodPost, "/mutes", muteBody{c.Check, c.For.String(), c.Why}, &m); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return writeJSON(os.Stdout, m)
	case c.For == 0:
		fmt.Println("people are told of " + m.Check + " again")
	default:
		fmt.Printf("nobody is told of %s until %s\n", m.Check, m.Until.Local().Format("2006-01-02 15:04 MST"))
	}
	return nil
}

// dialMonitor connects to the socket of a monitor, if the one that listens may be trusted.
func dialMonitor(ctx context.Context, path string) (net.Conn, error) {
	owner, err := private.Folder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return dialLocal(ctx, path, owner)
}

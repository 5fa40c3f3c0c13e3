package monitor

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/inside"
	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// File is what a file of checks says.
type File struct {
	Checks      []*Check
	Maintenance []*Maintenance
	Inside      []string // networks, addresses and host names inside that checks and channels may reach

	Channels  []Channel     // where people are told of events
	Status    *StatusPage   // nil: there is none
	Heartbeat secret.String // a URL that is called while the monitor runs; empty: none
}

// Channel returns the channel with that name.
func (f *File) Channel(name string) (c Channel, found bool) {
	i := slices.IndexFunc(f.Channels, func(c Channel) bool { return c.Name == name })
	if i < 0 {
		return c, false
	}
	return f.Channels[i], true
}

// maintenance returns the name of the maintenance that the check is in; empty: none.
func (f *File) maintenance(check string, now time.Time) string {
	for _, w := range f.Maintenance {
		if !w.covers(check) {
			continue
		}
		if begin, _, ok := w.window(now); ok && !now.Before(begin) {
			return w.Name
		}
	}
	return ""
}

// Read reads the file at path. Its error is a [config.Invalid].
func Read(path string) (*File, error) {
	data, err := textfile.Read(path)
	if err != nil {
		return nil, config.Invalid{{Where: path, Problem: "cannot be read: " + err.Error(), Hint: "docs/monitor.md shows one"}}
	}
	return Parse(path, data)
}

// Parse reads a file of checks (YAML). What it does not know is an error, so that an expectation that
// is misspelt is not one that is missing. The error is a [config.Invalid] with the line of each
// problem.
func Parse(path string, data []byte) (*File, error) {
	r := &reader{path: path}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, config.Invalid{{Where: path, Problem: "is empty", Hint: "docs/monitor.md shows one"}}
	} else if err != nil {
		return nil, config.Invalid{r.syntax(err)}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, config.Invalid{{Where: path, Problem: "has more than one YAML document"}}
	}
	f := new(File)
	r.mapping(root.Content[0], "the file", map[string]func(*yaml.Node){
		"checks":      func(n *yaml.Node) { r.list(n, "checks", func(n *yaml.Node) { r.check(n, f) }) },
		"maintenance": func(n *yaml.Node) { r.list(n, "maintenance", func(n *yaml.Node) { r.maintenance(n, f) }) },
		"inside":      func(n *yaml.Node) { r.inside(n, f) },
		"channels":    func(n *yaml.Node) { r.list(n, "channels", func(n *yaml.Node) { r.channel(n, f) }) },
		"status":      func(n *yaml.Node) { r.statusPage(n, f) },

		"heartbeat_url_file": func(n *yaml.Node) { f.Heartbeat = r.channelURL(n, r.secret(n).Reveal()) },
	})
	r.reach(f)
	r.references(root.Content[0], f)
	r.channelReferences(root.Content[0], f)
	if len(r.problems) > 0 {
		return nil, config.Invalid(r.problems)
	}
	return f, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func (r *reader) syntax(err error) config.Problem {
	where, problem := r.path, err.Error()
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(problem, "\n", " ")); m != nil {
		problem = m[2]
		if m[1] != "" {
			where += ":" + m[1]
		}
	}
	return config.Problem{Where: where, Problem: problem}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// name is the name of a check, a maintenance, or a target.
func (r *reader) name(n *yaml.Node) string {
	name := r.text(n)
	if !nameForm.MatchString(name) {
		r.refuse(n, fmt.Sprintf("%q is no name", name), "lower-case letters, digits, and . _ - between them; at most 64")
		return ""
	}
	return name
}

// inside reads what checks may reach although it is inside.
func (r *reader) inside(n *yaml.Node, f *File) {
	for _, text := range r.texts(n) {
		if err := outward.CheckAllowed(text); err != nil {
			r.refuse(n, err.Error(), "")
			continue
		}
		f.Inside = append(f.Inside, text)
	}
}

// reach refuses targets whose address says that no check may reach them. An address that a name has is
// looked at when it is dialled.
func (r *reader) reach(f *File) {
	client, err := outward.New(outward.Options{Allow: f.Inside})
	if err != nil {
		return // each entry was checked
	}
	for _, t := range r.hosts {
		if err := outward.CheckHost(t.host); err != nil {
			r.refuse(t.at, fmt.Sprintf("%q is no host: %v", t.host, err), "")
			continue
		}
		ip, err := netip.ParseAddr(t.host)
		if err != nil {
			continue
		}
		switch {
		case inside.Never(ip):
			r.refuse(t.at, fmt.Sprintf("no check may reach the address %v", ip), "")
		case !client.Allows(ip):
			r.refuse(t.at, fmt.Sprintf("the address %v is inside, and not listed under inside", ip), fmt.Sprintf("inside: [%v]", ip))
		}
	}
}

// references refuses names of checks that there are not.
func (r *reader) references(n *yaml.Node, f *File) {
	if len(f.Checks) == 0 && len(r.problems) == 0 {
		r.refuse(n, "lists no checks", "docs/monitor.md shows a file")
	}
	var names []string
	for _, c := range f.Checks {
		if slices.Contains(names, c.Name) && c.Name != "" {
			r.refuse(n, fmt.Sprintf("has two checks with the name %s", c.Name), "")
		}
		names = append(names, c.Name)
	}
	for i, w := range f.Maintenance {
		if slices.ContainsFunc(f.Maintenance[:i], func(other *Maintenance) bool { return other.Name == w.Name && w.Name != "" }) {
			r.refuse(n, fmt.Sprintf("has two maintenances with the name %s", w.Name), "")
		}
		for _, name := range w.Checks {
			if !slices.Contains(names, name) {
				r.refuse(n, fmt.Sprintf("maintenance %s names the check %q, which there is not", w.Name, name), closest(name, names))
			}
		}
	}
}

// maintenance reads an item of maintenance.
func (r *reader) maintenance(n *yaml.Node, f *File) {
	w := new(Maintenance)
	weekly := ""
	r.mapping(n, "a maintenance", map[string]func(*yaml.Node){
		"name":   func(n *yaml.Node) { w.Name = r.name(n) },
		"why":    func(n *yaml.Node) { w.Why = r.text(n) },
		"checks": func(n *yaml.Node) { w.Checks = r.texts(n) },
		"for":    func(n *yaml.Node) { w.For = r.duration(n, time.Minute, longestMaintenance) },
		"once":   func(n *yaml.Node) { w.Once = r.moment(n) },
		"weekly": func(n *yaml.Node) { weekly = r.text(n); r.weekly(n, w) },
		"zone":   func(n *yaml.Node) { w.Zone = r.zone(n) },
	})
	switch {
	case w.Name == "":
		r.refuse(n, "the maintenance has no name", "")
	case (weekly == "") == w.Once.IsZero():
		r.refuse(n, "maintenance "+w.Name+": want once or weekly", "once: 2026-12-24T22:00:00+01:00, or weekly: Sun 02:00")
	case w.For == 0:
		r.refuse(n, "maintenance "+w.Name+": want for", "for: 1h")
	case weekly != "" && w.Zone == nil:
		r.refuse(n, "maintenance "+w.Name+": want zone", "zone: Europe/Berlin, or zone: UTC")
	}
	f.Maintenance = append(f.Maintenance, w)
}

// moment is a time with an offset from UTC.
func (r *reader) moment(n *yaml.Node) time.Time {
	t, err := time.Parse(time.RFC3339, r.text(n))
	if err != nil {
		r.refuse(n, "want a time with its offset from UTC, such as 2026-12-24T22:00:00+01:00", "")
	}
	return t
}

func (r *reader) zone(n *yaml.Node) *time.Location {
	name := r.text(n)
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		r.refuse(n, fmt.Sprintf("%q is no time zone", name), "a name of the time zone database, such as Europe/Berlin")
		return nil
	}
	return zone
}

// weekly reads a day and what a clock on the wall shows, such as Sun 02:00.
func (r *reader) weekly(n *yaml.Node, w *Maintenance) {
	day, clock, _ := strings.Cut(n.Value, " ")
	at, err := time.Parse("15:04", clock)
	days := []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	i := slices.Index(days, day)
	if err != nil || i < 0 {
		r.refuse(n, "want a day and a time, such as Sun 02:00", "days are "+strings.Join(days, ", "))
		return
	}
	w.Weekday, w.Clock = time.Weekday(i), time.Duration(at.Hour())*time.Hour+time.Duration(at.Minute())*time.Minute
}

package server

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/monitor/kept"
)

// statusJSON is the status page for programs.
type statusJSON struct {
	Status     condition            `json:"status"`
	At         time.Time            `json:"at"`          // when it was read
	AgeSeconds int                  `json:"age_seconds"` // how old it is
	Stale      bool                 `json:"stale"`       // the server cannot read anything newer
	Checks     []statusCheckJSON    `json:"checks"`
	Incidents  []statusIncidentJSON `json:"incidents"`
}

type statusCheckJSON struct {
	Name   string          `json:"name"`
	Title  string          `json:"title"`
	Group  string          `json:"group,omitempty"`
	Target string          `json:"target,omitempty"`
	Status condition       `json:"status"`
	Since  time.Time       `json:"since,omitzero"`
	Uptime *float64        `json:"uptime,omitempty"` // of the days; absent: nothing is known
	Days   []statusDayJSON `json:"days"`             // those of which something is known, oldest first
}

type statusDayJSON struct {
	Date               string   `json:"date"`
	Uptime             *float64 `json:"uptime,omitempty"`
	DownSeconds        int      `json:"down_seconds"`
	MaintenanceSeconds int      `json:"maintenance_seconds"`
	TookMS             int64    `json:"took_ms"` // of a run, on average
}

type statusIncidentJSON struct {
	ID    string           `json:"id"`
	Check string           `json:"check,omitempty"`
	Title string           `json:"title"`
	Began time.Time        `json:"began"`
	Ended time.Time        `json:"ended,omitzero"`
	Notes []statusNoteJSON `json:"notes"`
}

type statusNoteJSON struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// statusForPrograms answers GET /status.json.
func (s *Server) statusForPrograms(w http.ResponseWriter, r *http.Request) error {
	b, err := s.statusNow(r.Context())
	if err != nil {
		return err
	}
	data, err := b.form("json", func() ([]byte, error) { return json.Marshal(b.forPrograms()) })
	if err != nil {
		return err
	}
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.Header().Set("Vary", "Origin")
	return sendStatus(w, r, "application/json", data)
}

func (b *shownBoard) forPrograms() statusJSON {
	all := statusJSON{
		Status: b.condition(), At: b.board.At.UTC(), AgeSeconds: int(max(0, b.tried.Sub(b.board.At)) / time.Second), Stale: b.away,
		Checks: []statusCheckJSON{}, Incidents: []statusIncidentJSON{},
	}
	for _, c := range b.public {
		line := b.board.Checks[c.Check.Name]
		one := statusCheckJSON{
			Name: c.Check.Name, Title: c.Check.Title, Group: c.Check.Group, Status: b.conditionOf(c), Since: line.State.Since.UTC(), Days: []statusDayJSON{},
		}
		if c.Check.ShowTarget {
			one.Target = c.Check.Target
		}
		if share, known := line.Uptime(); known {
			one.Uptime = &share
		}
		for _, d := range line.Days {
			if !d.Known() && d.Maintenance == 0 {
				continue
			}
			day := statusDayJSON{
				Date: d.Date.Format(time.DateOnly), DownSeconds: int(d.Down / time.Second), MaintenanceSeconds: int(d.Maintenance / time.Second),
				TookMS: d.Took.Milliseconds(),
			}
			if d.Known() {
				share := d.Uptime()
				day.Uptime = &share
			}
			one.Days = append(one.Days, day)
		}
		all.Checks = append(all.Checks, one)
	}
	for _, i := range b.incidents() {
		one := statusIncidentJSON{ID: i.ID, Check: i.Check, Title: i.Title, Began: i.Began, Ended: i.Ended, Notes: []statusNoteJSON{}}
		for _, n := range i.Notes {
			one.Notes = append(one.Notes, statusNoteJSON{n.At, n.Text})
		}
		all.Incidents = append(all.Incidents, one)
	}
	return all
}

// atomFeed is a feed of incidents (RFC 4287).
type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  atomAuthor  `xml:"author"`
	Links   []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomAuthor struct {
	Name string `xml:"name"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID        string   `xml:"id"`
	Title     string   `xml:"title"`
	Published string   `xml:"published"`
	Updated   string   `xml:"updated"`
	Link      atomLink `xml:"link"`
	Content   string   `xml:"content"`
}

// statusFeed answers GET /status.atom.
func (s *Server) statusFeed(w http.ResponseWriter, r *http.Request) error {
	b, err := s.statusNow(r.Context())
	if err != nil {
		return err
	}
	data, err := b.form("atom", func() ([]byte, error) {
		text, err := xml.MarshalIndent(s.feedOf(b), "", " ")
		return append([]byte(xml.Header), text...), err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Origin")
	return sendStatus(w, r, "application/atom+xml; charset=utf-8", data)
}

func (s *Server) feedOf(b *shownBoard) atomFeed {
	page := s.url + statusPath
	title := b.file.Status.Title
	if title == "" {
		title = s.brand.Name
	}
	feed := atomFeed{ID: page + ".atom", Title: title, Author: atomAuthor{s.brand.Name}, Links: []atomLink{{"alternate", page}, {"self", page + ".atom"}}}
	host := ""
	if u, err := url.Parse(s.url); err == nil {
		host = u.Hostname()
	}
	var newest time.Time
	for _, i := range b.incidents() {
		updated := updatedAt(i)
		if updated.After(newest) {
			newest = updated
		}
		feed.Entries = append(feed.Entries, atomEntry{
			ID: "tag:" + host + "," + i.Began.UTC().Format(time.DateOnly) + ":incident/" + i.ID, Title: i.Title,
			Published: i.Began.UTC().Format(time.RFC3339), Updated: updated.UTC().Format(time.RFC3339),
			Link: atomLink{"alternate", page + "#" + i.ID}, Content: incidentText(i),
		})
	}
	if newest.IsZero() { // no incident: it says so since the server has known
		newest = b.board.At.UTC().Truncate(24 * time.Hour)
	}
	feed.Updated = newest.UTC().Format(time.RFC3339)
	return feed
}

func updatedAt(i kept.Incident) time.Time {
	at := i.Began
	if i.Ended.After(at) {
		at = i.Ended
	}
	for _, n := range i.Notes {
		if n.At.After(at) {
			at = n.At
		}
	}
	return at
}

func incidentText(i kept.Incident) string {
	lines := []string{"Began " + i.Began.UTC().Format(time.RFC3339) + "."}
	if !i.Ended.IsZero() {
		lines = append(lines, "Ended "+i.Ended.UTC().Format(time.RFC3339)+".")
	}
	for _, n := range i.Notes {
		lines = append(lines, n.At.UTC().Format(time.RFC3339)+": "+n.Text)
	}
	return strings.Join(lines, "\n")
}

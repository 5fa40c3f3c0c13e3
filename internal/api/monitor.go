package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Check is a check of the monitor.
type Check struct {
	Name        string    `json:"name"`
	Title       string    `json:"title"`
	Group       string    `json:"group,omitempty"`
	Kind        string    `json:"kind"`
	Target      string    `json:"target,omitempty"`
	EverySec    int64     `json:"every_seconds"`
	Public      bool      `json:"public"`
	Status      string    `json:"status"` // up, down or unknown
	Since       time.Time `json:"since,omitzero"`
	Flapping    bool      `json:"flapping"`
	LastRun     time.Time `json:"last_run,omitzero"`
	TookMS      int64     `json:"took_ms"` // of the last run
	Reason      string    `json:"reason,omitempty"`
	Failure     string    `json:"failure,omitempty"`
	Expires     time.Time `json:"certificate_ends,omitzero"`
	Uptime      *float64  `json:"uptime,omitempty"` // of 90 days; absent: nothing is known
	Maintenance string    `json:"maintenance,omitempty"`
	Mute        *Mute     `json:"mute,omitempty"`
}

// Mute keeps what happens to a check from people.
type Mute struct {
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
	By    string    `json:"by,omitempty"`
}

// Checks answers GET /v1/admin/monitor: a page of checks, in the order of their file, and all channels.
type Checks struct {
	Checks   []Check   `json:"checks"`
	Channels []Channel `json:"channels"`
	Leads    bool      `json:"leads"` // the node that answers runs the checks
	At       time.Time `json:"at"`    // when the states were read
	Next     string    `json:"next,omitempty"`
}

// Channel is where people are told of events.
type Channel struct {
	Name string   `json:"name"`
	Kind string   `json:"kind"`
	Only []string `json:"only,omitempty"` // kinds of events; absent: all
}

// Results answers GET /v1/admin/monitor/checks/{name}/results, oldest first.
type Results struct {
	Check  string  `json:"check"`
	Step   string  `json:"step"`
	Points []Point `json:"points"`
	Next   string  `json:"next,omitempty"` // cursor of those that follow
}

// Point is one result, five minutes or a day of a check.
type Point struct {
	At          time.Time `json:"at"` // when a part or a day begins
	Runs        int       `json:"runs"`
	TookMS      int64     `json:"took_ms"` // on average
	LongestMS   int64     `json:"longest_ms"`
	Failed      bool      `json:"failed"`               // of a part or a day: in some of its time outside of maintenance
	Maintenance bool      `json:"maintenance"`          // of a part or a day: in some of its time
	UpSec       *int64    `json:"up_seconds,omitempty"` // of a part or a day, like the next two
	DownSec     *int64    `json:"down_seconds,omitempty"`
	MutedSec    *int64    `json:"maintenance_seconds,omitempty"`
	Reason      string    `json:"reason,omitempty"` // of a result that failed
}

// NewMute is the body of PUT /v1/admin/monitor/checks/{name}/mute.
type NewMute struct {
	Seconds int64  `json:"seconds"` // for how long; at most 30 days
	Why     string `json:"why"`
}

// Tested answers POST /v1/admin/monitor/channels/{name}/test.
type Tested struct {
	Sent    bool   `json:"sent"`
	Failure string `json:"failure,omitempty"`
}

// Incident is a time in which a check was down, or what an operator calls one.
type Incident struct {
	ID     string         `json:"id"`
	Check  string         `json:"check,omitempty"` // absent: an operator has made it
	Title  string         `json:"title"`
	Began  time.Time      `json:"began"`
	Ended  time.Time      `json:"ended,omitzero"`
	Reason string         `json:"reason,omitempty"`
	Notes  []IncidentNote `json:"notes"`
}

// IncidentNote is what an operator says of an incident, for everybody.
type IncidentNote struct {
	At   time.Time `json:"at"`
	By   string    `json:"by,omitempty"`
	Text string    `json:"text"`
}

// Incidents answers GET /v1/admin/monitor/incidents.
type Incidents struct {
	Incidents []Incident `json:"incidents"`
	Next      string     `json:"next,omitempty"`
	Named                // who wrote the notes
}

// OneIncident answers GET /v1/admin/monitor/incidents/{id}.
type OneIncident struct {
	Incident Incident `json:"incident"`
	Named             // who wrote the notes
}

// NewIncident is the body of POST /v1/admin/monitor/incidents.
type NewIncident struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// NewNote is the body of POST /v1/admin/monitor/incidents/{id}/notes.
type NewNote struct {
	Text  string `json:"text,omitempty"`
	Ended bool   `json:"ended,omitempty"` // the incident is over
}

// Results returns the history of a check, oldest first. A zero from is an hour, a day or 90 days ago, by step. An
// error ends it.
func (c *Client) Results(ctx context.Context, name, step string, from time.Time) iter.Seq2[Point, error] {
	query := url.Values{"step": {step}}
	if !from.IsZero() {
		query.Set("from", from.UTC().Format(time.RFC3339))
	}
	all := pagesOf(ctx, c, "/v1/admin/monitor/checks/"+url.PathEscape(name)+"/results", query, func(page Results) string { return page.Next })
	return each(all, func(page Results) []Point { return page.Points })
}

// Incidents returns the incidents, newest first. An error ends them.
func (c *Client) Incidents(ctx context.Context) iter.Seq2[Incident, error] {
	all := pagesOf(ctx, c, "/v1/admin/monitor/incidents", url.Values{}, func(page Incidents) string { return page.Next })
	return each(all, func(page Incidents) []Incident { return page.Incidents })
}

// Announce makes an incident that no check has found.
func (c *Client) Announce(ctx context.Context, body NewIncident) (i Incident, err error) {
	return i, c.call(ctx, http.MethodPost, "/v1/admin/monitor/incidents", body, &i)
}

// AddNote adds a note to an incident.
func (c *Client) AddNote(ctx context.Context, id string, body NewNote) (i Incident, err error) {
	return i, c.call(ctx, http.MethodPost, "/v1/admin/monitor/incidents/"+url.PathEscape(id)+"/notes", body, &i)
}

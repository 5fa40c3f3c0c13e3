package api

import (
	"time"

	"github.com/counterfoil/counterfoil"
)

// Stats answers GET /v1/admin/stats.
type Stats struct {
	Time     time.Time          `json:"time"`
	Head     counterfoil.Cursor `json:"head"`    // of the log
	Entries  int                `json:"entries"` // of the log, that still cover something alive
	Sessions SessionCounts      `json:"sessions"`
	Node     NodeStats          `json:"node"` // of the node that answers, and of no other
}

// SessionCounts are the sessions in the store, counted at most some seconds before. A session that
// has ended by itself counts until it is swept.
type SessionCounts struct {
	Counted  time.Time      `json:"counted"`
	Sessions int            `json:"sessions"`  // exact up to 10,000
	MoreThan bool           `json:"more_than"` // there are more: all counts are of the 10,000 that were looked at
	Carriers map[string]int `json:"carriers"`
	Clients  map[string]int `json:"clients"`
}

// NodeStats is what one node has counted since it started.
type NodeStats struct {
	Since     time.Time     `json:"since"`
	Sum       EventCounts   `json:"sum"`
	Minutes   []EventMinute `json:"minutes"`       // of the last hour, the oldest first; without those in which nothing happened
	Lag       *Lag          `json:"lag,omitempty"` // absent: nothing was measured yet
	Verifiers struct {
		Following int   `json:"following"`
		Lost      int   `json:"lost"`       // followed in the last ten minutes, and no longer do
		StalestMS int64 `json:"stalest_ms"` // of those that follow
		BoundMS   int64 `json:"bound_ms"`   // the largest
	} `json:"verifiers"`
}

// EventCounts are numbers of events.
type EventCounts struct {
	Logins      int `json:"logins"`
	Refused     int `json:"refused"` // attempts to sign in that were refused, or came too fast to be looked at
	Refreshes   int `json:"refreshes"`
	Revocations int `json:"revocations"` // what wrote the revocation log, see audit.Revoking: also by those who signed out
	Denied      int `json:"denied"`      // requests that their caller may not make
}

// EventMinute is what happened in the minute that begins then.
type EventMinute struct {
	Minute time.Time `json:"minute"`
	EventCounts
}

// Lag is how long it took, from when an entry was in the log until all verifiers that follow the
// node had said that they have it, which each says with its next question.
type Lag struct {
	Revocations int       `json:"revocations"` // that were measured: the last ones
	LastMS      float64   `json:"last_ms"`
	MedianMS    float64   `json:"median_ms"`
	P99MS       float64   `json:"p99_ms"`
	MaxMS       float64   `json:"max_ms"`
	EachMS      []float64 `json:"each_ms"` // of each of them, the oldest first
}

// Setting is a setting as in force.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // "[secret]" for a secret that is set
	Origin string `json:"origin"`
}

// Settings answers GET /v1/admin/settings.
type Settings struct {
	Settings []Setting `json:"settings"`
}

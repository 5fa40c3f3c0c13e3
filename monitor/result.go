package monitor

import "time"

// Result is the outcome of one run of a check.
type Result struct {
	Check string        `json:"check"`
	Due   time.Time     `json:"due"` // when the run should have begun
	At    time.Time     `json:"at"`  // when it began
	Took  time.Duration `json:"took"`
	OK    bool          `json:"ok"`

	// Failure says to operators what was wrong. It may have addresses and what a target answered,
	// so no public page shows it. Reason is one of the words below, for everybody.
	Failure string `json:"failure,omitempty"`
	Reason  Reason `json:"reason,omitempty"`

	Critical    bool      `json:"critical,omitempty"`    // the check is down at once: no threshold
	Expires     time.Time `json:"expires,omitzero"`      // earliest end of a certificate that was shown
	Refusals    []Refusal `json:"refusals,omitempty"`    // of a journey
	Maintenance bool      `json:"maintenance,omitempty"` // it ran in a maintenance: no part of the uptime
}

// Reason is a word for why a run failed.
type Reason string

// The reasons.
const (
	Unreachable Reason = "unreachable" // no connection
	Refused     Reason = "not-allowed" // the address is inside, and the file does not list its network
	TimedOut    Reason = "timeout"
	BadTLS      Reason = "tls"
	BadStatus   Reason = "status"
	BadBody     Reason = "body"
	Slow        Reason = "latency"
	Silent      Reason = "silent"     // push: nobody called
	Reported    Reason = "reported"   // push: the caller says that it failed
	BadSignIn   Reason = "sign-in"    // journey: before the revocation
	NotRefused  Reason = "revocation" // journey: a session that has ended is still accepted
	Unchecked   Reason = "unchecked"  // journey: the target lets everybody in
	Unsure      Reason = "unsure"     // journey: the target neither accepts nor refuses
	Broken      Reason = "broken"     // the check cannot run
)

// Refusal is when a target of a journey refused a session that had ended.
type Refusal struct {
	Carrier string        `json:"carrier"`
	Target  string        `json:"target"`
	After   time.Duration `json:"after"`   // since the auth server said that the session has ended
	Refused bool          `json:"refused"` // false: After is how long the journey waited
}

// Status is what is known of a check.
type Status string

// The values of Status. The empty one means that nothing is known yet.
const (
	Up   Status = "up"
	Down Status = "down"
)

// State is what a check remembers from run to run. Its JSON may be stored: members are added, and
// never change their meaning.
type State struct {
	Check  string    `json:"check"`
	Key    string    `json:"key"`              // random, made when the check is first seen
	Number uint64    `json:"number,omitempty"` // of its last event
	Status Status    `json:"status,omitempty"`
	Since  time.Time `json:"since,omitzero"` // when Status began: the first run that showed it

	Every time.Duration `json:"every"`          // with which Phase was chosen
	Phase time.Time     `json:"phase,omitzero"` // one of the regular times
	Next  time.Time     `json:"next,omitzero"`  // when the next run is due
	Last  Result        `json:"last,omitzero"`

	Recent   []Mark      `json:"recent,omitempty"`   // results since Status changed, oldest first
	Changes  []time.Time `json:"changes,omitempty"`  // of Status, the last few
	WasDown  time.Time   `json:"was_down,omitzero"`  // when the last Down began
	Flapping bool        `json:"flapping,omitempty"` // Status changes too often for its changes to be told

	Told         Status    `json:"told,omitempty"` // what people were told last
	ToldFlapping bool      `json:"told_flapping,omitempty"`
	Reminded     time.Time `json:"reminded,omitzero"` // when they were told, or reminded

	Expires     time.Time `json:"expires,omitzero"`       // of the certificate that ExpiresTold is about
	ExpiresTold int       `json:"expires_told,omitempty"` // the fewest days that people were told; zero: none

	Pushed time.Time `json:"pushed,omitzero"` // push: the last call that was looked at

	Runs   uint64        `json:"runs,omitempty"`
	Late   uint64        `json:"late,omitempty"`   // runs that began more than a second late
	Latest time.Duration `json:"latest,omitempty"` // the greatest delay
	Missed uint64        `json:"missed,omitempty"` // regular times without a run
}

// Mark is a result as far as it is needed to find out what a check is.
type Mark struct {
	At time.Time `json:"at"`
	OK bool      `json:"ok"`
}

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	WentDown         EventKind = "down"
	WentUp           EventKind = "up"
	Flaps            EventKind = "flapping"
	Reminder         EventKind = "reminder"
	Expiring         EventKind = "expiring"
	MaintenanceBegan EventKind = "maintenance-began"
	MaintenanceEnded EventKind = "maintenance-ended"
)

// Event is something that people are told.
type Event struct {
	// ID is the same if another monitor takes the same step again from the same state.
	ID   string    `json:"id"`
	Kind EventKind `json:"kind"`
	At   time.Time `json:"at"`

	Check    string    `json:"check,omitempty"` // empty: of a maintenance
	Title    string    `json:"title,omitempty"`
	Group    string    `json:"group,omitempty"`
	Status   Status    `json:"status,omitempty"`
	Since    time.Time `json:"since,omitzero"`    // when Status began
	Before   time.Time `json:"before,omitzero"`   // up: when the down that has ended had begun
	Failure  string    `json:"failure,omitempty"` // as in Result
	Reason   Reason    `json:"reason,omitempty"`
	Critical bool      `json:"critical,omitempty"`
	Expires  time.Time `json:"expires,omitzero"` // of a certificate

	Maintenance string    `json:"maintenance,omitempty"` // its name
	Why         string    `json:"why,omitempty"`
	Until       time.Time `json:"until,omitzero"`
	Checks      []string  `json:"checks,omitempty"` // of the maintenance; nil: all

	Channels []string `json:"channels,omitempty"` // that it goes to; nil: all
}

package api

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/keyring"
)

// ClientSettings is the body of PUT /v1/admin/clients/{id}: all settings of a client.
type ClientSettings struct {
	Name     string                `json:"name,omitempty"`
	Carriers []counterfoil.Carrier `json:"carriers,omitempty"`
	Audience []string              `json:"audience,omitempty"`
	Scopes   []string              `json:"scopes,omitempty"`
	Origins  []string              `json:"origins,omitempty"`
	SameSite string                `json:"same_site,omitempty"`
	Opens    string                `json:"opens,omitempty"` // as clients.Client.Opens
	Disabled bool                  `json:"disabled"`

	clients.Lifetimes // absent: the server's

	EncryptionKey *clients.EncryptionKey `json:"encryption_key,omitempty"`
}

// RegisteredClient is a client with its settings.
type RegisteredClient struct {
	ID string `json:"id"`
	ClientSettings
	Damaged bool              `json:"damaged,omitempty"` // its settings cannot be read: nobody can sign in to it until it is set anew
	InForce clients.Lifetimes `json:"in_force"`          // its own, or the server's where those are shorter or it has none
}

// Lives says in words each lifetime that is in force, and where it is from.
func (c *RegisteredClient) Lives() (access, idle, refreshIdle, absolute string) {
	words := func(own, holds clients.Lifetime) string {
		switch {
		case own == 0 && holds == 0: // a server of an earlier version
			return "that of the server"
		case own == 0:
			return holds.String() + ", that of the server"
		case holds != 0 && holds < own:
			return holds.String() + ", that of the server, which is shorter than its own " + own.String()
		}
		return own.String()
	}
	return words(c.AccessTTL, c.InForce.AccessTTL), words(c.Idle, c.InForce.Idle),
		words(c.RefreshIdle, c.InForce.RefreshIdle), words(c.Absolute, c.InForce.Absolute)
}

// RegisteredClients answers GET /v1/admin/clients.
type RegisteredClients struct {
	Clients []RegisteredClient `json:"clients"`
	Next    string             `json:"next,omitempty"`
}

// SigningKeys answers GET /v1/admin/keys.
type SigningKeys struct {
	Keys []keyring.Description `json:"keys"`
}

// NewAPIKey is the body of POST /v1/admin/apikeys.
type NewAPIKey struct {
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes,omitempty"`
	Audience []string  `json:"audience,omitempty"`
	Clients  []string  `json:"clients,omitempty"`
	User     string    `json:"user,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`

	IntrospectionExp string `json:"introspection_exp,omitempty"` // as directory.APIKey.IntrospectionExp
}

// MadeAPIKey answers POST /v1/admin/apikeys. No other answer contains the key.
type MadeAPIKey struct {
	Key string `json:"key"`
	APIKey
}

// APIKey is an API key without the key.
type APIKey struct {
	ID       string    `json:"id"`
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"audience,omitempty"`
	Clients  []string  `json:"clients,omitempty"`
	User     string    `json:"user,omitempty"`
	State    string    `json:"state"` // active, limited, expired, ended, damaged
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`

	IntrospectionExp string `json:"introspection_exp,omitempty"`
}

// APIKeys answers GET /v1/admin/apikeys.
type APIKeys struct {
	Keys []APIKey `json:"apikeys"`
	Next string   `json:"next,omitempty"`
}

// AuditPage answers GET /v1/admin/audit, the newest entry first.
type AuditPage struct {
	Entries []audit.Entry `json:"entries"`
	Next    string        `json:"next,omitempty"` // cursor of the next page; empty: this is the last
	Log     []InLog       `json:"log,omitempty"`  // of those entries that tell of one in the log, if it was asked for
	Named
}

// InLog says where in the revocation log the entry stands that an entry of the trail tells of, how
// many verifiers have it, and which have not.
type InLog struct {
	ID        string             `json:"id"` // of the entry of the trail
	Cursor    counterfoil.Cursor `json:"cursor"`
	Confirmed int                `json:"confirmed"`        // verifiers that have applied the log up to there
	Verifiers int                `json:"verifiers"`        // that follow the node that answers
	Behind    []Follower         `json:"behind,omitempty"` // the first of those that have not, at most MaxBehind
}

// MaxBehind is how many verifiers that do not have an entry are named with it. All verifiers are in [Verifiers].
const MaxBehind = 10

// Follower names a verifier, as [Verifier] does.
type Follower struct {
	ID     string `json:"id"`
	Client string `json:"client,omitempty"`
}

// Called names a verifier for people.
func (f Follower) Called() string { return cmp.Or(f.Client, "in the server") + " " + f.ID }

// Told is an entry of the trail, and where the one is that it tells of; nil: the revocation log holds none.
type Told struct {
	audit.Entry
	Log *InLog `json:"log,omitempty"`
}

// Told returns the entries of a page that was asked for with the log.
func (p AuditPage) Told() []Told {
	all := make([]Told, len(p.Entries))
	for n, e := range p.Entries {
		all[n].Entry = e
		if at := slices.IndexFunc(p.Log, func(in InLog) bool { return in.ID == e.ID }); at >= 0 {
			all[n].Log = &p.Log[at]
		}
	}
	return all
}

// VerifyAudit is the body of POST /v1/admin/audit/verify. The answer is an audit.Verification.
type VerifyAudit struct {
	Anchors []audit.Anchor `json:"anchors,omitempty"` // at most MaxAnchors
}

// MaxAnchors is how many anchors a body has room for. The newest suffice: each seal covers the
// one before it.
const MaxAnchors = 500

// Verifier is a verifier that follows the node that answers.
type Verifier struct {
	ID          string             `json:"id"`               // the first characters of what it calls itself, another at each start
	Client      string             `json:"client,omitempty"` // of its API key; empty: it is in the server itself
	Key         string             `json:"key,omitempty"`    // public id of the API key
	Address     netip.Addr         `json:"address,omitzero"`
	Agent       string             `json:"agent,omitempty"` // its User-Agent, with its version
	Cursor      counterfoil.Cursor `json:"cursor"`          // it has applied the log up to here
	StalenessMS int64              `json:"staleness_ms"`    // since the last question that was answered with all there was
	BoundMS     int64              `json:"bound_ms"`
	LastSeen    time.Time          `json:"last_seen"`   // its last question
	Following   bool               `json:"following"`   // it may be fresh; false: it accepts nothing, unless it serves stale
	ServeStale  bool               `json:"serve_stale"` // it may accept longer, by its own configuration
}

// Verifiers answers GET /v1/admin/verifiers: those that follow the node that answers, and those
// that did in the last hour. Other nodes have others.
type Verifiers struct {
	Verifiers []Verifier         `json:"verifiers"`
	Head      counterfoil.Cursor `json:"head"` // of the log
	Next      string             `json:"next,omitempty"`
}

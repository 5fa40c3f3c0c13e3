package api

import (
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

	EncryptionKey *clients.EncryptionKey `json:"encryption_key,omitempty"`
}

// RegisteredClient is a client with its settings.
type RegisteredClient struct {
	ID string `json:"id"`
	ClientSettings
	Damaged bool `json:"damaged,omitempty"` // its settings cannot be read: nobody can sign in to it until it is set anew
}

// RegisteredClients answers GET /v1/admin/clients.
type RegisteredClients struct {
	Clients []RegisteredClient `json:"clients"`
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
}

// AuditPage answers GET /v1/admin/audit, the newest entry first.
type AuditPage struct {
	Entries []audit.Entry `json:"entries"`
	Next    string        `json:"next,omitempty"` // cursor of the next page; empty: this is the last
}

// VerifyAudit is the body of POST /v1/admin/audit/verify. The answer is an audit.Verification.
type VerifyAudit struct {
	Anchors []audit.Anchor `json:"anchors,omitempty"` // at most MaxAnchors
}

// MaxAnchors is how many anchors a body has room for. The newest suffice: each seal covers the
// one before it.
const MaxAnchors = 500

package api

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"
)

// User is a user, without the password.
type User struct {
	ID          string    `json:"id"`
	Identifier  string    `json:"identifier"`
	Name        string    `json:"name,omitempty"`
	Status      string    `json:"status"` // "damaged": the record cannot be read, and has an ID alone
	Roles       []string  `json:"roles"`
	HasPassword bool      `json:"has_password"`
	Created     time.Time `json:"created,omitzero"`

	Address         string    `json:"address,omitempty"` // where mail goes; empty: nowhere
	AddressVerified bool      `json:"address_verified,omitempty"`
	VerifiedAt      time.Time `json:"verified_at,omitzero"` // when somebody proved to read mail there
}

// Users answers GET /v1/admin/users.
type Users struct {
	Users  []User `json:"users"`
	Looked int    `json:"looked,omitempty"` // of a search: how many users it looked at for this page
	Next   string `json:"next,omitempty"`   // cursor of the next page; empty: this is the last
	Counted
}

// Person is what a user is called.
type Person struct {
	Identifier string `json:"identifier"`
	Name       string `json:"name,omitempty"`
}

// Named is in an answer that has users by their ids: what they are called, by id. One who was deleted,
// or is no user of this server, is absent.
type Named struct {
	Users map[string]Person `json:"users,omitempty"`
}

// Of returns the part of n with these ids.
func (n Named) Of(ids ...string) (part Named) {
	for _, id := range ids {
		if called, is := n.Users[id]; is {
			if part.Users == nil {
				part.Users = map[string]Person{}
			}
			part.Users[id] = called
		}
	}
	return part
}

// Counted is in a page if the query has count=true. Count is exact up to 10,000, unless MoreThan
// is true: then there are more than Count, or the search has not looked at all.
type Counted struct {
	Count    *int `json:"count,omitempty"`
	MoreThan bool `json:"more_than,omitempty"`
}

// UserFilter says which users a search is for. What is not set holds for all.
type UserFilter struct {
	Text     string // beginnings of the identifier, of words of the name, or of the id
	Role     string
	Disabled *bool
	Created  time.Time // then or later
	Before   time.Time // created before
}

// Query is f as GET /v1/admin/users takes it.
func (f UserFilter) Query() url.Values {
	disabled := ""
	if f.Disabled != nil {
		disabled = strconv.FormatBool(*f.Disabled)
	}
	return filled(map[string]string{"q": f.Text, "role": f.Role, "disabled": disabled, "created": moment(f.Created), "created_before": moment(f.Before)})
}

// filled is a query of the values that are not empty.
func filled(values map[string]string) url.Values {
	query := url.Values{}
	for name, value := range values {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// NewUser is the body of POST /v1/admin/users.
type NewUser struct {
	Identifier string   `json:"identifier"`
	Name       string   `json:"name,omitempty"`
	Roles      []string `json:"roles,omitempty"`

	Address         string `json:"address,omitempty"` // empty: the identifier, if it is one
	AddressVerified bool   `json:"address_verified,omitempty"`

	Mail bool `json:"mail,omitempty"` // the invitation is mailed, and shown to nobody else
}

// Invite is the body of POST /v1/admin/users/{id}/invitations, which may have none.
type Invite struct {
	Mail bool `json:"mail,omitempty"` // it is mailed, and shown to nobody else
}

// Invited answers POST /v1/admin/users.
type Invited struct {
	User       User        `json:"user"`
	Invitation *Invitation `json:"invitation,omitempty"` // nil: it was already used
}

// Invitation is shown once. The holder of the token chooses the password.
type Invitation struct {
	Token    string    `json:"token,omitempty"`
	URL      string    `json:"url,omitempty"` // the page that redeems it
	Expires  time.Time `json:"expires"`
	MailedTo string    `json:"mailed_to,omitempty"` // then there is no Token and no URL
}

// Redeem is the body of POST /v1/invitations. Identifier is for the invitation of the first
// administrator.
type Redeem[S Text] struct {
	Token      S      `json:"token"`
	Password   S      `json:"password"`
	Identifier string `json:"identifier,omitempty"`
}

// Impersonation is the body of POST /v1/admin/users/{id}/impersonation.
type Impersonation struct {
	Reason  string `json:"reason"`
	Carrier string `json:"carrier,omitempty"`
	Client  string `json:"client,omitempty"`
}

// Asks is what an invitation asks of its holder besides a password.
type Asks struct {
	Identifier bool `json:"identifier"`
}

// CheckInvitation is the body of POST /v1/invitations/check.
type CheckInvitation[S Text] struct {
	Token S `json:"token"`
}

// ChangeUser is the body of PATCH /v1/admin/users/{id}. A member that is nil is not changed.
type ChangeUser struct {
	Name   *string   `json:"name,omitempty"`
	Status *string   `json:"status,omitempty"`
	Roles  *[]string `json:"roles,omitempty"`

	Address         *string `json:"address,omitempty"`          // another one is not verified, unless AddressVerified says so
	AddressVerified *bool   `json:"address_verified,omitempty"` // the caller has proof of its own
}

// Import is the body of POST /v1/admin/users/import.
type Import struct {
	Users  []json.RawMessage `json:"users"` // each an ImportUser; the handler reads each strictly
	DryRun bool              `json:"dry_run,omitempty"`
}

// ImportUser is a user of another program.
type ImportUser struct {
	ID           string    `json:"id,omitempty"` // that it has there, and keeps; empty: it gets a new one
	Identifier   string    `json:"identifier"`
	Name         string    `json:"name,omitempty"`
	Status       string    `json:"status,omitempty"`
	Roles        []string  `json:"roles,omitempty"`
	Created      time.Time `json:"created,omitzero"`
	PasswordHash string    `json:"password_hash,omitempty"`

	Address         string `json:"address,omitempty"` // empty: the identifier, if it is one
	AddressVerified bool   `json:"address_verified,omitempty"`
}

// Imported answers POST /v1/admin/users/import: a result for each user, in order.
type Imported struct {
	Results []ImportResult `json:"results"`
}

// ImportResult is the result for one user.
type ImportResult struct {
	Status  string `json:"status"` // ImportAdded, ImportPresent or ImportRefused
	ID      string `json:"id,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// The statuses of an ImportResult.
const (
	ImportAdded   = "added"
	ImportPresent = "present" // another user has the identifier: nothing was changed
	ImportRefused = "refused"
)

package olddata

import (
	"time"
)

// held has the credentials of the people and programs of an installation when it stopped:
// held.json.
type held struct {
	Made     time.Time // when the program stopped
	Head     string    // head of the log, from the head file
	Audit    int       // least number of entries of the audit trail
	Users    []person
	Keys     []apiKey
	Welcome  string // an unused invitation for dave
	Sessions []session
	Clients  map[string]map[string]any // settings in the API's answer
}

// person is a user.
type person struct {
	ID         string
	Identifier string
	Password   string // empty: no password
	Roles      []string
	State      string // active, disabled, deleted
}

// apiKey is the key of a program.
type apiKey struct {
	Client string
	Scopes []string
	Key    string
}

// session is a login, with the credentials of its client.
type session struct {
	Name    string // what happened to it
	ID      string
	Subject string
	Client  string
	Carrier string
	Roles   []string
	Scopes  []string
	Access  string
	Refresh string
	Ended   bool   // the session was revoked
	Stale   bool   // the session lives, and only this access copy was revoked
	Used    string // an earlier refresh token, whose grace is over
}

// the returns the session with that name.
func (h *held) the(name string) *session {
	for n := range h.Sessions {
		if h.Sessions[n].Name == name {
			return &h.Sessions[n]
		}
	}
	panic("no session " + name)
}

// as returns the user with that identifier.
func (h *held) as(identifier string) *person {
	for n := range h.Users {
		if h.Users[n].Identifier == identifier {
			return &h.Users[n]
		}
	}
	panic("no user " + identifier)
}

package olddata

import (
	"time"
)

// held is what people and programs held of an installation when it stopped: held.json.
type held struct {
	Made     time.Time // when the program stopped
	Head     string    // of the log: the head file
	Audit    int       // entries of the trail, at least
	Users    []person
	Keys     []apiKey
	Welcome  string // an invitation of dave that nobody has used
	Sessions []session
	Clients  map[string]map[string]any // settings as the API showed them
}

// person is a user.
type person struct {
	ID         string
	Identifier string
	Password   string // empty: there is none
	Roles      []string
	State      string // active, disabled, deleted
}

// apiKey is the key of a program.
type apiKey struct {
	Client string
	Scopes []string
	Key    string
}

// session is a login, and what its client has of it.
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
	Ended   bool   // it had been revoked
	Stale   bool   // it lives, and this access copy had been revoked by itself
	Used    string // an earlier refresh token, beyond its grace
}

// the is the session of that name.
func (h *held) the(name string) *session {
	for n := range h.Sessions {
		if h.Sessions[n].Name == name {
			return &h.Sessions[n]
		}
	}
	panic("no session " + name)
}

// as is the user of that identifier.
func (h *held) as(identifier string) *person {
	for n := range h.Users {
		if h.Users[n].Identifier == identifier {
			return &h.Users[n]
		}
	}
	panic("no user " + identifier)
}

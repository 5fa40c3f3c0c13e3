package server

import (
	"cmp"
	"strings"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
)

// personLine is a user in a list of others' things. The identifier is shown beside the name: it is of one
// user alone, and a name is what its user likes.
type personLine struct {
	ID, Page   string
	Name       string // or else the identifier; empty: the user was deleted, or is no user here
	Identifier string // empty: it is Name
}

// Words are the line in words, to be read aloud.
func (p personLine) Words() string { return cmp.Or(p.Name, p.ID) }

// person is the user id in an answer that says what its users are called.
func (v *visit) person(of api.Named, id string) *personLine { return personOf(v.s.base, of, id) }

// personOf is person for the page of a server whose paths begin with base.
func personOf(base string, of api.Named, id string) *personLine {
	p := personLine{ID: id}
	if called, is := of.Users[id]; is {
		p.Name, p.Page = cmp.Or(called.Name, called.Identifier), base+inConsole("users", id)
		if p.Name != called.Identifier {
			p.Identifier = called.Identifier
		}
	}
	return &p
}

// held is a session in words, with the button that ends it if the visitor may.
func (v *visit) held(row api.SessionRow) sessionLine {
	device := cmp.Or(row.DeviceLabel, "Unknown device")
	l := sessionLine{ID: row.ID, Device: plain(device), Seen: from(row.LastSeen, place(row.LastAddress)), End: v.ending(device, row.ID)}
	if row.ID == v.session.ID {
		l.Tags = append(l.Tags, plain("yours"))
	}
	if row.Actor != "" {
		l.Tags = append(l.Tags, say("sessions.acted", cmp.Or(row.ActorName, row.Actor)))
	}
	clients := []string{row.Client}
	for _, g := range row.Grants {
		if g.Client != row.Client {
			clients = append(clients, g.Client)
		}
	}
	l.Beside = strings.Join(clients, ", ") + ", " + row.Carrier.String()
	l.Facts = []sessionFact{
		{Label: plain("Signed in"), Text: from(row.Created, place(row.FirstAddress))},
		{Label: plain("Client"), Text: plain(strings.Join(clients, ", "))},
		{Label: plain("Carried as"), Text: plain(row.Carrier.String())},
		{Label: plain("Id"), Text: plain(row.ID)},
	}
	return l
}

// damaged is a session that cannot be shown, and can be ended.
func (v *visit) damaged(id string) sessionLine {
	return sessionLine{ID: id, Damaged: true, End: v.ending("the damaged session", id)}
}

func (v *visit) ending(what, id string) *ending {
	if !v.may(rights.Revoke) {
		return nil
	}
	return &ending{Page: v.s.base + inConsole("sessions", id, "end"), Text: plain("Revoke"), Label: plain("Revoke " + what + ", " + id)}
}

package server

import (
	"time"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
)

// sessionsFirst is how many sessions a list shows that is not what its page is for.
const sessionsFirst = 10

// sessionList is a list of sessions, the same on every page: a line says of each what tells it from the
// others, and the rest is folded.
type sessionList struct {
	Lines []sessionLine
	Shown int // of Lines; the others are folded. Zero: all are shown
}

// First are the lines that are shown.
func (l sessionList) First() []sessionLine {
	if l.Shown == 0 || len(l.Lines) <= l.Shown {
		return l.Lines
	}
	return l.Lines[:l.Shown]
}

// Rest are the others.
func (l sessionList) Rest() []sessionLine { return l.Lines[len(l.First()):] }

// More says how many they are.
func (l sessionList) More() said { return sayCount("sessions.more", len(l.Rest())) }

// sessionLine is a session in words.
type sessionLine struct {
	ID      string
	Damaged bool        // only ID is known
	Whose   *personLine // nil: all in the list are of one user
	Device  said
	Tags    []said
	Beside  string // more of it, where there is room
	Seen    said   // when and where it was used last
	Facts   []sessionFact
	Choose  said    // there is a checkbox, which says this; nil: there is none
	End     *ending // nil: there is no button
}

// sessionFact is what is folded. End is the button that ends that part of the session.
type sessionFact struct {
	Label, Text said
	End         *ending
}

// ending is a button that ends a session or a part of it. It leads to a page, or else sends a form of the
// account with the field Name.
type ending struct {
	Page        string
	Name, Value string // of the field that says which part; empty: the whole session
	Text, Label said   // Label is read aloud
}

// endingOf is an ending of the session Session.
type endingOf struct {
	ending
	Session string
}

// Of is e for the session with that id.
func (e ending) Of(session string) endingOf { return endingOf{e, session} }

// ownLine is a session for its owner.
func ownLine(row issuer.SessionRow, current string, called func(client string) string) sessionLine {
	if row.Damaged {
		return sessionLine{ID: row.ID, Damaged: true, End: &ending{Text: say("account.damaged-end"), Label: say("account.damaged-end-label", row.ID)}}
	}
	device := deviceSaid(row.Device)
	l := sessionLine{
		ID: row.ID, Device: device, Seen: from(row.LastSeen, place(row.LastAddress)),
		End: &ending{Text: say("account.end"), Label: say("account.end-label", device, row.Created)},
	}
	if row.ID == current {
		l.Tags = append(l.Tags, say("account.this"))
	}
	if row.By != nil {
		l.Tags = append(l.Tags, say("account.acted", row.By.Name))
	}
	carried := carrierInWords(row.Carrier)
	if row.Client != clients.Default {
		carried = say("account.for", carried, called(row.Client))
	}
	l.fact("account.signed-in", from(row.Created, place(row.FirstAddress)), nil)
	l.fact("account.ends", ends(row), nil)
	l.fact("account.kept", carried, nil)
	for _, g := range row.Grants {
		if g.Client != row.Client {
			name := called(g.Client)
			l.fact("account.used-by", say("account.since", name, g.Granted, g.LastUsed), &ending{Name: "client", Value: g.Client, Text: say("account.app-end"), Label: say("account.app-end-label", name)})
		}
	}
	for _, h := range row.Hosts {
		l.fact("account.used-at", say("account.since", h.Origin, h.Granted, h.LastUsed), &ending{Name: "host", Value: h.ID, Text: say("account.host-end"), Label: say("account.host-end-label", h.Origin)})
	}
	return l
}

func (l *sessionLine) fact(label string, text said, end *ending) {
	l.Facts = append(l.Facts, sessionFact{say(label), text, end})
}

// ends is when the session ends. One that ends at the same time whether it is used or not has one time.
func ends(row issuer.SessionRow) said {
	idle, end := row.IdleExpires, row.AbsoluteExpires
	if idle.Truncate(time.Minute).Equal(end.Truncate(time.Minute)) {
		return say("account.until", end)
	}
	return say("account.until-idle", idle, end)
}

// from is a time, and the address there if it is known.
func from(t time.Time, address string) said {
	if address == "" {
		return say("account.at", t)
	}
	return say("account.at-from", t, address)
}

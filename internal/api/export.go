package api

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
)

// AuditColumns are the columns of security events as CSV.
var AuditColumns = []string{"id", "time", "action", "outcome", "subject", "by", "client", "session", "target", "address", "request", "reason", "detail"}

// AuditCells is e as CSV.
func AuditCells(e audit.Entry) []string {
	return []string{
		e.ID, e.Time.UTC().Format(time.RFC3339Nano), string(e.Action), string(e.Outcome), e.Subject, e.By, e.Client, e.Session,
		e.Target, addressCell(e.Address), e.Request, e.Reason, e.Detail,
	}
}

// UserColumns are the columns of users as CSV.
var UserColumns = []string{"id", "identifier", "name", "status", "roles", "has_password", "created", "address", "address_verified"}

// UserCells is u as CSV.
func UserCells(u User) []string {
	return []string{u.ID, u.Identifier, u.Name, u.Status, listCell(u.Roles), strconv.FormatBool(u.HasPassword), timeCell(u.Created), u.Address, strconv.FormatBool(u.AddressVerified)}
}

// SessionColumns are the columns of sessions as CSV. It has no attributes, and of grants and hosts only
// which they are.
var SessionColumns = []string{
	"id", "subject", "client", "carrier", "created", "auth_time", "last_seen", "idle_expires", "absolute_expires", "amr", "acr", "roles", "scopes",
	"device", "device_label", "first_address", "last_address", "actor", "actor_name", "grants", "hosts", "damaged",
}

// SessionCells is s as CSV.
func SessionCells(s SessionRow) []string {
	var clients, origins []string
	for _, g := range s.Grants {
		clients = append(clients, g.Client)
	}
	for _, h := range s.Hosts {
		origins = append(origins, h.Origin)
	}
	return []string{
		s.ID, s.Subject, s.Client, s.Carrier.String(), timeCell(s.Created), timeCell(s.AuthTime), timeCell(s.LastSeen), timeCell(s.IdleExpires), timeCell(s.AbsoluteExpires),
		listCell(s.Methods), s.ACR, listCell(s.Roles), listCell(s.Scopes),
		s.Device, s.DeviceLabel, addressCell(s.FirstAddress), addressCell(s.LastAddress), s.Actor, s.ActorName, listCell(clients), listCell(origins), "",
	}
}

// DamagedSession is what an export has of a session whose row cannot be read.
type DamagedSession struct {
	ID      string `json:"id"`
	Subject string `json:"subject,omitempty"`
	Damaged bool   `json:"damaged"`
}

// Cells is s as CSV.
func (s DamagedSession) Cells() []string {
	cells := make([]string, len(SessionColumns))
	cells[0], cells[1], cells[len(cells)-1] = s.ID, s.Subject, strconv.FormatBool(s.Damaged)
	return cells
}

// listCell is all with blanks between them, which none of them has.
func listCell(all []string) string { return strings.Join(all, " ") }

func timeCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func addressCell(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

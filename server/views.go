package server

import (
	"errors"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
)

// rowView is what the issuer keeps of a session, as its owner and administrators see
// it. Members are named here one by one, so that a new one of the row is not shown
// unless somebody means it.
type rowView struct {
	ID              string              `json:"id"`
	Subject         string              `json:"subject"`
	Client          string              `json:"client"`
	Carrier         counterfoil.Carrier `json:"carrier"`
	Created         time.Time           `json:"created"`
	AuthTime        time.Time           `json:"auth_time"`
	LastSeen        time.Time           `json:"last_seen"`
	IdleExpires     time.Time           `json:"idle_expires"`
	AbsoluteExpires time.Time           `json:"absolute_expires"`
	Methods         []string            `json:"amr,omitempty"`
	ACR             string              `json:"acr,omitempty"`
	Roles           []string            `json:"roles,omitempty"`
	Scopes          []string            `json:"scopes,omitempty"`
	Attributes      map[string]string   `json:"attributes,omitempty"`
	Device          string              `json:"device,omitempty"`
	DeviceLabel     string              `json:"device_label,omitempty"`
	FirstAddress    netip.Addr          `json:"first_address,omitzero"`
	LastAddress     netip.Addr          `json:"last_address,omitzero"`
	Grants          []grantView         `json:"grants"`
}

// grantView is what one client holds of a session.
type grantView struct {
	Client   string              `json:"client"`
	Carrier  counterfoil.Carrier `json:"carrier"`
	Scopes   []string            `json:"scopes,omitempty"`
	Granted  time.Time           `json:"granted"`
	LastUsed time.Time           `json:"last_used"`
}

func viewGrants(all []issuer.Grant) []grantView {
	views := []grantView{}
	for _, g := range all {
		views = append(views, grantView{g.Client, g.Carrier, g.Scopes, g.Granted.UTC(), g.LastUsed.UTC()})
	}
	return views
}

func viewRow(r issuer.SessionRow) rowView {
	return rowView{
		ID: r.ID, Subject: r.Subject, Client: r.Client, Carrier: r.Carrier,
		Created: r.Created.UTC(), AuthTime: r.AuthTime.UTC(), LastSeen: r.LastSeen.UTC(),
		IdleExpires: r.IdleExpires.UTC(), AbsoluteExpires: r.AbsoluteExpires.UTC(),
		Methods: r.Methods, ACR: r.ACR, Roles: r.Roles, Scopes: r.Scopes, Attributes: r.Attributes,
		Device: r.Device, DeviceLabel: deviceLabel(r.Device), FirstAddress: r.FirstAddress, LastAddress: r.LastAddress,
		Grants: viewGrants(r.Grants),
	}
}

func viewRows(rows []issuer.SessionRow) []rowView {
	views := []rowView{}
	for _, row := range rows {
		views = append(views, viewRow(row))
	}
	return views
}

// noticeView is a notice as its subject sees it.
type noticeView struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"` // "refresh-reuse": the session was ended; "grant-reuse": what Client held of it
	Time     time.Time  `json:"time"`
	Session  string     `json:"session"`
	Client   string     `json:"client"`
	Device   string     `json:"device,omitempty"`
	Address  netip.Addr `json:"address,omitzero"`
	SignedIn netip.Addr `json:"signed_in_address,omitzero"`
}

func viewNotices(all []issuer.Notice) []noticeView {
	views := []noticeView{}
	for _, n := range all {
		kind := "refresh-reuse"
		if n.Grant {
			kind = "grant-reuse"
		}
		views = append(views, noticeView{n.ID, kind, n.Time.UTC(), n.Session, n.Client, n.Device, n.Address, n.Login})
	}
	return views
}

// missing turns "not registered" into 404 where the path names the client.
func missing(err error) error {
	if errors.Is(err, issuer.ErrUnknownClient) {
		return store.ErrNotFound
	}
	return err
}

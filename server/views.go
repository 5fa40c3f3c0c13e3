package server

import (
	"errors"

	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
)

func viewGrants(all []issuer.Grant) []api.Grant {
	views := []api.Grant{}
	for _, g := range all {
		views = append(views, api.Grant{
			Client: g.Client, Carrier: g.Carrier, Scopes: g.Scopes, Granted: g.Granted.UTC(), LastUsed: g.LastUsed.UTC(), IdleExpires: g.IdleExpires.UTC()})
	}
	return views
}

func viewHosts(all []issuer.Host) (views []api.Host) {
	for _, h := range all {
		views = append(views, api.Host{ID: h.ID, Origin: h.Origin, Granted: h.Granted.UTC(), LastUsed: h.LastUsed.UTC()})
	}
	return views
}

// viewRow names each member, so that a new one of the row is not shown by accident.
func viewRow(r issuer.SessionRow) api.SessionRow {
	var by issuer.Impersonator
	if r.By != nil {
		by = *r.By
	}
	return api.SessionRow{
		Actor: by.Subject, ActorName: by.Name,
		ID: r.ID, Subject: r.Subject, Client: r.Client, Carrier: r.Carrier,
		Created: r.Created.UTC(), AuthTime: r.AuthTime.UTC(), LastSeen: r.LastSeen.UTC(),
		IdleExpires: r.IdleExpires.UTC(), AbsoluteExpires: r.AbsoluteExpires.UTC(),
		Methods: r.Methods, ACR: r.ACR, Roles: r.Roles, Scopes: r.Scopes, Attributes: r.Attributes,
		Device: r.Device, DeviceLabel: deviceLabel(r.Device), FirstAddress: r.FirstAddress, LastAddress: r.LastAddress,
		Grants: viewGrants(r.Grants), Hosts: viewHosts(r.Hosts),
	}
}

// viewRows sets the ids of rows that cannot be shown apart.
func viewRows(rows []issuer.SessionRow) (views []api.SessionRow, damaged []string) {
	views = []api.SessionRow{}
	for _, row := range rows {
		if row.Damaged {
			damaged = append(damaged, row.ID)
		} else {
			views = append(views, viewRow(row))
		}
	}
	return views, damaged
}

func viewNotices(all []issuer.Notice) []api.Notice {
	views := []api.Notice{}
	for _, n := range all {
		kind := "refresh-reuse"
		switch {
		case n.Damaged:
			views = append(views, api.Notice{ID: n.ID, Kind: "damaged"})
			continue
		case n.By != "":
			kind = "impersonation"
		case n.OverLimit > 0:
			kind = "session-limit"
		case n.Grant:
			kind = "grant-reuse"
		}
		views = append(views, api.Notice{
			ID: n.ID, Kind: kind, Time: n.Time.UTC(), Session: n.Session, Client: n.Client,
			Device: n.Device, Address: n.Address, SignedIn: n.Login, Ended: n.OverLimit,
			Actor: n.By, ActorName: n.ByName, Reason: n.Reason,
		})
	}
	return views
}

// missing turns "not registered" into 404 where the path names the client.
func missing(err error) error {
	if errors.Is(err, clients.ErrUnknown) {
		return store.ErrNotFound
	}
	return err
}

package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// clientsPage is a page of clients.
type clientsPage struct {
	consoleFrame
	Clients []clientLine
	Next    string
}

// clientLine is a client in words.
type clientLine struct {
	api.RegisteredClient
	CarrierNames, Tokens, Key string

	Access, Unused, Unrefreshed, Longest string // lifetimes
}

// Called is the name of the client, or else its id.
func (l clientLine) Called() string { return cmp.Or(l.Name, l.ID) }

func clientInLine(c api.RegisteredClient) clientLine {
	l := clientLine{RegisteredClient: c, CarrierNames: strings.Join(carrierNames(c.Carriers), ", ")}
	if l.CarrierNames == "" {
		l.CarrierNames = "all"
	}
	switch {
	case c.Opens == clients.OpensAdministration:
		l.Tokens = "the account, and the administration for administrators"
	case c.Opens == clients.OpensAccount, c.Opens == "" && c.ID == clients.Default:
		l.Tokens = "the account of their user"
	default:
		l.Tokens = "nothing at this server"
	}
	if c.EncryptionKey != nil {
		l.Key = c.EncryptionKey.ID()
	}
	l.Access, l.Unused, l.Unrefreshed, l.Longest = c.Lives()
	return l
}

// lifeText is l in a field of a form, which is empty for that of the server.
func lifeText(l clients.Lifetime) string {
	if l == 0 {
		return ""
	}
	return l.String()
}

func carrierNames(all []counterfoil.Carrier) (names []string) {
	for _, c := range all {
		names = append(names, c.String())
	}
	return names
}

func (v *visit) clients() error {
	query := v.listing(consolePage)
	list := get(at("clients"), query)
	var all api.RegisteredClients
	if err := v.send(list, &all); err != nil {
		return err
	}
	f, err := v.page([]string{"clients"}, "Clients", list)
	if err != nil {
		return err
	}
	page := clientsPage{consoleFrame: f, Next: v.nextPage(query, all.Next)}
	for _, c := range all.Clients {
		page.Clients = append(page.Clients, clientInLine(c))
	}
	return v.render(http.StatusOK, "console_clients.html", &page)
}

// clientPage is one client.
type clientPage struct {
	consoleFrame
	Client clientLine
}

func (v *visit) client() error {
	one := get(at("clients", v.r.PathValue("id")), nil)
	var c api.RegisteredClient
	if err := v.send(one, &c); err != nil {
		return err
	}
	f, err := v.page([]string{"clients"}, clientInLine(c).Called(), one)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "console_client.html", &clientPage{f, clientInLine(c)})
}

func newClient(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"clients"}, "New client", inConsole("clients"), "Register client")
	id := asked(values, "id", "")
	f.Fields = []formField{{Kind: "text", ID: "id", Label: "Id", Value: id, Required: true, Hint: "Programs name it when they sign somebody in. It cannot be changed."}}
	if err := f.settings(id, api.ClientSettings{}, values); err != nil {
		return f, err
	}
	if id == "" && values != nil {
		return f, misfit{"id", "A client needs an id."}
	}
	if values == nil {
		return f, nil
	}
	// PUT would set a client anew that is there already.
	err := v.send(get(at("clients", id), nil), nil)
	if err == nil {
		return f, misfit{"id", "A client with that id is registered already."}
	}
	if p := problem(err); p == nil || p.Status != http.StatusNotFound {
		return nil, err
	}
	return f, nil
}

func editClient(v *visit, values url.Values) (*formPage, error) {
	f, c, err := v.ofClient("Settings of", "Save")
	if err != nil {
		return nil, err
	}
	return f, f.settings(c.ID, c.ClientSettings, values)
}

// ofClient begins a form about the client that the path names.
func (v *visit) ofClient(title, button string) (*formPage, api.RegisteredClient, error) {
	var c api.RegisteredClient
	id := v.r.PathValue("id")
	if err := v.send(get(at("clients", id), nil), &c); err != nil {
		return nil, c, err
	}
	return v.formAt([]string{"clients"}, title+" "+clientInLine(c).Called(), inConsole("clients", id), button), c, nil
}

// settings adds the fields of a client, and its call.
func (f *formPage) settings(id string, stored api.ClientSettings, values url.Values) error {
	jwk := ""
	if stored.EncryptionKey != nil {
		data, err := json.Marshal(stored.EncryptionKey)
		if err != nil {
			return err
		}
		jwk = string(data)
	}
	texts := []formField{
		{Kind: "text", ID: "name", Label: "Name to show", Value: stored.Name},
		{Kind: "text", ID: "carriers", Label: "Carriers", Value: strings.Join(carrierNames(stored.Carriers), " "), Hint: "Some of cookie, bearer, jwt-cookie, jwe, jwe-cookie. The first is for a login that names none. Empty: all."},
		{Kind: "lines", ID: "origin_lines", Label: "Origins of its pages", Value: strings.Join(stored.Origins, "\n"), Hint: "One on each line, such as https://app.example. They may call the API, and a sign-in may lead back there."},
		{Kind: "lines", ID: "audience_lines", Label: "Audience of its tokens", Value: strings.Join(stored.Audience, "\n"), Hint: "One on each line. Empty: this server."},
		{Kind: "text", ID: "scope", Label: "Scopes that it may ask for", Value: strings.Join(stored.Scopes, " ")},
		{Kind: "choice", ID: "same_site", Label: "Cookies come with links from other sites", Value: stored.SameSite, Options: []string{"", clients.SameSiteLax, clients.SameSiteStrict}, Hint: "Empty is lax: a link from another site finds its visitor signed in."},
		{Kind: "choice", ID: "opens", Label: "Its tokens open at this server", Value: stored.Opens, Options: []string{"", clients.OpensNothing, clients.OpensAccount, clients.OpensAdministration}, Hint: "Services that get its tokens can do the same. Empty: the account for the client default, nothing for others."},
		{Kind: "text", ID: "access_ttl", Label: "Access tokens live for", Value: lifeText(stored.AccessTTL), Hint: "Such as 90s, 5m or 8h, and no longer than this server's, as the other three. Empty: this server's. For tokens that are made from now on."},
		{Kind: "text", ID: "idle", Label: "A cookie session ends after so long unused", Value: lifeText(stored.Idle), Hint: "For each session from its next use on."},
		{Kind: "text", ID: "refresh_idle", Label: "A login with tokens ends after so long without a refresh", Value: lifeText(stored.RefreshIdle), Hint: "At the next refresh, also for those who are signed in."},
		{Kind: "text", ID: "absolute", Label: "A login ends after so long in any case", Value: lifeText(stored.Absolute), Hint: "For logins from now on. To end older ones, revoke all sessions of the client."},
		{Kind: "lines", ID: "encryption_jwk", Label: "Key of the services that open its encrypted JWTs", Value: jwk, Hint: "A public JWK. Empty: the key of this server."},
	}
	for n := range texts {
		texts[n].Value = asked(values, texts[n].ID, texts[n].Value)
	}
	disabled := checked(values, "disabled", stored.Disabled)
	f.Fields = append(f.Fields, texts...)
	f.Fields = append(f.Fields, formField{Kind: "check", ID: "disabled", Label: "Nobody can sign in to it", Value: disabled})
	value := func(id string) string {
		for _, t := range texts {
			if t.ID == id {
				return t.Value
			}
		}
		return ""
	}
	body := api.ClientSettings{
		Name: value("name"), Audience: entries(value("audience_lines")), Origins: entries(value("origin_lines")), Scopes: entries(value("scope")),
		SameSite: value("same_site"), Opens: value("opens"), Disabled: disabled != "",
	}
	f.call, f.deed, f.next = call{Method: http.MethodPut, Path: at("clients", cmp.Or(id, "ID")), Body: body}, clientSet, inConsole("clients", id)
	for _, l := range []struct {
		id string
		to *clients.Lifetime
	}{{"access_ttl", &body.AccessTTL}, {"idle", &body.Idle}, {"refresh_idle", &body.RefreshIdle}, {"absolute", &body.Absolute}} {
		if l.to.UnmarshalText([]byte(value(l.id))) != nil {
			return misfit{l.id, "A lifetime is whole seconds with units, such as 90s, 15m or 8h."}
		}
	}
	for _, name := range entries(value("carriers")) {
		c, err := source.ParseCarrier(name)
		if err != nil {
			return misfit{"carriers", "A carrier is cookie, bearer, jwt-cookie, jwe or jwe-cookie."}
		}
		body.Carriers = append(body.Carriers, c)
	}
	if text := value("encryption_jwk"); text != "" {
		key, err := clients.ParseEncryptionKey([]byte(text))
		if err != nil {
			return misfit{"encryption_jwk", "That is no public key for encryption: a JWK on P-256 or X25519, with kid, use enc, and alg ECDH-ES or ECDH-ES+A256KW."}
		}
		body.EncryptionKey = key
	}
	f.call.Body = body
	return nil
}

func endClientSessions(v *visit, _ url.Values) (*formPage, error) {
	f, c, err := v.ofClient("Revoke all sessions of", "Revoke all")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"Everybody who is signed in to this client is signed out of it. They can sign in again."}
	f.Name, f.Danger = c.ID, true
	f.call, f.deed = call{Method: http.MethodPost, Path: at("revocations"), Body: api.Revocation{Scope: source.ScopeClient, ID: c.ID, Reason: "ended by an administrator"}}, clientEnded
	return f, nil
}

func deleteClient(v *visit, _ url.Values) (*formPage, error) {
	f, c, err := v.ofClient("Delete", "Delete the client")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"Every session of this client ends, and its settings are deleted. This cannot be undone."}
	f.Name, f.Danger = c.ID, true
	f.call, f.deed, f.next = call{Method: http.MethodDelete, Path: at("clients", c.ID)}, clientDeleted, inConsole("clients")
	return f, nil
}

package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
)

// consolePage is how many rows a list of the console shows: a page stays below 60 KiB.
const consolePage = 50

// usersPage is a page of the users.
type usersPage struct {
	consoleFrame
	Filters filterBar
	Count   string
	Users   []userLine
	Exports []export
	Next    string
}

// userLine is a user in words.
type userLine struct{ api.User }

// Called is the name of the user, or else the identifier.
func (l userLine) Called() string { return cmp.Or(l.Name, l.Identifier, l.ID) }

// Active reports whether the user may sign in.
func (l userLine) Active() bool { return l.Status == "active" }

// Impersonable reports whether the user is none whom nobody impersonates. What the sessions of the user hold,
// only the API knows.
func (l userLine) Impersonable() bool {
	return l.Active() && !slices.ContainsFunc(l.Roles, accounts.Administers)
}

func inLine(u api.User) userLine { return userLine{u} }

func (v *visit) users() error {
	query := v.listing(consolePage, "q", "role", "disabled", "created", "created_before")
	query.Set("count", "true")
	bar := filterBar{"/admin/users", []formField{
		{Kind: "search", ID: "q", Label: "Name, address or id"}, {Kind: "text", ID: "role", Label: "Role"},
		{Kind: "choice", ID: "disabled", Label: "Disabled", Options: []string{"", "true", "false"}},
		{Kind: "date", ID: "created", Label: "Since day (UTC)"}, {Kind: "date", ID: "created_before", Label: "Up to day (UTC)"},
	}}
	var all api.Users
	list, asked, p, err := v.search(at("users"), query, map[string]int{"created": 0, "created_before": 1}, &all)
	if err != nil {
		return err
	}
	f, err := v.page([]string{"users"}, "Users", list)
	if err != nil {
		return err
	}
	page := usersPage{consoleFrame: f, Filters: bar.filled(asked), Count: counting(all.Counted, "user"), Exports: v.exports(list), Next: v.nextPage(asked, all.Next)}
	for _, u := range all.Users {
		page.Users = append(page.Users, inLine(u))
	}
	return v.renderFound(p, "console_users.html", &page.consoleFrame, &page)
}

// userPage is a user with sessions and history.
type userPage struct {
	consoleFrame
	User     userLine
	Sessions sessionList
	Next     string
	History  []auditLine
}

func (v *visit) user() error {
	id := v.r.PathValue("id")
	query := v.listing(consolePage)
	one, sessions := get(at("users", id), nil), get(at("users", id, "sessions"), query)
	history := get(at("audit"), url.Values{"subject": {id}, "limit": {"20"}})
	var u api.User
	var held api.Sessions
	var past api.AuditPage
	reads := []read{{one, &u}, {sessions, &held}}
	if v.may(rights.Audit) {
		reads = append(reads, read{history, &past})
	}
	f, err := v.pageOf([]string{"users"}, "", reads...)
	if err != nil {
		return err
	}
	f.Title = plain(inLine(u).Called())
	page := userPage{consoleFrame: f, User: inLine(u), Sessions: sessionList{Shown: sessionsFirst}, Next: v.nextPage(query, held.Next), History: v.auditLines(past)}
	slices.SortFunc(held.Sessions, func(a, b api.SessionRow) int { return b.LastSeen.Compare(a.LastSeen) })
	for _, row := range held.Sessions {
		page.Sessions.Lines = append(page.Sessions.Lines, v.held(row))
	}
	for _, id := range held.Damaged {
		page.Sessions.Lines = append(page.Sessions.Lines, v.damaged(id))
	}
	return v.render(http.StatusOK, "console_user.html", &page)
}

// formAt begins a form.
func (v *visit) formAt(part []string, title, back, button string) *formPage {
	return &formPage{consoleFrame: v.frameAt(part, title, ""), Back: back, Button: button}
}

const rolesHint = "With blanks between them. admin opens the console."

func newUser(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"users"}, "New user", inConsole("users"), "Create user")
	f.Says = []string{"The user gets no password. You get a link, to be sent to the user, who chooses the password with it."}
	mail := checked(values, "mail", false)
	body := api.NewUser{Identifier: asked(values, "identifier", ""), Name: asked(values, "name", ""), Roles: entries(asked(values, "roles", "")), Address: asked(values, "address", ""), Mail: mail == "on"}
	f.Fields = []formField{
		{Kind: "text", ID: "identifier", Label: "Name or e-mail address to sign in with", Value: body.Identifier, Required: true},
		{Kind: "text", ID: "name", Label: "Name to show", Value: body.Name},
		{Kind: "text", ID: "address", Label: "E-mail address", Value: body.Address, Hint: "Where mail for the user goes, if that is not what they sign in with."},
		{Kind: "text", ID: "roles", Label: "Roles", Value: strings.Join(body.Roles, " "), Hint: rolesHint},
		{Kind: "check", ID: "mail", Label: "Mail the link to the user, and show it to nobody else", Value: mail},
	}
	f.call = call{Method: http.MethodPost, Path: at("users"), Body: body}
	return f, nil
}

// invitedPage shows an invitation, once.
type invitedPage struct {
	consoleFrame
	User       userLine
	Invitation api.Invitation
}

func userInvited(v *visit, f *formPage, answer []byte) error {
	var made api.Invited
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	if made.Invitation == nil {
		made.Invitation = &api.Invitation{}
	}
	return v.invited(f, made.User, *made.Invitation)
}

func (v *visit) invited(f *formPage, u api.User, i api.Invitation) error {
	page := invitedPage{consoleFrame: v.frameAt([]string{"users"}, "Invitation", ""), User: inLine(u), Invitation: i}
	if err := page.show(v.s, f.call); err != nil {
		return err
	}
	return v.render(http.StatusCreated, "console_invited.html", &page)
}

// ofUser begins a form about the user that the path names.
func (v *visit) ofUser(title, button string) (*formPage, api.User, error) {
	var u api.User
	id := v.r.PathValue("id")
	if err := v.send(get(at("users", id), nil), &u); err != nil {
		return nil, u, err
	}
	return v.formAt([]string{"users"}, title+" "+inLine(u).Called(), inConsole("users", id), button), u, nil
}

// typedName is what is typed to confirm that u is meant.
func typedName(u api.User) string { return cmp.Or(u.Identifier, u.ID) }

func editUser(v *visit, values url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Change", "Save")
	if err != nil {
		return nil, err
	}
	address := asked(values, "address", u.Address)
	name, roles := asked(values, "name", u.Name), entries(asked(values, "roles", strings.Join(u.Roles, " ")))
	f.Fields = []formField{
		{Kind: "text", ID: "name", Label: "Name to show", Value: name},
		{Kind: "text", ID: "address", Label: "E-mail address", Value: address, Hint: "The user has to prove another one before it counts as theirs."},
		{Kind: "text", ID: "roles", Label: "Roles", Value: strings.Join(roles, " "), Hint: rolesHint},
	}
	var body api.ChangeUser
	if name != u.Name {
		body.Name = &name
	}
	if address != u.Address {
		body.Address = &address
	}
	if !slices.Equal(roles, u.Roles) {
		roles = append([]string{}, roles...)
		body.Roles = &roles
	}
	f.call, f.deed = call{Method: http.MethodPatch, Path: at("users", u.ID), Body: body}, userChanged
	return f, nil
}

func inviteUser(v *visit, values url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Invite", "Make the link")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"Makes a link with which the user chooses another password. The present one stays good until then."}
	f.call = call{Method: http.MethodPost, Path: at("users", u.ID, "invitations")}
	if u.Address != "" {
		mail := checked(values, "mail", false)
		f.Fields = []formField{{Kind: "check", ID: "mail", Label: "Mail the link to " + u.Address + ", and show it to nobody else", Value: mail}}
		if mail == "on" {
			f.call.Body = api.Invite{Mail: true}
		}
	}
	return f, nil
}

func userInvitedAgain(v *visit, f *formPage, answer []byte) error {
	var i api.Invitation
	if err := json.Unmarshal(answer, &i); err != nil {
		return err
	}
	var u api.User
	if err := v.send(get(at("users", v.r.PathValue("id")), nil), &u); err != nil {
		return err
	}
	return v.invited(f, u, i)
}

func disableUser(v *visit, _ url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Disable", "Disable and end all sessions")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"Every session ends, and the user can sign in no more until you enable them again."}
	f.Name, f.Danger = typedName(u), true
	status := "disabled"
	f.call, f.deed = call{Method: http.MethodPatch, Path: at("users", u.ID), Body: api.ChangeUser{Status: &status}}, userDisabled
	return f, nil
}

func enableUser(v *visit, _ url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Enable", "Enable")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"The user may sign in again, with the password that they had."}
	status := "active"
	f.call, f.deed = call{Method: http.MethodPatch, Path: at("users", u.ID), Body: api.ChangeUser{Status: &status}}, userEnabled
	return f, nil
}

func impersonateUser(v *visit, values url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Impersonate", "Sign in as the user")
	if err != nil {
		return nil, err
	}
	f.Says = []string{
		"This browser will be signed in as the user instead of you, for an hour at most. In the apps you see what the user sees. The account pages of the user stay closed to you.",
		"The user is told your name and the reason, and can end it. It also ends when your own session ends. When you sign out of it, your own session ends, too, and you sign in again.",
	}
	body := api.Impersonation{Reason: asked(values, "reason", ""), Carrier: "cookie"}
	f.Fields = []formField{{Kind: "text", ID: "reason", Label: "Reason", Value: body.Reason, Hint: "The user reads it.", Required: true}}
	f.Name, f.Danger = typedName(u), true
	f.call = call{Method: http.MethodPost, Path: at("users", u.ID, "impersonation"), Body: body, ByPerson: true}
	return f, nil
}

// actingPage says that the browser is signed in as a user.
type actingPage struct {
	consoleFrame
	User userLine
}

// impersonated shows no part of the console: the browser has another session now.
func impersonated(v *visit, f *formPage, _ []byte) error {
	var u api.User
	if err := v.send(get(at("users", v.r.PathValue("id")), nil), &u); err != nil {
		return err
	}
	page := actingPage{consoleFrame: v.frameAt([]string{"users"}, "You act as "+inLine(u).Called(), ""), User: inLine(u)}
	page.Layout, page.Nav, page.Who = onCard, nil, ""
	if err := page.show(v.s, f.call); err != nil {
		return err
	}
	return v.render(http.StatusCreated, "console_acting.html", &page)
}

func endUserSessions(v *visit, _ url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Revoke all sessions of", "Revoke all")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"Every device of the user is signed out, everywhere. The user can sign in again."}
	f.Name, f.Danger = typedName(u), true
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("users", u.ID, "sessions")}, userEnded
	return f, nil
}

func endUndos(v *visit, _ url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Keep the address of", "Void the links")
	if err != nil {
		return nil, err
	}
	f.Says = []string{
		"An earlier address of the user was sent a link that gives it back for 72 hours, and lets its reader choose another password. Every such link becomes void.",
		"Do this if an earlier mailbox is in other hands, and you know that the user made the change.",
	}
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("users", u.ID, "undos")}, undosEnded
	return f, nil
}

func deleteUser(v *visit, _ url.Values) (*formPage, error) {
	f, u, err := v.ofUser("Delete", "Delete the user")
	if err != nil {
		return nil, err
	}
	f.Says = []string{"Every session ends, and the user, the password and the other credentials are deleted. This cannot be undone. The audit trail keeps what was done."}
	f.Name, f.Danger = typedName(u), true
	f.call, f.deed, f.next = call{Method: http.MethodDelete, Path: at("users", u.ID)}, userDeleted, inConsole("users")
	return f, nil
}

func endSession(v *visit, _ url.Values) (*formPage, error) {
	var row api.SessionRow
	sid := v.r.PathValue("sid")
	one := call{Method: http.MethodDelete, Path: at("sessions", sid)}
	err := v.send(get(at("sessions", sid), nil), &row)
	switch {
	case is(problem(err), "damaged"): // it can be ended nevertheless
		row.ID = sid
	case err != nil:
		return nil, err
	}
	f := v.formAt([]string{"users"}, "Revoke a session", inConsole("users", row.Subject), "Revoke the session")
	f.Says = []string{"The session stops working everywhere. The user can sign in again."}
	if row.DeviceLabel != "" {
		of := api.User{ID: row.Subject}
		if err := v.send(get(at("users", row.Subject), nil), &of); err != nil && !is(problem(err), "not-found") {
			return nil, err
		}
		whose := inLine(of).Called()
		if of.Identifier != "" && of.Identifier != whose {
			whose += " (" + of.Identifier + ")"
		}
		f.Says = append([]string{row.DeviceLabel + " of " + whose + ", signed in " + inUTC(row.Created) + ", last seen " + inUTC(row.LastSeen) + "."}, f.Says...)
	}
	if row.Subject == "" {
		f.Back = inConsole("users")
	}
	f.Danger, f.call, f.deed = true, one, sessionRevoked
	return f, nil
}

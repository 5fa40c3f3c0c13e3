package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/login/password"
)

// errLeftOut is a user of an export who is not imported.
var errLeftOut = errors.New("left out")

// eachExported calls take with each user of an export, turned into a line by convert, its
// number, and its size. Exports are objects with a member users, or lists of such objects.
func (i *importing) eachExported(convert func(data []byte) (importLine, error), take func(u importLine, n, size int) error) error {
	n := 0
	err := usersOf(json.NewDecoder(i.in), true, func(data []byte) error {
		n++
		u, err := convert(data)
		switch {
		case errors.Is(err, errLeftOut):
			i.counts.LeftOut++
			return nil
		case err != nil:
			i.refuse(n, u.Identifier, err.Error())
			return nil
		}
		return take(u, n, len(data))
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("%s has no users in it\nhint: the file must be an export of %s with users, not the realm or the project alone", i.File, i.From)
	}
	return err
}

// usersOf calls take with each element of the members users and federatedUsers. It keeps one in memory at a
// time. With list, there may be a list of objects: a list in a list is no export, and could be deeper than the stack.
func usersOf(in *json.Decoder, list bool, take func(data []byte) error) error {
	start, err := in.Token()
	if err != nil {
		return notJSON(err)
	}
	switch {
	case start == json.Delim('[') && list: // of realms
		for in.More() {
			if err := usersOf(in, false, take); err != nil {
				return err
			}
		}
	case start == json.Delim('{'):
		for in.More() {
			name, err := in.Token()
			if err != nil {
				return notJSON(err)
			}
			if name != "users" && name != "federatedUsers" {
				if err := in.Decode(new(json.RawMessage)); err != nil {
					return notJSON(err)
				}
				continue
			}
			if list, err := in.Token(); err != nil || list != json.Delim('[') {
				return errors.Join(fmt.Errorf("%s is not a list", name), err)
			}
			for in.More() {
				var data json.RawMessage
				if err := in.Decode(&data); err != nil {
					return notJSON(err)
				}
				if err := take(data); err != nil {
					return err
				}
			}
			if _, err := in.Token(); err != nil {
				return notJSON(err)
			}
		}
	default:
		return errors.New("the export is neither a JSON object nor a list of them")
	}
	_, err = in.Token()
	return notJSON(err)
}

// notJSON says no more than where: the text around may have a secret.
func notJSON(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the export is no JSON, at byte %d", syntax.Offset)
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the export ends in the middle")
	}
	return err
}

// keycloakFlags are for exports of Keycloak.
type keycloakFlags struct {
	Identifier string   `enum:"email,username" default:"email" help:"What users of an export of Keycloak sign in with; email is the user name where there is none."`
	RolesOf    []string `placeholder:"CLIENT" help:"Client of Keycloak whose roles users keep, beside those of the realm; may be repeated."`
	KeepAdmin  bool     `help:"Users of an export keep the roles admin, support and auditor, which are those of administration here."`
}

// keycloakUser is what is read of a user of a realm.
type keycloakUser struct {
	ID, Username, Email, FirstName, LastName string
	Enabled, EmailVerified                   bool
	CreatedTimestamp                         int64 // ms
	ServiceAccountClientID                   string
	FederationLink                           string
	FederatedIdentities                      []json.RawMessage
	RequiredActions, RealmRoles, Groups      []string
	ClientRoles                              map[string][]string
	Credentials                              []password.KeycloakCredential
}

// keycloak turns a user of Keycloak into a line.
func (i *importing) keycloak(data []byte) (line importLine, err error) {
	var u keycloakUser
	if err := json.Unmarshal(data, &u); err != nil {
		return line, errors.New("is no user of Keycloak")
	}
	line.Identifier = u.Email
	if u.Email == "" || i.Identifier == "username" {
		line.Identifier = u.Username
	}
	switch {
	case u.ServiceAccountClientID != "":
		return line, errLeftOut // a program: it gets an API key
	case line.Identifier == "": // federatedUsers: what Keycloak keeps of users of another directory
		i.lost("kept in another directory, and not imported")
		return line, errLeftOut
	}
	line.ID, line.Name = u.ID, strings.TrimSpace(u.FirstName+" "+u.LastName)
	if line.Status = "disabled"; u.Enabled {
		line.Status = "active"
	}
	if u.CreatedTimestamp > 0 {
		line.Created = time.UnixMilli(u.CreatedTimestamp).UTC()
	}
	line.Address, line.AddressVerified = i.exportedAddress(u.Email, u.EmailVerified)
	line.Roles = i.keycloakRoles(u)
	line.Keycloak = i.keycloakPassword(u)
	return line, nil
}

// keycloakRoles is the roles that mean something here. A role that has the name of ours for
// administrators is not one unless the caller says so: in the realm it may be the
// administrator of something else.
func (i *importing) keycloakRoles(u keycloakUser) (roles []string) {
	theirs := slices.Clone(u.RealmRoles)
	for client, of := range u.ClientRoles {
		if slices.Contains(i.RolesOf, client) {
			theirs = append(theirs, of...)
		} else if len(of) > 0 && client != "account" { // each user has roles of that one
			i.lost("roles of the client " + client + ", which --roles-of keeps")
		}
	}
	for _, role := range theirs {
		switch {
		case role == "offline_access", role == "uma_authorization", strings.HasPrefix(role, "default-roles-"), slices.Contains(roles, role):
		case accounts.Administers(role) && !i.KeepAdmin:
			i.lost("role " + role + ", which is one of administration here; --keep-admin keeps it")
		case check.Text("role", role, 64) != nil:
			i.lost("a role whose name is longer than 64 characters, or has others than printable ASCII")
		default:
			roles = append(roles, role)
		}
	}
	if len(u.Groups) > 0 {
		i.lost("groups, and the roles of groups")
	}
	return roles
}

// keycloakPassword is the credential that the user signs in with; nil: there is none that is
// kept.
func (i *importing) keycloakPassword(u keycloakUser) (used *password.KeycloakCredential) {
	if slices.Contains(u.RequiredActions, "UPDATE_PASSWORD") {
		i.lost("a password that must be changed at the next login; invite them")
		return nil
	}
	for _, c := range u.Credentials {
		switch {
		case c.Type == "password" && c.Value != "":
			i.lost("a password in clear, which is not imported; invite them")
		case c.Type == "password" && c.Temporary:
			i.lost("a password that must be changed at the next login; invite them")
		case c.Type == "password" && used == nil:
			used = &c
		case c.Type != "password" && c.Type != "password-history":
			i.lost("a second factor or passkey (" + c.Type + ")")
		}
	}
	switch {
	case used != nil:
	case u.FederationLink != "":
		i.lost("a password that another directory keeps; invite them")
	case len(u.FederatedIdentities) > 0:
		i.lost("a sign-in at another provider, and no password; invite them")
	}
	return used
}

// firebaseUser is what is read of a user of "firebase auth:export".
type firebaseUser struct {
	LocalID, Email, DisplayName, PasswordHash, Salt string
	Disabled, EmailVerified                         bool
	CreatedAt                                       json.Number // ms
	CustomAttributes                                string
	MFAInfo                                         []json.RawMessage
}

// exportedByFirebase turns a user of Firebase into a line.
func (i *importing) exportedByFirebase(data []byte) (line importLine, err error) {
	var u firebaseUser
	if err := json.Unmarshal(data, &u); err != nil {
		return line, errors.New("is no user of Firebase")
	}
	line.ID, line.Identifier, line.Name = u.LocalID, u.Email, u.DisplayName
	if u.Email == "" {
		i.lost("no e-mail address to sign in with, and not imported")
		return line, errLeftOut
	}
	if line.Status = "active"; u.Disabled {
		line.Status = "disabled"
	}
	if ms, err := u.CreatedAt.Int64(); err == nil {
		line.Created = time.UnixMilli(ms).UTC()
	}
	line.Address, line.AddressVerified = i.exportedAddress(u.Email, u.EmailVerified)
	if u.CustomAttributes != "" && u.CustomAttributes != "{}" {
		i.lost("custom claims")
	}
	if len(u.MFAInfo) > 0 {
		i.lost("a second factor")
	}
	if u.PasswordHash == "" {
		i.lost("a sign-in at another provider, and no password; invite them")
		return line, nil
	}
	line.Firebase = &firebaseHash{u.PasswordHash, u.Salt}
	return line, nil
}

// exportedAddress is the mail address of a user, if mail can be sent there.
func (i *importing) exportedAddress(email string, verified bool) (address string, _ bool) {
	if email == "" {
		return "", false
	}
	address, err := directory.CanonicalAddress(email)
	if err != nil {
		i.lost("an e-mail address that no mail is sent to: it is not in ASCII, or not like ada@example.com")
		return "", false
	}
	return address, verified
}

// lost counts that a user had what.
func (i *importing) lost(what string) { i.counts.Lost[what]++ }

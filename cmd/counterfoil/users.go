package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

type userAdd struct {
	placeFlags
	Identifier string   `arg:"" help:"What the user signs in with."`
	Name       string   `placeholder:"NAME" help:"Display name."`
	Role       []string `placeholder:"ROLE" help:"Role; may be repeated."`
	Address    string   `placeholder:"ADDRESS" help:"Where mail for the user goes; the default is the identifier, if it is a mail address."`
	Invite     bool     `help:"Print an invitation to choose a password instead of reading one; it is good for 24 hours."`
	Mail       bool     `help:"Mail the invitation to the user instead of printing it."`
}

// Run adds a user with a password that is typed or comes from standard input, or with an
// invitation. The password is never an argument: everybody on the machine can read those.
func (c *userAdd) Run(ctx context.Context) error {
	if c.Invite && c.Mail {
		return misuse("an invitation is printed (--invite) or mailed (--mail)")
	}
	c.Invite = c.Invite || c.Mail
	password := ""
	if !c.Invite {
		var err error
		if password, err = newPassword(ctx); err != nil {
			return err
		}
	}
	return c.withNew(ctx, func(a *admin) error {
		made, err := a.CreateUser(ctx, api.NewUser{Identifier: c.Identifier, Name: c.Name, Roles: c.Role, Address: c.Address, Mail: c.Mail})
		if answered(err) == http.StatusConflict {
			return fmt.Errorf("%w\nhint: counterfoil user show %s prints the user who has it", err, c.Identifier)
		}
		if err != nil {
			return err
		}
		if !c.Invite {
			if err := a.Redeem(ctx, made.Invitation.Token, password); err != nil {
				// The command makes the whole user or none.
				if undone := a.DeleteUser(ctx, made.User.ID); undone != nil {
					return fmt.Errorf("%w; user %s is left without a password: %w", err, made.User.ID, undone)
				}
				return err
			}
			made.Invitation, made.User.HasPassword = nil, true
		}
		if c.JSON {
			return writeJSON(os.Stdout, made)
		}
		fmt.Println(made.User.ID)
		if c.Invite {
			printInvitation(made.Invitation)
		}
		return nil
	})
}

func printInvitation(i *api.Invitation) {
	if i.MailedTo != "" {
		fmt.Printf("mailed to %s\nuntil %s\n", i.MailedTo, i.Expires.Format(time.RFC3339))
		return
	}
	fmt.Printf("invitation %s\nopen %s\nuntil %s\n", i.Token, i.URL, i.Expires.Format(time.RFC3339))
	fmt.Fprintln(os.Stderr, "The user chooses the password on that page. Send the link by a way that nobody else reads.")
}

type userList struct {
	placeFlags
	Text     string    `arg:"" optional:"" help:"Beginnings of what the users sign in with, of words of their names, or of their ids."`
	Role     string    `placeholder:"ROLE" help:"Only users with this role."`
	Disabled *bool     `negatable:"" help:"Only users who are disabled, or who are not."`
	Created  time.Time `placeholder:"TIME" help:"Only users who were made at this time or later, such as 2026-11-30T12:00:00Z."`
	Before   time.Time `placeholder:"TIME" help:"Only users who were made before this time."`
	Format   string    `placeholder:"FORMAT" help:"Print csv, for a spreadsheet, or jsonl, one JSON object a line."`
}

// Run lists all users, by id, or those for whom each filter holds.
func (c *userList) Run(ctx context.Context) error {
	if err := checkFormat(c.Format); err != nil {
		return err
	}
	if c.Format != "" && c.JSON {
		return misuse("--format does not go with --json")
	}
	return c.with(ctx, func(a *admin) error {
		found := a.FindUsers(ctx, api.UserFilter{Text: c.Text, Role: c.Role, Disabled: c.Disabled, Created: c.Created, Before: c.Before})
		if c.Format != "" {
			return printRows(os.Stdout, c.Format, api.UserColumns, found, api.UserCells, 0)
		}
		all, err := collect(found)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		return printUsers(all)
	})
}

// userState is the status, or "no password" for an active user who cannot sign in yet.
func userState(u api.User) string {
	if u.Status == "active" && !u.HasPassword {
		return "no password"
	}
	return u.Status
}

func printUsers(users []api.User) error {
	var rows [][]string
	for _, u := range users {
		rows = append(rows, []string{u.ID, u.Identifier, userState(u), strings.Join(u.Roles, ",")})
	}
	return table([]column{{name: "ID"}, {"IDENTIFIER", true}, {name: "STATUS"}, {"ROLES", true}}, rows)
}

// user finds a user by id, or by what the user signs in with. An id that was kept from elsewhere
// may be what another user signs in with; then nobody is meant.
func (a *admin) user(ctx context.Context, name string) (api.User, error) {
	if strings.HasPrefix(name, "usr_") {
		return a.User(ctx, name)
	}
	byID, err := a.User(ctx, name)
	if err != nil && answered(err) != http.StatusNotFound {
		return api.User{}, err
	}
	for u, err := range a.Users(ctx) {
		switch {
		case err != nil:
			return api.User{}, err
		case !strings.EqualFold(u.Identifier, name):
		case byID.ID != "" && byID.ID != u.ID:
			return api.User{}, fmt.Errorf("%s is the id of %s, and what user %s signs in with\nhint: name the user by the other of both", name, byID.Identifier, u.ID)
		default:
			return u, nil
		}
	}
	if byID.ID != "" {
		return byID, nil
	}
	return api.User{}, fmt.Errorf("user %s: %w\nhint: counterfoil user list prints the users", name, &api.Error{Status: http.StatusNotFound, Title: "Not found"})
}

// oneUser is what the commands about one user have in common.
type oneUser struct {
	placeFlags
	User string `arg:"" help:"Id, or what the user signs in with."`
}

func (c *oneUser) each(ctx context.Context, f func(*admin, api.User) error) error {
	return c.with(ctx, func(a *admin) error {
		u, err := a.user(ctx, c.User)
		if err != nil {
			return err
		}
		return f(a, u)
	})
}

// patch changes the user and shows it.
func (c *oneUser) patch(ctx context.Context, change api.ChangeUser) error {
	return c.each(ctx, func(a *admin, u api.User) error {
		changed, err := a.ChangeUser(ctx, u.ID, change)
		if err != nil {
			return err
		}
		return c.show(changed)
	})
}

func (c *oneUser) show(u api.User) error {
	if c.JSON {
		return writeJSON(os.Stdout, u)
	}
	password := "none"
	if u.HasPassword {
		password = "set"
	}
	return sheet([][2]string{
		{"id", u.ID}, {"identifier", u.Identifier}, {"name", u.Name}, {"status", u.Status}, {"password", password},
		{"roles", strings.Join(u.Roles, ", ")}, {"created", minute(u.Created)}, {"address", addressOf(u)},
	})
}

// addressOf is where mail for the user goes.
func addressOf(u api.User) string {
	switch {
	case u.Address == "":
		return "none"
	case u.AddressVerified:
		return u.Address + " (verified)"
	}
	return u.Address + " (not verified)"
}

type userAddress struct {
	oneUser
	Address  string `arg:"" help:"Mail address of the user, or - for none."`
	Verified bool   `help:"You know that the user reads mail there. Otherwise the user has to prove it."`
}

// Run sets where mail for a user goes.
func (c *userAddress) Run(ctx context.Context) error {
	if c.Address == "-" {
		c.Address = ""
	}
	return c.patch(ctx, api.ChangeUser{Address: &c.Address, AddressVerified: &c.Verified})
}

type userEndUndo struct{ oneUser }

// Run makes sure that a user keeps the address of now.
func (c *userEndUndo) Run(ctx context.Context) error {
	return c.each(ctx, func(a *admin, u api.User) error {
		if err := a.EndUndos(ctx, u.ID); err != nil {
			return err
		}
		return c.show(u)
	})
}

type userShow struct{ oneUser }

// Run shows one user.
func (c *userShow) Run(ctx context.Context) error {
	return c.each(ctx, func(_ *admin, u api.User) error { return c.show(u) })
}

type userDisable struct{ oneUser }

// Run disables a user and ends its sessions.
func (c *userDisable) Run(ctx context.Context) error {
	return c.patch(ctx, api.ChangeUser{Status: new("disabled")})
}

type userEnable struct{ oneUser }

// Run lets a disabled user sign in again.
func (c *userEnable) Run(ctx context.Context) error {
	return c.patch(ctx, api.ChangeUser{Status: new("active")})
}

type userRoles struct {
	oneUser
	Roles []string `arg:"" optional:"" help:"All roles that the user shall have."`
	None  bool     `help:"Take all roles away."`
}

// Run sets the roles of a user, also in the sessions of the user.
func (c *userRoles) Run(ctx context.Context) error {
	if (len(c.Roles) == 0) != c.None {
		return misuse("name all roles that the user shall have, or --none")
	}
	roles := append([]string{}, c.Roles...)
	return c.patch(ctx, api.ChangeUser{Roles: &roles})
}

type userDelete struct {
	oneUser
	sureFlags
}

// Run ends the sessions of a user and deletes the user.
func (c *userDelete) Run(ctx context.Context) error {
	return c.each(ctx, func(a *admin, u api.User) error {
		sure, err := c.sure(ctx, c.JSON, func(pages int) (plan, error) { return a.userEnd(ctx, u, pages) })
		if err != nil || !sure {
			return err
		}
		if err := a.DeleteUser(ctx, u.ID); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, map[string]string{"deleted": u.ID})
		}
		return nil
	})
}

// userEnd is the plan of deleting a user.
func (a *admin) userEnd(ctx context.Context, u api.User, pages int) (plan, error) {
	p, err := a.revocation(ctx, source.ScopeSubject, u.ID, fmt.Sprintf("user %s (%s)", u.Identifier, u.ID), pages)
	p.Effect = "the account cannot be brought back"
	return p, err
}

type userInvite struct {
	oneUser
	Mail bool `help:"Mail it to the user instead of printing it."`
}

// Run prints or mails an invitation to choose a password. An old one stays valid until the invitation is
// used.
func (c *userInvite) Run(ctx context.Context) error {
	return c.each(ctx, func(a *admin, u api.User) error {
		invite := a.Invite
		if c.Mail {
			invite = a.InviteByMail
		}
		i, err := invite(ctx, u.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, i)
		}
		printInvitation(&i)
		return nil
	})
}

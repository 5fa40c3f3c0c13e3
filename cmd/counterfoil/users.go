package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// userView is a user as the API shows it.
type userView struct {
	ID          string    `json:"id"`
	Identifier  string    `json:"identifier"`
	Name        string    `json:"name,omitempty"`
	Status      string    `json:"status"`
	Roles       []string  `json:"roles"`
	HasPassword bool      `json:"has_password"`
	Created     time.Time `json:"created"`
}

// invitation lets whoever holds its token choose the password.
type invitation struct {
	Token   string    `json:"token"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

type userAdd struct {
	placeFlags
	Identifier string   `arg:"" help:"What the user signs in with."`
	Name       string   `placeholder:"NAME" help:"Display name."`
	Role       []string `placeholder:"ROLE" help:"Role; may be repeated."`
	Invite     bool     `help:"Print an invitation to choose a password instead of reading one."`
}

// Run adds a user with a password from standard input, or an invitation. The
// password is never a flag: those are seen by everybody on the machine.
func (c *userAdd) Run(ctx context.Context) error {
	password := ""
	if !c.Invite {
		var err error
		if password, err = readPassword(os.Stdin); err != nil {
			return err
		}
	}
	return c.withNew(ctx, func(a *admin) error {
		var made struct {
			User       userView    `json:"user"`
			Invitation *invitation `json:"invitation,omitempty"`
		}
		body := map[string]any{"identifier": c.Identifier, "name": c.Name, "roles": append([]string{}, c.Role...)}
		if err := a.call(ctx, "POST", "/v1/admin/users", body, &made); err != nil {
			return err
		}
		if !c.Invite {
			choose := map[string]string{"token": made.Invitation.Token, "password": password}
			if err := a.call(ctx, "POST", "/v1/invitations", choose, nil); err != nil {
				// Nothing is left of a user who could not be made as asked.
				if undone := a.call(ctx, "DELETE", "/v1/admin/users/"+escaped(made.User.ID), nil, nil); undone != nil {
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
			made.Invitation.print()
		}
		return nil
	})
}

func (i *invitation) print() {
	fmt.Printf("invitation %s\nopen %s\nuntil %s\n", i.Token, i.URL, i.Expires.Format(time.RFC3339))
	fmt.Fprintln(os.Stderr, "Its holder chooses the password on that page.")
}

// readPassword reads the first line.
func readPassword(in *os.File) (string, error) {
	if info, err := in.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprint(os.Stderr, "password (shown as you type): ")
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", misuse("no password on standard input\nhint: pipe it into this command, or use --invite")
	}
	return line, nil
}

type userList struct {
	placeFlags
}

// Run lists all users.
func (c *userList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		all := []userView{}
		if err := a.users(ctx, func(u userView) bool { all = append(all, u); return true }); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		return printUsers(all)
	})
}

// state is what stands between the user and a login, if anything does.
func (u userView) state() string {
	if u.Status == "active" && !u.HasPassword {
		return "no password"
	}
	return u.Status
}

func printUsers(users []userView) error {
	var rows [][]string
	for _, u := range users {
		rows = append(rows, []string{u.ID, u.Identifier, u.state(), strings.Join(u.Roles, ",")})
	}
	return table([]column{{name: "ID"}, {"IDENTIFIER", true}, {name: "STATUS"}, {"ROLES", true}}, rows)
}

// users calls f for each user until it returns false.
func (a *admin) users(ctx context.Context, f func(userView) bool) error {
	for cursor := ""; ; {
		var page struct {
			Users []userView `json:"users"`
			Next  string     `json:"next"`
		}
		if err := a.call(ctx, "GET", "/v1/admin/users?limit=200"+cursor, nil, &page); err != nil {
			return err
		}
		for _, u := range page.Users {
			if !f(u) {
				return nil
			}
		}
		if page.Next == "" {
			return nil
		}
		cursor = "&cursor=" + page.Next
	}
}

// user finds one by id, or by what it signs in with.
func (a *admin) user(ctx context.Context, name string) (u userView, err error) {
	if strings.HasPrefix(name, "usr_") {
		err = a.call(ctx, "GET", "/v1/admin/users/"+escaped(name), nil, &u)
		return u, err
	}
	found := false
	err = a.users(ctx, func(other userView) bool {
		if strings.EqualFold(other.Identifier, name) {
			u, found = other, true
		}
		return !found
	})
	if err == nil && !found {
		err = fmt.Errorf("user %s: %w", name, &refused{Status: 404, Title: "Not found"})
	}
	return u, err
}

// oneUser is what the commands about one user have in common.
type oneUser struct {
	placeFlags
	User string `arg:"" help:"Id, or what the user signs in with."`
}

func (c *oneUser) each(ctx context.Context, f func(*admin, userView) error) error {
	return c.with(ctx, func(a *admin) error {
		u, err := a.user(ctx, c.User)
		if err != nil {
			return err
		}
		return f(a, u)
	})
}

// patch changes the user and shows it.
func (c *oneUser) patch(ctx context.Context, change map[string]any) error {
	return c.each(ctx, func(a *admin, u userView) error {
		if err := a.call(ctx, "PATCH", "/v1/admin/users/"+escaped(u.ID), change, &u); err != nil {
			return err
		}
		return c.show(u)
	})
}

func (c *oneUser) show(u userView) error {
	if c.JSON {
		return writeJSON(os.Stdout, u)
	}
	password := "none"
	if u.HasPassword {
		password = "set"
	}
	return sheet([][2]string{
		{"id", u.ID}, {"identifier", u.Identifier}, {"name", u.Name}, {"status", u.Status}, {"password", password},
		{"roles", strings.Join(u.Roles, ", ")}, {"created", minute(u.Created)},
	})
}

type userShow struct{ oneUser }

// Run shows one user.
func (c *userShow) Run(ctx context.Context) error {
	return c.each(ctx, func(_ *admin, u userView) error { return c.show(u) })
}

type userDisable struct{ oneUser }

// Run disables a user and ends its sessions.
func (c *userDisable) Run(ctx context.Context) error {
	return c.patch(ctx, map[string]any{"status": "disabled"})
}

type userEnable struct{ oneUser }

// Run lets a disabled user sign in again.
func (c *userEnable) Run(ctx context.Context) error {
	return c.patch(ctx, map[string]any{"status": "active"})
}

type userRoles struct {
	oneUser
	Roles []string `arg:"" optional:"" help:"All roles that the user is to have."`
	None  bool     `help:"Take all roles away."`
}

// Run sets the roles of a user, in its sessions too.
func (c *userRoles) Run(ctx context.Context) error {
	if (len(c.Roles) == 0) != c.None {
		return misuse("which roles? Name all that the user is to have, or --none")
	}
	return c.patch(ctx, map[string]any{"roles": append([]string{}, c.Roles...)})
}

type userDelete struct{ oneUser }

// Run ends everything of a user, and forgets it.
func (c *userDelete) Run(ctx context.Context) error {
	return c.each(ctx, func(a *admin, u userView) error {
		if err := a.call(ctx, "DELETE", "/v1/admin/users/"+escaped(u.ID), nil, nil); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, map[string]string{"deleted": u.ID})
		}
		return nil
	})
}

type userInvite struct{ oneUser }

// Run prints an invitation to choose another password. The old one stays good until
// it is used.
func (c *userInvite) Run(ctx context.Context) error {
	return c.each(ctx, func(a *admin, u userView) error {
		var i invitation
		if err := a.call(ctx, "POST", "/v1/admin/users/"+escaped(u.ID)+"/invitations", nil, &i); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, i)
		}
		i.print()
		return nil
	})
}

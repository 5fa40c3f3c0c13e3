package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// sessionView is a session as the API shows it to administrators.
type sessionView struct {
	ID              string            `json:"id"`
	Subject         string            `json:"subject"`
	Client          string            `json:"client"`
	Carrier         string            `json:"carrier"`
	Created         time.Time         `json:"created"`
	AuthTime        time.Time         `json:"auth_time"`
	LastSeen        time.Time         `json:"last_seen"`
	IdleExpires     time.Time         `json:"idle_expires"`
	AbsoluteExpires time.Time         `json:"absolute_expires"`
	Methods         []string          `json:"amr,omitempty"`
	Roles           []string          `json:"roles,omitempty"`
	Scopes          []string          `json:"scopes,omitempty"`
	Attributes      map[string]string `json:"attributes,omitempty"`
	Device          string            `json:"device,omitempty"`
	DeviceLabel     string            `json:"device_label,omitempty"`
	FirstAddress    string            `json:"first_address,omitempty"`
	LastAddress     string            `json:"last_address,omitempty"`
	Grants          []grantView       `json:"grants"`
}

// grantView is what one client holds of a session.
type grantView struct {
	Client   string    `json:"client"`
	Carrier  string    `json:"carrier"`
	Scopes   []string  `json:"scopes,omitempty"`
	Granted  time.Time `json:"granted"`
	LastUsed time.Time `json:"last_used"`
}

type sessionList struct {
	placeFlags
	User string `arg:"" help:"Whose: id, or what the user signs in with; or any subject."`
}

// Run lists the sessions of a user.
func (c *sessionList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		subject, err := a.subject(ctx, c.User, false)
		if err != nil {
			return err
		}
		answer := struct {
			Sessions []sessionView `json:"sessions"`
		}{}
		if err := a.call(ctx, "GET", "/v1/admin/users/"+escaped(subject)+"/sessions", nil, &answer); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, append([]sessionView{}, answer.Sessions...))
		}
		return printSessions(answer.Sessions, time.Now())
	})
}

// subject is the id of a user; other names are subjects as they are, since
// sessions can be of subjects that are no users. It says so, because the name of a
// user that is misspelt finds nothing, and revokes nothing, without an error.
func (a *admin) subject(ctx context.Context, name string, quiet bool) (string, error) {
	u, err := a.user(ctx, name)
	if err == nil {
		return u.ID, nil
	}
	if isNotFound(err) {
		if !quiet {
			fmt.Fprintf(os.Stderr, "counterfoil: no user %s: taken as a subject that is no user here\n", name)
		}
		return name, nil
	}
	return "", err
}

// ends is when the session ends if nobody uses it.
func (s sessionView) ends() time.Time {
	if s.AbsoluteExpires.Before(s.IdleExpires) {
		return s.AbsoluteExpires
	}
	return s.IdleExpires
}

func printSessions(sessions []sessionView, now time.Time) error {
	slices.SortFunc(sessions, func(a, b sessionView) int { return b.LastSeen.Compare(a.LastSeen) })
	var rows [][]string
	for _, s := range sessions {
		rows = append(rows, []string{s.ID, s.Carrier, about(now.Sub(s.LastSeen)) + " ago", about(s.ends().Sub(now)), s.DeviceLabel})
	}
	return table([]column{{name: "ID"}, {name: "CARRIER"}, {name: "SEEN"}, {name: "LEFT"}, {"DEVICE", true}}, rows)
}

func (s sessionView) print() error {
	lines := [][2]string{
		{"id", s.ID}, {"subject", s.Subject}, {"client", s.Client}, {"carrier", s.Carrier},
		{"signed in", minute(s.AuthTime)}, {"by", strings.Join(s.Methods, ", ")}, {"from", s.FirstAddress},
		{"last seen", minute(s.LastSeen)}, {"from", s.LastAddress},
		{"ends", minute(s.ends())}, {"at the latest", minute(s.AbsoluteExpires)},
		{"roles", strings.Join(s.Roles, ", ")}, {"scopes", strings.Join(s.Scopes, ", ")},
		{"device", s.DeviceLabel}, {"user agent", s.Device},
	}
	for _, g := range s.Grants {
		if g.Client != s.Client {
			lines = append(lines, [2]string{"used by", g.Client + ", last seen " + minute(g.LastUsed)})
		}
	}
	return sheet(lines)
}

type sessionShow struct {
	placeFlags
	ID string `arg:"" help:"Id of the session."`
}

// Run shows one session.
func (c *sessionShow) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		var s sessionView
		if err := a.call(ctx, "GET", "/v1/admin/sessions/"+escaped(c.ID), nil, &s); err != nil {
			return fmt.Errorf("session %s: %w", c.ID, err)
		}
		if c.JSON {
			return writeJSON(os.Stdout, s)
		}
		return s.print()
	})
}

type sessionRevoke struct {
	placeFlags
	ID     string `arg:"" optional:"" help:"Id of the session."`
	User   string `placeholder:"USER" help:"All sessions of this user."`
	Client string `placeholder:"CLIENT" help:"All sessions of this client; with the id of a session, what the client holds of it."`
	Token  string `placeholder:"JTI" help:"This token alone, by its jti."`
	All    bool   `help:"Everybody's."`
	Reason string `placeholder:"TEXT" help:"Why; it is kept in the log and the audit trail."`
	Wait   bool   `help:"Return when no verifier accepts them any more."`
	Quiet  bool   `help:"Print nothing."`
}

// receipt is what a revocation answers.
type receipt struct {
	Epoch        string    `json:"epoch"`
	Seq          uint64    `json:"seq"`
	Cursor       string    `json:"cursor"`
	CommittedAt  time.Time `json:"committed_at"`
	Confirmed    bool      `json:"confirmed"`
	NotWaitedFor []string  `json:"not_waited_for,omitempty"`
}

// Run revokes, and prints the receipt.
func (c *sessionRevoke) Run(ctx context.Context) error {
	scope, id, named := "all", "", 0
	for s, value := range map[string]string{"session": c.ID, "subject": c.User, "client": c.Client, "token": c.Token} {
		if value != "" {
			scope, id = s, value
			named++
		}
	}
	if c.All {
		named++
	}
	if c.ID != "" && c.Client != "" {
		scope, id = "grant", c.ID+" "+c.Client
		named--
	}
	if named != 1 {
		return misuse("which sessions? Name one of: a session id (and with it a --client), --user, --client, --token, --all")
	}
	return c.with(ctx, func(a *admin) error {
		if scope == "subject" {
			var err error
			if id, err = a.subject(ctx, id, c.Quiet); err != nil {
				return err
			}
		}
		return a.revoke(ctx, scope, id, c.Reason, c.Wait, c.JSON, c.Quiet)
	})
}

func (a *admin) revoke(ctx context.Context, scope, id, reason string, wait, asJSON, quiet bool) error {
	body := map[string]string{"scope": scope}
	if id != "" {
		body["id"] = id
	}
	if reason != "" {
		body["reason"] = reason
	}
	if wait {
		body["wait"] = "all"
	}
	var got receipt
	if err := a.call(ctx, "POST", "/v1/admin/revocations", body, &got); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(scope+" "+id), err)
	}
	if asJSON {
		return writeJSON(os.Stdout, got)
	}
	if quiet {
		return nil
	}
	fmt.Printf("revoked at %s\n", got.Cursor)
	if wait && !got.Confirmed {
		return fmt.Errorf("revoked, but not confirmed by every verifier")
	}
	return nil
}

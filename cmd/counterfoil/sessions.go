package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/source"
)

type sessionList struct {
	placeFlags
	User    string    `arg:"" optional:"" help:"Id of the user, or what the user signs in with; or any subject. Without one: of all users, the newest first."`
	Client  string    `placeholder:"CLIENT" help:"Only sessions of this client."`
	Carrier string    `placeholder:"CARRIER" help:"Only sessions with this carrier: cookie, bearer, jwt-cookie, jwe or jwe-cookie."`
	Address string    `placeholder:"ADDRESS" help:"Only sessions from this address."`
	Device  string    `placeholder:"TEXT" help:"Only sessions whose User-Agent has this text."`
	ACR     string    `name:"acr" placeholder:"ACR" help:"Only sessions with this authentication context."`
	Since   time.Time `placeholder:"TIME" help:"Only sessions that began at this time or later, such as 2026-11-30T12:00:00Z."`
	Limit   *int      `placeholder:"N" help:"How many sessions are listed at most. Empty: 1000, with --format all."`
	Format  string    `placeholder:"FORMAT" help:"Print csv, for a spreadsheet, or jsonl, one JSON object a line."`
}

// Run lists the sessions for which each filter holds.
func (c *sessionList) Run(ctx context.Context) error {
	if err := checkFormat(c.Format); err != nil {
		return err
	}
	if c.Format != "" && c.JSON {
		return misuse("--format does not go with --json")
	}
	limit := 1000
	if c.Limit != nil {
		limit = *c.Limit
	}
	if limit < 1 {
		return misuse("--limit is %d: want 1 or more", limit)
	}
	return c.with(ctx, func(a *admin) error {
		f := api.SessionFilter{Client: c.Client, Carrier: c.Carrier, Address: c.Address, Device: c.Device, ACR: c.ACR, Since: c.Since}
		if c.User != "" {
			var err error
			if f.User, err = a.withSessions(ctx, c.User, false); err != nil {
				return err
			}
		}
		if c.Format != "" {
			if c.Limit == nil {
				limit = 0
			}
			return printRows(os.Stdout, c.Format, api.SessionColumns, eachSession(a.FindSessions(ctx, f)), sessionCells, limit)
		}
		sessions, damaged, more := []api.SessionRow{}, []string{}, false
		for page, err := range a.FindSessions(ctx, f) {
			if err != nil {
				return err
			}
			sessions, damaged = append(sessions, page.Sessions.Sessions...), append(damaged, page.Damaged...)
			if more = len(sessions) > limit || len(sessions) == limit && page.Next != ""; more {
				sessions = sessions[:limit]
				break
			}
		}
		for _, id := range damaged {
			fmt.Fprintf(os.Stderr, "counterfoil: session %s is damaged: its row cannot be read. counterfoil session revoke %s ends it\n", id, id)
		}
		if more {
			fmt.Fprintf(os.Stderr, "counterfoil: there are more than these %d sessions: --limit lists more\n", len(sessions))
		}
		if c.JSON {
			return writeJSON(os.Stdout, sessions)
		}
		return printSessions(sessions, c.User == "", time.Now())
	})
}

// eachSession yields those of all pages: an api.SessionRow each, or an api.DamagedSession.
func eachSession(pages iter.Seq2[api.FoundSessions, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for page, err := range pages {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, s := range page.Sessions.Sessions {
				if !yield(s, nil) {
					return
				}
			}
			for _, id := range page.Damaged {
				if !yield(api.DamagedSession{ID: id, Damaged: true}, nil) {
					return
				}
			}
		}
	}
}

func sessionCells(s any) []string {
	if damaged, is := s.(api.DamagedSession); is {
		return damaged.Cells()
	}
	return api.SessionCells(s.(api.SessionRow))
}

// subject returns the id of the user that name means. A name of no user is the id of a subject
// that is no user, if has finds something of it. Otherwise it is misspelt, and that is an error:
// a command that went on would show nothing, or end nothing, and look as if that were right.
// what names what has looks for.
func (a *admin) subject(ctx context.Context, name, what string, quiet bool, has func(context.Context, string) (bool, error)) (string, error) {
	u, err := a.user(ctx, name)
	if err == nil {
		return u.ID, nil
	}
	if answered(err) != http.StatusNotFound {
		return "", err
	}
	found, err := has(ctx, name)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", fmt.Errorf("there is no user %s, and no %s of that subject%w\nhint: counterfoil user list prints the users", name, what, hidden{errDenied})
	case !quiet:
		fmt.Fprintf(os.Stderr, "counterfoil: there is no user %s: it is used as the id of a subject\n", name)
	}
	return name, nil
}

// withSessions is [admin.subject] for a subject that has sessions.
func (a *admin) withSessions(ctx context.Context, name string, quiet bool) (string, error) {
	return a.subject(ctx, name, "session", quiet, func(ctx context.Context, subject string) (bool, error) {
		sessions, damaged, err := a.UserSessions(ctx, subject)
		return len(sessions)+len(damaged) > 0, err
	})
}

// ends is when the session ends if it is not used.
func ends(s api.SessionRow) time.Time {
	if s.AbsoluteExpires.Before(s.IdleExpires) {
		return s.AbsoluteExpires
	}
	return s.IdleExpires
}

// printSessions prints those of one user, the last used first, or those of all as they come.
func printSessions(sessions []api.SessionRow, all bool, now time.Time) error {
	columns := []column{{name: "ID"}, {name: "CARRIER"}, {name: "SEEN"}, {name: "LEFT"}, {name: "HOSTS"}, {"DEVICE", true}}
	if all {
		columns = slices.Insert(columns, 1, column{"USER", true})
	} else {
		slices.SortFunc(sessions, func(a, b api.SessionRow) int { return b.LastSeen.Compare(a.LastSeen) })
	}
	var rows [][]string
	for _, s := range sessions {
		row := []string{s.ID, s.Carrier.String(), about(now.Sub(s.LastSeen)) + " ago", about(ends(s).Sub(now)), strconv.Itoa(len(s.Hosts)), s.DeviceLabel}
		if all {
			row = slices.Insert(row, 1, s.Subject)
		}
		rows = append(rows, row)
	}
	return table(columns, rows)
}

func printSession(s api.SessionRow) error {
	lines := [][2]string{
		{"id", s.ID}, {"subject", s.Subject}, {"client", s.Client}, {"carrier", s.Carrier.String()},
		{"signed in", minute(s.AuthTime)}, {"by", strings.Join(s.Methods, ", ")}, {"from", address(s.FirstAddress)},
		{"last seen", minute(s.LastSeen)}, {"from", address(s.LastAddress)},
		{"ends", minute(ends(s))}, {"at the latest", minute(s.AbsoluteExpires)},
		{"roles", strings.Join(s.Roles, ", ")}, {"scopes", strings.Join(s.Scopes, ", ")},
		{"device", s.DeviceLabel}, {"user agent", s.Device},
	}
	for _, g := range s.Grants {
		if g.Client != s.Client {
			lines = append(lines, [2]string{"used by", g.Client + " since " + minute(g.Granted) + ", last seen " + minute(g.LastUsed)})
		}
	}
	for _, h := range s.Hosts {
		lines = append(lines, [2]string{"used at", h.Origin + " since " + minute(h.Granted) + ", last seen " + minute(h.LastUsed) + " (" + h.ID + ")"})
	}
	return sheet(lines)
}

// address is a as people read it; empty if it is not known.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

type sessionShow struct {
	placeFlags
	ID string `arg:"" help:"Id of the session."`
}

// Run shows one session.
func (c *sessionShow) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		s, err := a.Session(ctx, c.ID)
		if err != nil {
			return fmt.Errorf("session %s: %w", c.ID, err)
		}
		if c.JSON {
			return writeJSON(os.Stdout, s)
		}
		return printSession(s)
	})
}

type sessionRevoke struct {
	revokeFlags
	ID     string `arg:"" optional:"" help:"Id of the session."`
	User   string `placeholder:"USER" help:"All sessions of this user."`
	Client string `placeholder:"CLIENT" help:"All sessions of this client; with an id, what the client holds of that session."`
	Token  string `placeholder:"JTI" help:"One token, by its jti; or the cookie of one host, by the id that session show prints."`
	All    bool   `help:"All sessions of all users."`
}

// Run revokes, and prints the receipt.
func (c *sessionRevoke) Run(ctx context.Context) error {
	scope, id, named := source.ScopeAll, "", 0
	for s, value := range map[source.Scope]string{
		source.ScopeSession: c.ID, source.ScopeSubject: c.User, source.ScopeClient: c.Client, source.ScopeToken: c.Token,
	} {
		if value != "" {
			scope, id = s, value
			named++
		}
	}
	if c.All {
		named++
	}
	if c.ID != "" && c.Client != "" {
		scope, id = source.ScopeGrant, c.ID+" "+c.Client
		named--
	}
	if named != 1 {
		return misuse("name one of: a session id (and with it a --client), --user, --client, --token, --all")
	}
	return c.with(ctx, func(a *admin) error {
		if scope == source.ScopeSubject {
			var err error
			if id, err = a.withSessions(ctx, id, c.Quiet); err != nil {
				return fmt.Errorf("nothing is revoked: %w", err)
			}
		}
		err := c.revoke(ctx, a, scope, id, scope == source.ScopeAll || scope == source.ScopeClient)
		if scope == source.ScopeSession && answered(err) == http.StatusNotFound {
			err = fmt.Errorf("%w\nhint: counterfoil session list USER prints the ids; --user USER ends all sessions of a user", err)
		}
		return err
	})
}

// revokeFlags are what the commands that revoke have in common.
type revokeFlags struct {
	placeFlags
	sureFlags
	Reason string `placeholder:"TEXT" help:"Why; it is kept in the log and the audit trail."`
	Wait   bool   `help:"Return when no verifier accepts what was revoked any more."`
	Quiet  bool   `help:"Print nothing."`
}

// revoke revokes what scope and id name, and prints the receipt. If many is set, it ends what
// many people or programs have, so it asks first.
func (c *revokeFlags) revoke(ctx context.Context, a *admin, scope source.Scope, id string, many bool) error {
	if many || c.DryRun {
		sure, err := c.sure(ctx, c.JSON, func(pages int) (plan, error) { return a.revocation(ctx, scope, id, revoked(scope, id), pages) })
		if err != nil || !sure {
			return named(scope, id, err)
		}
	}
	body := api.Revocation{Scope: scope, ID: id, Reason: c.Reason}
	if c.Wait {
		body.Wait = api.WaitAll
	}
	receipt, err := a.Revoke(ctx, body)
	if err != nil {
		return named(scope, id, err)
	}
	switch {
	case c.JSON:
		err = writeJSON(os.Stdout, receipt)
	case !c.Quiet:
		printReceipt(receipt, c.Wait, a.own)
	}
	if c.Wait && !receipt.Confirmed {
		return errors.Join(err, fmt.Errorf("revoked, but not confirmed by every verifier\nhint: a verifier that has not answered accepts it for %s at most; counterfoil audit --action revoke --confirmed names those", bound(receipt)))
	}
	return err
}

// named is err, or nil, with what was to be revoked.
func named(scope source.Scope, id string, err error) error {
	if err == nil || errors.Is(err, errDeclined) {
		return err
	}
	return fmt.Errorf("%s: %w", strings.TrimSpace(string(scope)+" "+id), err)
}

// revoked is what a revocation ends, as people call it.
func revoked(scope source.Scope, id string) string {
	switch scope {
	case source.ScopeAll:
		return "all sessions of all users"
	case source.ScopeSubject:
		return "all sessions of " + id
	case source.ScopeClient:
		return "all sessions of client " + id
	case source.ScopeGrant:
		sid, client, _ := strings.Cut(id, " ")
		return "what client " + client + " holds of session " + sid
	}
	return string(scope) + " " + id
}

func bound(r api.Receipt) string { return config.Duration(time.Duration(r.BoundMS) * time.Millisecond) }

// printReceipt prints where the log has the revocation, and whether verifiers have it. offline
// means that no server runs, so nobody knows which verifiers there are.
func printReceipt(r api.Receipt, waited, offline bool) {
	fmt.Printf("revoked at %s\n", r.Cursor)
	follow := counted(r.Verifiers, "verifier") + " follow"
	if r.Verifiers == 1 {
		follow += "s"
	}
	follow += " this server"
	if offline {
		follow = "no server runs on this folder"
	}
	switch {
	case !waited:
		fmt.Printf("not waited for: %s, and no verifier accepts it for longer than %s; --wait waits for them\n", follow, bound(r))
	case r.Confirmed:
		fmt.Printf("confirmed: no verifier accepts it any more; %s\n", follow)
	}
	for _, id := range r.NotWaitedFor {
		fmt.Printf("not waited for: %s, which serves stale by its own setting\n", printable(id))
	}
	if r.NotWaitedForMore > 0 {
		fmt.Printf("not waited for, for the same reason: %s\n", counted(r.NotWaitedForMore, "more verifier"))
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/source"
)

type clientList struct{ placeFlags }

// Run lists the clients.
func (c *clientList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		all, err := collect(a.Clients(ctx))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		var rows [][]string
		for _, r := range all {
			rows = append(rows, []string{r.ID, r.Name, standing(r), carriers(r.Carriers), strings.Join(r.Scopes, ",")})
		}
		return table([]column{{name: "ID"}, {"NAME", true}, {name: "STATUS"}, {"CARRIERS", true}, {"SCOPES", true}}, rows)
	})
}

func standing(r api.RegisteredClient) string {
	switch {
	case r.Damaged:
		return "damaged"
	case r.Disabled:
		return "disabled"
	}
	return "active"
}

func carriers(all []counterfoil.Carrier) string {
	names := make([]string, len(all))
	for n, c := range all {
		names[n] = c.String()
	}
	return strings.Join(names, ",")
}

// oneClient is what the commands about one client have in common.
type oneClient struct {
	placeFlags
	ID string `arg:"" help:"Id of the client, as logins name it."`
}

func (c *oneClient) show(r api.RegisteredClient) error {
	if c.JSON {
		return writeJSON(os.Stdout, r)
	}
	key, or := "", func(text, otherwise string) string {
		if text == "" {
			return "(" + otherwise + ")"
		}
		return text
	}
	if r.EncryptionKey != nil {
		key = r.EncryptionKey.ID()
	}
	opens := clients.OpensNothing
	if (&clients.Client{ID: r.ID}).OpensAccount() { // as long as nobody sets it
		opens = clients.OpensAccount
	}
	access, idle, refreshIdle, absolute := r.Lives()
	return sheet([][2]string{
		{"id", r.ID}, {"name", r.Name}, {"status", standing(r)}, {"carriers", or(carriers(r.Carriers), "all; cookie, if a login names none")},
		{"audience", or(strings.Join(r.Audience, ", "), "that of the server")}, {"scopes", strings.Join(r.Scopes, ", ")},
		{"origins", strings.Join(r.Origins, ", ")}, {"same site", or(r.SameSite, clients.SameSiteLax)}, {"opens", or(r.Opens, opens)},
		{"access ttl", access}, {"idle", idle}, {"refresh idle", refreshIdle}, {"absolute", absolute},
		{"encryption key", or(key, "of the server")},
	})
}

// missing is err with what was not found.
func (c *oneClient) missing(err error) error {
	if answered(err) != http.StatusNotFound {
		return err
	}
	return fmt.Errorf("client %s: %w\nhint: counterfoil client list prints the clients", c.ID, err)
}

type clientShow struct{ oneClient }

// Run shows a client.
func (c *clientShow) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		r, err := a.RegisteredClient(ctx, c.ID)
		if err != nil {
			return c.missing(err)
		}
		return c.show(r)
	})
}

type clientSet struct {
	oneClient
	sureFlags
	Name          string   `placeholder:"TEXT" help:"Shown to people."`
	Carrier       []string `placeholder:"NAME" help:"Carrier that it may use: cookie, bearer, jwt-cookie, jwe or jwe-cookie; the first is for a login that names none. May be repeated."`
	Audience      []string `placeholder:"NAME" help:"The aud of its tokens; may be repeated."`
	Scope         []string `placeholder:"NAME" help:"Scope that it may ask for; may be repeated."`
	Origin        []string `placeholder:"URL" help:"Origin of its pages, which may call the API and to which a sign-in may return; may be repeated."`
	SameSite      string   `placeholder:"WORD" help:"SameSite of its cookies: lax or strict."`
	Opens         string   `placeholder:"WORD" help:"What its tokens open at the server: nothing, account or administration."`
	AccessTTL     string   `name:"access-ttl" placeholder:"TIME" help:"Life of its tokens until they are refreshed, such as 90s, 5m or 8h. This and the next three are no longer than the server's, which hold if they are empty."`
	Idle          string   `placeholder:"TIME" help:"A cookie session of it that is unused for so long has ended."`
	RefreshIdle   string   `placeholder:"TIME" help:"A login with tokens that is not refreshed for so long has ended."`
	Absolute      string   `placeholder:"TIME" help:"No session of it lives longer, used or not; for logins from then on."`
	EncryptionKey string   `placeholder:"FILE" type:"path" help:"Public JWK of the services that open its JWEs themselves."`
	Disable       bool     `xor:"state" help:"End all its sessions, and let nobody sign in to it."`
	Enable        bool     `xor:"state" help:"Let people sign in to it again."`
	New           bool     `help:"Fail if the client is there already."`
}

// Run changes what the flags name, and leaves the rest as it is. An empty value is none:
// --origin= takes all origins away.
func (c *clientSet) Run(ctx context.Context, flags given) error {
	return c.withNew(ctx, func(a *admin) error {
		before, err := a.RegisteredClient(ctx, c.ID)
		isNew := answered(err) == http.StatusNotFound
		switch {
		case err != nil && !isNew:
			return err
		case c.New && !isNew && c.ID != clients.Default:
			return fmt.Errorf("client %s is there already, and nothing was changed\nhint: counterfoil client show %s", c.ID, c.ID)
		}
		next := before.ClientSettings
		if err := c.change(&next, flags); err != nil {
			return err
		}
		if c.Disable || c.DryRun {
			sure, err := c.sure(ctx, c.JSON, func(pages int) (plan, error) {
				if isNew || !c.Disable {
					return plan{What: "client " + c.ID, keeps: true, Effect: "no session ends"}, nil
				}
				return a.revocation(ctx, source.ScopeClient, c.ID, "client "+c.ID, pages)
			})
			if err != nil || !sure {
				return err
			}
		}
		r, err := a.SetClient(ctx, c.ID, next)
		if err != nil {
			return err
		}
		return c.show(r)
	})
}

// change changes s as the flags say.
func (c *clientSet) change(s *api.ClientSettings, flags given) error {
	text := func(flag string, to *string, value string) {
		if flags[flag] {
			*to = value
		}
	}
	list := func(flag string, to *[]string, values []string) {
		if flags[flag] {
			*to = filled(values)
		}
	}
	text("name", &s.Name, c.Name)
	text("same-site", &s.SameSite, c.SameSite)
	text("opens", &s.Opens, c.Opens)
	list("audience", &s.Audience, c.Audience)
	list("scope", &s.Scopes, c.Scope)
	list("origin", &s.Origins, c.Origin)
	if flags["carrier"] {
		s.Carriers = nil
		for _, name := range filled(c.Carrier) {
			carrier, err := source.ParseCarrier(name)
			if err != nil {
				return misuse("--carrier is %q: want cookie, bearer, jwt-cookie, jwe or jwe-cookie", name)
			}
			s.Carriers = append(s.Carriers, carrier)
		}
	}
	for _, l := range []struct {
		flag, value string
		to          *clients.Lifetime
	}{
		{"access-ttl", c.AccessTTL, &s.AccessTTL}, {"idle", c.Idle, &s.Idle},
		{"refresh-idle", c.RefreshIdle, &s.RefreshIdle}, {"absolute", c.Absolute, &s.Absolute},
	} {
		if flags[l.flag] && l.to.UnmarshalText([]byte(l.value)) != nil {
			return misuse("--%s is %q: want whole seconds with units, such as 90s, 15m or 8h", l.flag, l.value)
		}
	}
	if c.Disable || c.Enable {
		s.Disabled = c.Disable
	}
	if !flags["encryption-key"] {
		return nil
	}
	if s.EncryptionKey = nil; c.EncryptionKey == "" {
		return nil
	}
	data, err := textfile.Read(c.EncryptionKey)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &s.EncryptionKey); err != nil {
		return fmt.Errorf("%s is no public key for JWEs: %w", c.EncryptionKey, err)
	}
	return nil
}

// filled is list without empty texts.
func filled(list []string) (all []string) {
	for _, text := range list {
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}

type clientDelete struct {
	oneClient
	sureFlags
}

// Run ends the sessions of a client and forgets it.
func (c *clientDelete) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		sure, err := c.sure(ctx, c.JSON, func(pages int) (plan, error) {
			p, err := a.revocation(ctx, source.ScopeClient, c.ID, "client "+c.ID, pages)
			p.Effect = "its settings cannot be brought back"
			return p, err
		})
		if err != nil || !sure {
			return c.missing(err)
		}
		if err := a.DeleteClient(ctx, c.ID); err != nil {
			return c.missing(err)
		}
		if c.JSON {
			return writeJSON(os.Stdout, map[string]string{"deleted": c.ID})
		}
		return nil
	})
}

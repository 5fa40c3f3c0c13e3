package main

import (
	"maps"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/server"
)

// settings is every setting of the auth server. Package config says what the tags mean;
// the table in docs/operations.md is generated from them.
type settings struct {
	Issuer        string        `name:"issuer" placeholder:"URL" help:"External URL: https, or http on loopback. Empty: the URL of the address."`
	Hosts         []string      `name:"hosts" placeholder:"NAME" help:"Names besides that of the issuer by which requests may call the server, without a port. Addresses and localhost always may."`
	Data          string        `name:"data" default:"." type:"path" placeholder:"DIR" help:"Folder of counterfoil.db, counterfoil.key and counterfoil.sock."`
	Store         string        `name:"store" placeholder:"NAME" help:"Where data is kept: sqlite, memory (gone at exit), or postgres://USER@HOST/DATABASE. Empty: sqlite." want:"store"`
	Sessions      string        `name:"sessions" placeholder:"NAME" help:"Where sessions and the revocation log are kept instead: sqlite, memory, postgres://… or redis://HOST:PORT (rediss://, redis-sentinel://, unix:///PATH). Empty: in the store." want:"sessions"`
	SessionsPass  secret.String `kong:"-" name:"sessions-password" help:"Password of the Redis that sessions names."`
	Production    bool          `name:"production" negatable:"" help:"Refuse to start with what is for development only."`
	Registration  bool          `name:"registration" negatable:"" help:"Let anybody create an account."`
	ClearSiteData bool          `name:"clear-site-data" negatable:"" help:"At a logout, also clear cache, cookies and storage of the whole origin."`
	LoginRate     int           `name:"logins-per-second" default:"0" placeholder:"N" help:"Attempts to sign in that all nodes together look at in a second: up to 10000. 0: as many as the machine can hash, measured at the start."`
	Audience      []string      `name:"audience" placeholder:"NAME" help:"The aud of tokens. Empty: the issuer."`
	Algorithm     string        `name:"algorithm" default:"ES256" placeholder:"ALG" help:"Algorithm of new signing keys: ES256, ES384, Ed25519 (12 of 15 verifying libraries do not know that name), RS256, PS256 or HS256 (only this server can verify)." oneof:"ES256,ES384,Ed25519,RS256,PS256,HS256"`
	HMACSecret    secret.String `kong:"-" name:"hmac-secret" help:"Key of HS256 that a service shares with the server: random, 43 characters or more. Empty: the server makes one."`

	AccessTTL    time.Duration `name:"access-ttl" default:"5m" placeholder:"TIME" help:"Life of a token until it is refreshed." min:"10s" max:"15m"`
	Idle         time.Duration `name:"idle" default:"1h" placeholder:"TIME" help:"A cookie session unused for so long has ended." min:"3m" max:"8760h"`
	RefreshIdle  time.Duration `name:"refresh-idle" default:"168h" placeholder:"TIME" help:"A login with tokens that was not refreshed for so long has ended." min:"15m" max:"8760h"`
	Absolute     time.Duration `name:"absolute" default:"24h" placeholder:"TIME" help:"No session lives longer, used or not." min:"1m" max:"8760h"`
	MaxSessions  int           `name:"max-sessions" default:"100" placeholder:"N" help:"Sessions that one user may have: 1 to 10000. A login beyond that ends the oldest, and the user is told."`
	RefreshGrace time.Duration `name:"refresh-grace" default:"10s" placeholder:"TIME" help:"How long a client can repeat a refresh whose answer was lost." min:"1s" max:"1m"`
	MaxBound     time.Duration `name:"max-bound" default:"10s" placeholder:"TIME" help:"The largest staleness bound that a verifier may follow with." min:"2s" max:"1m"`

	BrandName   string   `name:"brand-name" placeholder:"NAME" help:"Name of your product on the pages for people. Empty: Counterfoil." want:"brand name"`
	BrandLogo   string   `name:"brand-logo" type:"path" placeholder:"FILE" help:"Logo beside the name: an SVG or a PNG of at most 64 KiB. Empty: the first letter of the name." want:"logo"`
	BrandAccent string   `name:"brand-accent" placeholder:"COLOUR" help:"Colour of buttons and links, such as #0b5c4a. It is made darker on light pages, and lighter on dark ones, as far as it takes to be read." want:"colour"`
	BrandLinks  []string `name:"brand-links" placeholder:"LINK" help:"Links at the foot of each page, at most 8: text, a space, and the URL." want:"link"`

	AuditKeep time.Duration `name:"audit-keep" default:"2160h" placeholder:"TIME" help:"How long security events are kept. 0s: they are logged only." min:"0s" max:"87600h"`

	mailSettings
	monitorPlace
	proxySettings
	ops.Settings
}

const envPrefix = "COUNTERFOIL_"

// loader loads settings into c.
func (c *settings) loader() *config.Settings {
	return config.New(c, config.Options{
		Prefix: envPrefix, Hint: "counterfoil config print lists all settings", Others: append(variables(new(gatewaySettings), gatewayKinds()), variables(new(monitorSettings), ops.Kinds())...), Kinds: settingKinds(),
	})
}

func settingKinds() map[string]func(text string) error {
	kinds := ops.Kinds()
	kinds["store"], kinds["sessions"] = checkStoreName, checkSessionsName
	kinds["brand name"], kinds["colour"], kinds["link"], kinds["logo"] = server.CheckBrandName, checkColour, checkLink, checkLogo
	maps.Copy(kinds, mailKinds())
	return kinds
}

// variables are those of the settings of another program. A shell may have them for that one: the
// API key, which the examples read too, or the routes of the gateway.
func variables(settings any, kinds map[string]func(text string) error) []string {
	return config.New(settings, config.Options{Prefix: envPrefix, Kinds: kinds}).Variables()
}

// load sets what no flag has set, and returns where each value came from.
func (c *settings) load(from config.Sources) (config.Origins, error) { return c.loader().Load(from) }

package main

import (
	"reflect"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// config is every setting of the auth server. A field's tags are its whole
// definition: name is the flag, with underscores the key in the file, and as
// COUNTERFOIL_NAME the environment variable; docs/operations.md is generated from
// them. A secret has no flag: everybody on the machine sees those (OPS-11).
type config struct {
	Listen         string        `name:"listen" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address to listen on." want:"address"`
	Issuer         string        `name:"issuer" placeholder:"URL" help:"External URL, https unless loopback. Empty: http:// and the address." want:"url"`
	Data           string        `name:"data" default:"." type:"path" placeholder:"DIR" help:"Folder of counterfoil.db, counterfoil.key and counterfoil.sock."`
	Store          string        `name:"store" placeholder:"NAME" help:"Where data lives: sqlite, memory (gone at exit), or postgres://USER@HOST/DATABASE. Empty: sqlite." want:"store"`
	Sessions       string        `name:"sessions" placeholder:"NAME" help:"Where sessions and the revocation log live instead: sqlite, memory, postgres://… or redis://HOST:PORT (rediss://, redis-sentinel://). Empty: in the store." want:"sessions"`
	SessionsPass   secret.String `kong:"-" name:"sessions-password" help:"Password of the Redis that sessions names, if it wants one."`
	Production     bool          `name:"production" negatable:"" help:"Refuse to start with what is for development only."`
	Registration   bool          `name:"registration" negatable:"" help:"Let strangers make themselves an account."`
	ClearSiteData  bool          `name:"clear-site-data" negatable:"" help:"Let a logout also empty cache, cookies and storage of the whole origin."`
	Audience       []string      `name:"audience" placeholder:"NAME" help:"The aud of tokens. Empty: the issuer."`
	Algorithm      string        `name:"algorithm" default:"ES256" placeholder:"ALG" help:"New signing keys: ES256, ES384, Ed25519, RS256, PS256 or HS256 (no verifier but this server)." want:"ES256,ES384,Ed25519,RS256,PS256,HS256"`
	HMACSecret     secret.String `kong:"-" name:"hmac-secret" help:"Key of HS256, for a service that shares it: random, 43 characters or more. Empty: the server makes its own."`
	TrustedProxies []string      `name:"trusted-proxies" placeholder:"CIDR" help:"Networks whose X-Forwarded-For is believed." want:"network"`

	AccessTTL    time.Duration `name:"access-ttl" default:"5m" placeholder:"TIME" help:"Life of a token until it is refreshed." min:"10s" max:"15m"`
	Idle         time.Duration `name:"idle" default:"1h" placeholder:"TIME" help:"A cookie session unused for so long has ended." min:"3m" max:"8760h"`
	Absolute     time.Duration `name:"absolute" default:"24h" placeholder:"TIME" help:"No session lives longer, used or not." min:"1m" max:"8760h"`
	RefreshGrace time.Duration `name:"refresh-grace" default:"10s" placeholder:"TIME" help:"How long a lost answer to a refresh can be asked for again." min:"1s" max:"1m"`
	MaxBound     time.Duration `name:"max-bound" default:"10s" placeholder:"TIME" help:"The largest staleness bound that a verifier may follow with." min:"2s" max:"1m"`

	TLSCert               string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate chain (PEM) to serve TLS with. Empty: plain http, for a proxy in front."`
	TLSKey                string        `name:"tls-key" type:"path" placeholder:"FILE" help:"Its private key (PEM), mode 0600."`
	ConnectionsPerAddress int           `name:"connections-per-address" default:"1024" placeholder:"N" help:"Connections that one address may hold; a trusted proxy any number. 0: no limit." want:"count"`
	Drain                 time.Duration `name:"drain" default:"0s" placeholder:"TIME" help:"How long /readyz fails before the listener closes, so that a load balancer notices." min:"0s" max:"5m"`

	OpsListen string        `name:"ops-listen" default:"127.0.0.1:9464" placeholder:"ADDR" help:"Address of metrics and pprof, or off." want:"address,off"`
	OpsToken  secret.String `kong:"-" name:"ops-token" help:"Bearer token of the ops listener, 32 characters or more; required unless it is on loopback."`
	AuditKeep time.Duration `name:"audit-keep" default:"2160h" placeholder:"TIME" help:"How long security events are kept. 0s: they are logged only." min:"0s" max:"87600h"`
	LogLevel  string        `name:"log-level" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error." want:"debug,info,warn,error"`
}

const envPrefix = "COUNTERFOIL_"

// setting is one field of config with its names.
type setting struct {
	field reflect.StructField
	value reflect.Value
}

// settings lists the fields of c, in order.
func (c *config) settings() []setting {
	v := reflect.ValueOf(c).Elem()
	all := make([]setting, v.NumField())
	for i := range all {
		all[i] = setting{v.Type().Field(i), v.Field(i)}
	}
	return all
}

func (s setting) flag() string { return s.field.Tag.Get("name") }
func (s setting) key() string  { return strings.ReplaceAll(s.flag(), "-", "_") }
func (s setting) env() string  { return envPrefix + strings.ToUpper(s.key()) }

// secret settings come from a file or the environment alone.
func (s setting) secret() bool { return s.field.Type == reflect.TypeFor[secret.String]() }

// choices is what a setting with fixed words may be, or nil.
func (s setting) choices() []string {
	want := s.field.Tag.Get("want")
	if !strings.Contains(want, ",") || strings.HasPrefix(want, "address") {
		return nil
	}
	return strings.Split(want, ",")
}

// text is the value as a file would have it.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case time.Duration:
		return duration(v)
	case []string:
		return strings.Join(v, ",")
	case secret.String:
		if v.Reveal() == "" {
			return ""
		}
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	default:
		return strings.TrimSpace(reflectText(s.value))
	}
}

// duration is d without the zero minutes and seconds that Duration.String adds.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

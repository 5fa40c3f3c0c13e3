package server

import (
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
)

// Setting is a setting of the program as administrators see it.
type Setting struct {
	Key    string
	Value  string // never a secret: a program says that it is set, and not what it is
	Origin string // where the value comes from, such as a flag, a variable, a line of a file, or "default"
}

// maxSettings bounds how many there are: the API answers them whole.
const maxSettings = 100

// settingsOf are those of a program that says none of its own: the fields of c. The lifetimes are those
// in force.
func settingsOf(c *Config, lives clients.Lifetimes) (all []Setting) {
	add := func(key, value, otherwise string) {
		s := Setting{key, value, "program"}
		if value == "" || value == "0" || value == "0s" || value == "false" {
			s.Value, s.Origin = otherwise, "default"
		}
		all = append(all, s)
	}
	secret := ""
	if len(c.HMACSecret) > 0 {
		secret = "[secret]"
	}
	add("issuer", c.URL, "")
	add("hosts", strings.Join(c.Hosts, ","), "")
	add("audience", strings.Join(c.Audience, ","), c.URL)
	add("algorithm", c.Algorithm, string(keyring.DefaultAlg))
	add("hmac_secret", secret, "")
	add("registration", strconv.FormatBool(c.Registration), "false")
	add("mail_sign_in", strconv.FormatBool(c.SignInByMail), "false")
	add("clear_site_data", strconv.FormatBool(c.ClearSiteData), "false")
	add("logins_per_second", strconv.Itoa(c.LoginsPerSecond), "0")
	add("max_sessions", strconv.Itoa(c.MaxSessions), strconv.Itoa(issuer.DefaultMaxSessions))
	for _, d := range []struct {
		key       string
		value     time.Duration
		otherwise time.Duration
	}{
		{"access_ttl", c.AccessTTL, time.Duration(lives.AccessTTL)}, {"idle", c.Idle, time.Duration(lives.Idle)},
		{"refresh_idle", c.RefreshIdle, time.Duration(lives.RefreshIdle)}, {"absolute", c.Absolute, time.Duration(lives.Absolute)},
		{"refresh_grace", c.Grace, issuer.DefaultGrace}, {"max_bound", c.MaxBound, issuer.DefaultMaxBound},
		{"audit_keep", c.KeepAudit, audit.DefaultKeep},
	} {
		add(d.key, d.value.String(), d.otherwise.String())
	}
	return all
}

package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/server"
)

// check applies every rule that needs no open store.
func (c *settings) check(where config.Origins) *config.Verdict {
	v := c.loader().Check(where)
	v.Production = c.Production
	if len(v.Problems) > 0 {
		return v // the rules below read the values
	}
	c.checkIssuer(v)
	c.checkHosts(v)
	if key := c.HMACSecret.Reveal(); key != "" { // KEY-02
		if c.Algorithm != "HS256" {
			v.Warn("hmac_secret", "has no effect: algorithm is "+c.Algorithm, "set algorithm to HS256 to sign with it")
		} else if err := keyring.CheckSecret([]byte(key)); err != nil {
			v.Refuse("hmac_secret", err.Error(), "openssl rand -base64 48")
		}
	}
	if c.Algorithm == "Ed25519" {
		v.Warn("algorithm", "is Ed25519, a name that 12 of 15 verifying libraries that were tried do not know: most know EdDSA (RFC 9864)", "use ES256, unless you know that all who verify the tokens read the name: docs/clients.md")
	}
	if c.MaxSessions < 1 || c.MaxSessions > 10_000 {
		v.Refuse("max_sessions", fmt.Sprintf("is %d: want 1 to 10000", c.MaxSessions), "")
	}
	if c.LoginRate < 0 || c.LoginRate > 10_000 {
		v.Refuse("logins_per_second", fmt.Sprintf("is %d: want 0 to 10000", c.LoginRate), "")
	}
	c.Settings.Check(v)
	c.proxySettings.check(v, c.TLSCert != "")
	c.mailSettings.check(v)
	c.checkStore(v)
	c.checkSessions(v)
	return v
}

// checkIssuer keeps plain http to this machine: everybody on the way can read the
// credentials that it carries (SES-07).
func (c *settings) checkIssuer(v *config.Verdict) {
	if c.Issuer == "" {
		if c.Production {
			v.Refuse("issuer", "is not set, which production mode refuses", "set the https URL that browsers and services use")
		} else if !urls.Loopback(c.Listen) && c.TLSCert == "" {
			v.Refuse("issuer", "is not set, and "+c.Listen+" is not a loopback address", "set the https URL that browsers and services use")
		}
		return
	}
	if c.TLSCert != "" && strings.HasPrefix(c.Issuer, "http:") {
		v.Refuse("issuer", "is plain http, and TLS is served", "")
	}
	u, err := issuerURL(c.Issuer)
	if err == nil {
		err = server.CheckURL(c.Issuer)
	}
	switch {
	case refuseURL(v, "issuer", err):
	case u.Scheme == "https":
	case !urls.Loopback(c.Listen):
		v.Refuse("issuer", "is plain http, and "+c.Listen+" is not a loopback address", "use https, or listen on 127.0.0.1")
	default:
		v.Danger("issuer", "is plain http: cookies are neither Secure nor prefixed", "for development on this machine only")
	}
}

// checkHosts refuses a name that no browser sends: requests with the right one would be refused.
func (c *settings) checkHosts(v *config.Verdict) {
	for _, text := range c.Hosts {
		err := urls.Host(text)
		if wrong, refused := errors.AsType[*urls.Error](err); refused {
			if name, unknown := idna.Lookup.ToASCII(text); unknown == nil && urls.Host(name) == nil {
				wrong.Hint = "write " + name
			}
			refuseURL(v, "hosts", wrong)
			return // a setting has one problem
		}
	}
}

// refuseURL refuses a setting if err says what is wrong with the URL in it.
func refuseURL(v *config.Verdict, key string, err error) (refused bool) {
	wrong, refused := errors.AsType[*urls.Error](err)
	if refused {
		v.Refuse(key, fmt.Sprintf("is %q, which %s", wrong.Text, wrong.Problem), wrong.Hint)
	}
	return refused
}

// issuerURL parses the URL of an issuer. If the host is not ASCII, the hint has its A-label, which
// browsers send and certificates name (RFC 5890 section 2.3.2.1).
func issuerURL(text string) (*url.URL, error) {
	right, err := urls.Issuer(text)
	wrong, refused := errors.AsType[*urls.Error](err)
	u, malformed := url.Parse(text)
	if !refused || malformed != nil {
		return right, err
	}
	host, unknown := idna.Lookup.ToASCII(u.Hostname())
	if unknown != nil || strings.EqualFold(host, u.Hostname()) {
		return nil, err
	}
	u.Host = strings.TrimSuffix(host+":"+u.Port(), ":")
	hint := "write " + u.String()
	_, err = urls.Issuer(u.String())
	if also, refused := errors.AsType[*urls.Error](err); refused { // something else is wrong as well
		hint = also.Hint
	}
	return nil, &urls.Error{Text: wrong.Text, Problem: wrong.Problem, Hint: hint}
}

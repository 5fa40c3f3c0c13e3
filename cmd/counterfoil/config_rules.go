package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/keyring"
)

// verdict is what the rules say about a loaded configuration.
type verdict struct {
	where    origins
	problems []problem // it does not start
	warnings []problem // it starts, and says so
}

func (v *verdict) refuse(key, text, hint string) {
	v.problems = append(v.problems, problem{Where: v.where[key], Key: key, Problem: text, Hint: hint})
}

// danger is for an option that is right in development alone (OPS-12).
func (v *verdict) danger(production bool, key, text, hint string) {
	p := problem{Where: v.where[key], Key: key, Problem: text, Hint: hint}
	if production {
		p.Problem += ", which production mode refuses"
		v.problems = append(v.problems, p)
		return
	}
	v.warnings = append(v.warnings, p)
}

// check applies every rule that needs no store.
func (c *config) check(where origins) verdict {
	v := verdict{where: where}
	for _, s := range c.settings() {
		if err := s.check(); err != nil {
			v.refuse(s.key(), err.Error(), "")
		}
	}
	if len(v.problems) > 0 {
		return v // the rules below read the values
	}
	c.checkIssuer(&v)
	if key := c.HMACSecret.Reveal(); key != "" { // KEY-02
		if c.Algorithm != "HS256" {
			v.refuse("hmac_secret", "is set, and algorithm is "+c.Algorithm, "")
		} else if err := keyring.CheckSecret([]byte(key)); err != nil {
			v.refuse("hmac_secret", err.Error(), "openssl rand -base64 48")
		}
	}
	c.checkTLS(&v)
	c.checkOps(&v)
	c.checkProxies(&v)
	c.checkStore(&v)
	c.checkSessions(&v)
	return v
}

// check holds what the tags of a setting want.
func (s setting) check() error {
	switch value := s.value.Interface().(type) {
	case time.Duration:
		least, _ := time.ParseDuration(s.field.Tag.Get("min"))
		most, _ := time.ParseDuration(s.field.Tag.Get("max"))
		if value < least || value > most {
			return fmt.Errorf("is %s: want %s to %s", duration(value), duration(least), duration(most))
		}
	case string:
		return s.checkText(value)
	case []string:
		for _, item := range value {
			if s.field.Tag.Get("want") != "network" {
				continue
			}
			if _, err := network(item); err != nil {
				return fmt.Errorf("has %q: want a network such as 10.0.0.0/8, or an address", item)
			}
		}
	}
	return nil
}

func (s setting) checkText(value string) error {
	want := s.field.Tag.Get("want")
	switch {
	case want == "address" || want == "address,off" && value != "off":
		host, port, err := net.SplitHostPort(value)
		n, bad := strconv.ParseUint(port, 10, 16)
		if _, ip := netip.ParseAddr(host); err != nil || bad != nil || n > 65535 || host != "" && host != "localhost" && ip != nil {
			return fmt.Errorf("is %q: want an IP address and a port, such as 127.0.0.1:8080", value)
		}
	case want == "store":
		return checkStoreName(value)
	case want == "sessions":
		return checkSessionsName(value)
	case s.choices() != nil && !slices.Contains(s.choices(), value):
		return fmt.Errorf("is %q: want %s", value, oneOf(s.choices()))
	}
	return nil
}

func oneOf(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// checkIssuer: plain http carries credentials that anybody on the way can read,
// so it is for this machine alone (SES-07).
func (c *config) checkIssuer(v *verdict) {
	if c.Issuer == "" {
		if c.Production {
			v.refuse("issuer", "is not set, which production mode refuses", "set the https URL that browsers and services use")
		} else if !urls.Loopback(c.Listen) && c.TLSCert == "" {
			v.refuse("issuer", "is not set, and "+c.Listen+" is not a loopback address", "set the https URL that browsers and services use")
		}
		return
	}
	u, err := urls.Issuer(c.Issuer)
	wrong, refused := errors.AsType[*urls.Error](err)
	switch {
	case refused:
		v.refuse("issuer", fmt.Sprintf("is %q, which %s", wrong.Text, wrong.Problem), wrong.Hint)
	case u.Scheme == "https":
	case !urls.Loopback(c.Listen):
		v.refuse("issuer", "is plain http, and "+c.Listen+" is not a loopback address", "use https, or listen on 127.0.0.1")
	default:
		v.danger(c.Production, "issuer", "is plain http: cookies are neither Secure nor prefixed", "for development on this machine only")
	}
}

func (c *config) checkTLS(v *verdict) {
	if c.TLSCert == "" && c.TLSKey == "" {
		return
	}
	if c.TLSCert == "" || c.TLSKey == "" {
		v.refuse("tls_cert", "and tls_key go together", "")
		return
	}
	if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
		v.refuse("tls_cert", "cannot be used: "+strings.TrimPrefix(err.Error(), "tls: "), "")
	} else if info, err := os.Stat(c.TLSKey); err == nil && info.Mode().Perm()&0o007 != 0 {
		v.refuse("tls_key", "may be read by others", "chmod 600 "+c.TLSKey)
	}
	if strings.HasPrefix(c.Issuer, "http:") {
		v.refuse("issuer", "is plain http, and TLS is served", "")
	}
}

// checkOps: profiles and metrics tell an attacker a lot, so they are for this
// machine, or for who has the token (OPS-07).
func (c *config) checkOps(v *verdict) {
	token := c.OpsToken.Reveal()
	if token != "" && len(token) < 32 {
		v.refuse("ops_token", "has fewer than 32 characters", "openssl rand -hex 32")
	}
	if c.OpsListen == "off" || urls.Loopback(c.OpsListen) {
		return
	}
	if token == "" {
		v.refuse("ops_listen", "is not a loopback address, and ops_token is not set", "put a token in a file and name it in "+envPrefix+"OPS_TOKEN_FILE")
	} else if c.TLSCert == "" {
		v.danger(c.Production, "ops_listen", "is plain http on a network: its token is readable on the way", "listen on loopback, or set tls_cert and tls_key")
	}
}

// checkProxies: whoever is trusted can claim any address.
func (c *config) checkProxies(v *verdict) {
	for _, text := range c.TrustedProxies {
		if n, err := network(text); err == nil && n.Bits() == 0 {
			v.danger(c.Production, "trusted_proxies", "has "+text+": everybody can claim any address", "name the proxies' own networks")
		}
	}
	if c.Production && len(c.TrustedProxies) == 0 && c.TLSCert == "" {
		v.warnings = append(v.warnings, problem{
			Where: v.where["trusted_proxies"], Key: "trusted_proxies", Hint: "name the network of the proxy that serves TLS",
			Problem: "is empty: behind a proxy all clients have its address, and one limit on attempts to sign in",
		})
	}
}

// network parses a network, or an address as the network of it alone.
func network(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

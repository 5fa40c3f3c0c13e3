package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/keyring"
)

// check applies every rule that needs no store.
func (c *settings) check(where config.Origins) *config.Verdict {
	v := c.loader().Check(where)
	v.Production = c.Production
	if len(v.Problems) > 0 {
		return v // the rules below read the values
	}
	c.checkIssuer(v)
	if key := c.HMACSecret.Reveal(); key != "" { // KEY-02
		if c.Algorithm != "HS256" {
			v.Refuse("hmac_secret", "is set, and algorithm is "+c.Algorithm, "")
		} else if err := keyring.CheckSecret([]byte(key)); err != nil {
			v.Refuse("hmac_secret", err.Error(), "openssl rand -base64 48")
		}
	}
	c.checkTLS(v)
	c.checkOps(v)
	c.checkProxies(v)
	c.checkStore(v)
	c.checkSessions(v)
	return v
}

func checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	n, bad := strconv.ParseUint(port, 10, 16)
	if _, ip := netip.ParseAddr(host); err != nil || bad != nil || n > 65535 || host != "" && host != "localhost" && ip != nil {
		return fmt.Errorf("is %q: want an IP address and a port, such as 127.0.0.1:8080", text)
	}
	return nil
}

func checkAddressOrOff(text string) error {
	if text == "off" {
		return nil
	}
	return checkAddress(text)
}

func checkNetwork(text string) error {
	if _, err := network(text); err != nil {
		return fmt.Errorf("has %q: want a network such as 10.0.0.0/8, or an address", text)
	}
	return nil
}

// checkIssuer: plain http carries credentials that anybody on the way can read,
// so it is for this machine alone (SES-07).
func (c *settings) checkIssuer(v *config.Verdict) {
	if c.Issuer == "" {
		if c.Production {
			v.Refuse("issuer", "is not set, which production mode refuses", "set the https URL that browsers and services use")
		} else if !urls.Loopback(c.Listen) && c.TLSCert == "" {
			v.Refuse("issuer", "is not set, and "+c.Listen+" is not a loopback address", "set the https URL that browsers and services use")
		}
		return
	}
	u, err := urls.Issuer(c.Issuer)
	wrong, refused := errors.AsType[*urls.Error](err)
	switch {
	case refused:
		v.Refuse("issuer", fmt.Sprintf("is %q, which %s", wrong.Text, wrong.Problem), wrong.Hint)
	case u.Scheme == "https":
	case !urls.Loopback(c.Listen):
		v.Refuse("issuer", "is plain http, and "+c.Listen+" is not a loopback address", "use https, or listen on 127.0.0.1")
	default:
		v.Danger("issuer", "is plain http: cookies are neither Secure nor prefixed", "for development on this machine only")
	}
}

func (c *settings) checkTLS(v *config.Verdict) {
	if c.TLSCert == "" && c.TLSKey == "" {
		return
	}
	if c.TLSCert == "" || c.TLSKey == "" {
		v.Refuse("tls_cert", "and tls_key go together", "")
		return
	}
	if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
		v.Refuse("tls_cert", "cannot be used: "+strings.TrimPrefix(err.Error(), "tls: "), "")
	} else if info, err := os.Stat(c.TLSKey); err == nil && info.Mode().Perm()&0o007 != 0 {
		v.Refuse("tls_key", "may be read by others", "chmod 600 "+c.TLSKey)
	}
	if strings.HasPrefix(c.Issuer, "http:") {
		v.Refuse("issuer", "is plain http, and TLS is served", "")
	}
}

// checkOps: profiles and metrics tell an attacker a lot, so they are for this
// machine, or for who has the token (OPS-07).
func (c *settings) checkOps(v *config.Verdict) {
	token := c.OpsToken.Reveal()
	if token != "" && len(token) < 32 {
		v.Refuse("ops_token", "has fewer than 32 characters", "openssl rand -hex 32")
	}
	if c.OpsListen == "off" || urls.Loopback(c.OpsListen) {
		return
	}
	if token == "" {
		v.Refuse("ops_listen", "is not a loopback address, and ops_token is not set", "put a token in a file and name it in "+envPrefix+"OPS_TOKEN_FILE")
	} else if c.TLSCert == "" {
		v.Danger("ops_listen", "is plain http on a network: its token is readable on the way", "listen on loopback, or set tls_cert and tls_key")
	}
}

// checkProxies: whoever is trusted can claim any address.
func (c *settings) checkProxies(v *config.Verdict) {
	for _, text := range c.TrustedProxies {
		if n, err := network(text); err == nil && n.Bits() == 0 {
			v.Danger("trusted_proxies", "has "+text+": everybody can claim any address", "name the proxies' own networks")
		}
	}
	if c.Production && len(c.TrustedProxies) == 0 && c.TLSCert == "" {
		v.Warn("trusted_proxies", "is empty: behind a proxy all clients have its address, and one limit on attempts to sign in", "name the network of the proxy that serves TLS")
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
